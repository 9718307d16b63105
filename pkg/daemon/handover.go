package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/listen"
)

// Timeouts of the two processes of a handover.
const (
	prepareTime  = 10 * time.Second // for a started successor to take the sockets
	takeOverTime = 30 * time.Second // for it to serve after the go
)

// lateCharges is how many requests a predecessor may accept before its successor learns of
// them.
const lateCharges = 4096

// errHandedOver is the cancellation cause after a handover.
var errHandedOver = errors.New("a successor has taken over")

// handoverMessage is a line of JSON between a daemon and its successor.
//
// The successor sends that it is prepared: it is running and has the sockets. The
// predecessor stops changing files, then sends go, with the state that is only in its
// memory. The successor sends that it serves.
//
// From then on, the successor sends revoked tokens, changed budgets and the state of the
// kill switch, since the predecessor may still be serving requests, and stop when it ends.
// The predecessor sends which tokens its requests use. Both send budget reservations.
type handoverMessage struct {
	Prepared bool            `json:"prepared,omitempty"`
	PID      int             `json:"pid,omitempty"` // of the prepared successor
	Go       bool            `json:"go,omitempty"`
	Tokens   json.RawMessage `json:"tokens,omitempty"`
	Runs     []string        `json:"runs,omitempty"` // hostnames whose clients will register again
	Vault    *vault.Handover `json:"vault,omitempty"`
	Sessions json.RawMessage `json:"sessions,omitempty"` // of the page, as hashes
	Memory   json.RawMessage `json:"memory,omitempty"`   // what the gateway remembers of conversations
	Serving  bool            `json:"serving,omitempty"`
	Charged  string          `json:"charged,omitempty"` // from the predecessor: the hash of the token of a request that it has accepted
	Held     []budget.Held   `json:"held,omitempty"`    // budget reservations of the sender's requests, or of another daemon's
	Budgets  json.RawMessage `json:"budgets,omitempty"` // changed in the successor
	Killed   *bool           `json:"killed,omitempty"`  // state of the kill switch in the successor
	Revoked  string          `json:"revoked,omitempty"` // a token's hash
	Stop     bool            `json:"stop,omitempty"`    // the successor ends, and the predecessor must too
}

// handoverChannel carries handoverMessages. Sending is safe for concurrent use.
type handoverChannel struct {
	conn net.Conn
	in   *json.Decoder
	mu   sync.Mutex
}

func newHandoverChannel(conn net.Conn) *handoverChannel {
	return &handoverChannel{conn: conn, in: json.NewDecoder(bufio.NewReader(conn))}
}

// send writes a message. It fails if the peer has not read it after prepareTime.
func (c *handoverChannel) send(m handoverMessage) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(prepareTime))
	_, err = c.conn.Write(append(data, '\n'))
	return err
}

// receive reads the next message. A limit of 0 is no timeout.
func (c *handoverChannel) receive(limit time.Duration) (m handoverMessage, err error) {
	deadline := time.Time{}
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	c.conn.SetReadDeadline(deadline)
	err = c.in.Decode(&m)
	return m, err
}

// successor is the daemon that takes over from this one.
type successor struct {
	pid     int
	process *os.Process // that this process started; under systemd, the shell
	channel *handoverChannel
	ended   chan struct{} // closed when process has ended
	err     error         // exit error of process; set before ended is closed

	terminate sync.Once // sends SIGTERM: a second one would end it before it has drained
}

// Restart starts a successor that takes over the sockets. No connection is refused, and this
// process runs until its requests in flight have ended. Restart returns when the successor
// is prepared. If it cannot be started, nothing has changed.
func (c controlDaemon) Restart(ctx context.Context) (control.Restarted, error) {
	if !c.restarting.CompareAndSwap(false, true) {
		return control.Restarted{}, fault.New(fault.Conflict, "the daemon is already restarting")
	}
	next, err := c.startSuccessor()
	if err != nil {
		c.restarting.Store(false)
		return control.Restarted{}, err
	}
	c.log.Info("a successor is prepared", "pid", next.pid)
	c.successors <- next
	return control.Restarted{Status: "restarting", PID: next.pid}, nil
}

// successorCommand returns the command line of a successor. Under systemd it is started by a
// shell that exits at once, so that the successor is a child of systemd before it becomes
// the main process. systemd notices only the end of its own children, and must notice that
// the main process ends when it stops the unit.
func (d *daemon) successorCommand() *exec.Cmd {
	if d.sockets.Activation != listen.Systemd {
		return exec.Command(d.cfg.Program, d.cfg.Arguments...)
	}
	return exec.Command("/bin/sh", append([]string{"-c", `"$0" "$@" &`, d.cfg.Program}, d.cfg.Arguments...)...)
}

// startSuccessor starts the program of this process, as it is on disk now, with the same
// arguments.
func (d *daemon) startSuccessor() (*successor, error) {
	failed := func(err error) error {
		return &fault.Error{Kind: fault.Internal, Message: "the new daemon does not start, the running one stays: " + err.Error(), Next: "hostless logs", Err: err}
	}
	cmd := d.successorCommand()
	cmd.Env = slices.DeleteFunc(d.cfg.Environ(), func(assignment string) bool {
		return strings.HasPrefix(assignment, "WATCHDOG_PID=") // it names this process: sd_watchdog_enabled(3)
	})
	cmd.Dir = "/"
	s := &successor{ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if f, ok := d.cfg.Output.(*os.File); ok {
		cmd.Stdout, cmd.Stderr = f, f // the journal attributes lines by their stream
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: d.sockets.Activation == listen.Self}
	conn, release, err := d.sockets.PassTo(cmd, d.lock, d.earlier()...)
	if err != nil {
		return nil, failed(err)
	}
	err = cmd.Start()
	release()
	if err != nil {
		conn.Close()
		return nil, failed(err)
	}
	s.pid, s.process, s.channel = cmd.Process.Pid, cmd.Process, newHandoverChannel(conn)
	go func() { // ends with process, or with this process
		s.err = cmd.Wait()
		close(s.ended)
	}()
	m, err := s.channel.receive(prepareTime)
	if err == nil && !m.Prepared {
		err = errors.New("it sent an unexpected message")
	}
	if m.PID != 0 {
		s.pid = m.PID
	}
	if err != nil {
		cmd.Process.Signal(syscall.SIGTERM)
		conn.Close() // ends a successor that waits
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s ended before it could take the sockets", d.cfg.Program)
		}
		return nil, failed(err)
	}
	return s, nil
}

// handOver waits for a successor and lets it take over. quiesce must stop all changes to
// files before it returns.
func (d *daemon) handOver(ctx context.Context, quiesce func()) error {
	var next *successor
	select {
	case <-ctx.Done():
		return nil
	case next = <-d.successors:
	}
	d.routes.AwaitRuns(ctx)
	d.sockets.KeepSocket()
	quiesce()
	d.approvals.Close() // waiting clients ask the successor again
	if err := d.tokens.Close(); err != nil {
		d.log.Error("rate-limit usage cannot be written", "error", err)
	}
	sealed := d.vault.Handover()
	sealed.Locked = sealed.Locked || d.keys.Locked()
	late := make(chan handoverMessage, lateCharges)
	tell := func(m handoverMessage) {
		select {
		case late <- m:
		default: // more requests than a drain can have
		}
	}
	d.tokens.OnCharge(func(hash string) { tell(handoverMessage{Charged: hash}) })
	d.budgets.OnHold(func(h budget.Held) { tell(handoverMessage{Held: []budget.Held{h}}) })
	memory, err := d.gateway.Export()
	if err != nil {
		d.log.Error("what the gateway remembers cannot be handed over", "error", err)
	}
	if err := next.channel.send(handoverMessage{Go: true, Memory: memory, Held: d.budgets.Export(), Tokens: d.tokens.Export(), Runs: d.routes.Runs(), Vault: &sealed, Sessions: d.dashboard.Export()}); err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	d.notify.main(next.pid)
	m, err := next.channel.receive(takeOverTime)
	if err != nil || !m.Serving {
		return fmt.Errorf("hand over: the successor (pid %d) does not serve: %w", next.pid, errors.Join(err, ctx.Err()))
	}
	d.handedOver.Store(true)
	d.handedTo.Store(next)
	if err := errors.Join(d.lock.Close(), d.sockets.Unlock()); err != nil { // the successor's copies keep the locks
		d.log.Warn("a lock cannot be released", "error", err)
	}
	d.log.Info("a successor has taken over", "pid", next.pid, "in_flight", d.front.InFlight(), "linger", d.settings.Linger())
	go d.follow(next.channel)                       // ends with the channel
	go d.budgets.Follow(context.WithoutCancel(ctx)) // ends with this process
	go func() {                                     // ends with this process
		for m := range late {
			_ = next.channel.send(m) // a successor that has ended needs no message
		}
	}()
	d.predecessors.leave()
	d.front.HandOver(d.settings.Linger())
	d.stop(errHandedOver)
	return nil
}

// follow handles the messages of the successor in its predecessor.
func (d *daemon) follow(channel *handoverChannel) {
	for {
		m, err := channel.receive(0)
		if err != nil {
			return
		}
		if m.Revoked != "" {
			d.tokens.RevokeHash(m.Revoked)
		}
		if m.Budgets != nil {
			if err := d.budgets.Adopt(m.Budgets); err != nil {
				d.log.Error("the successor's budgets cannot be taken over", "error", err)
			}
		}
		d.budgets.Import(m.Held...)
		if m.Killed != nil {
			d.setKilled(*m.Killed)
		}
		if m.Stop {
			d.front.EndLinger()
		}
	}
}

// takeOver is the successor's side of a handover, when it has the sockets. It waits until
// only this process may change files, and returns the state that was not in files.
func (d *daemon) takeOver() (m handoverMessage, err error) {
	direct := newHandoverChannel(d.inherited.Channel)
	d.predecessors.list = []*handoverChannel{direct}
	for _, c := range d.inherited.Earlier {
		d.predecessors.list = append(d.predecessors.list, newHandoverChannel(c))
	}
	if err := direct.send(handoverMessage{Prepared: true, PID: os.Getpid()}); err != nil {
		return m, fmt.Errorf("take over: %w", err)
	}
	m, err = direct.receive(takeOverTime)
	if err != nil || !m.Go {
		return m, fmt.Errorf("take over: the predecessor does not release the sockets: %w", err)
	}
	return m, nil
}

// predecessors are earlier daemons that still serve requests, the latest first. It is safe
// for concurrent use.
type predecessors struct {
	mu   sync.Mutex
	list []*handoverChannel
}

func (p *predecessors) all() []*handoverChannel {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// leave closes this process's channels to the predecessors. The successor has copies, and
// only it may read from them.
func (p *predecessors) leave() {
	for _, channel := range p.all() {
		channel.conn.Close()
	}
}

// forgetEnded calls hear with the messages of each predecessor, and removes a predecessor
// from the list when it has ended. It calls gone when the last one has ended.
func (p *predecessors) forgetEnded(hear func(handoverMessage), gone func()) {
	for _, channel := range p.all() {
		go func() { // ends with the predecessor, or with this process
			for {
				m, err := channel.receive(0)
				if err != nil {
					break
				}
				hear(m)
			}
			channel.conn.Close()
			p.mu.Lock()
			p.list = slices.DeleteFunc(p.list, func(other *handoverChannel) bool { return other == channel })
			last := len(p.list) == 0
			p.mu.Unlock()
			if last {
				gone()
			}
		}()
	}
}

// earlier returns the connections to the predecessors.
func (d *daemon) earlier() (conns []net.Conn) {
	for _, p := range d.predecessors.all() {
		conns = append(conns, p.conn)
	}
	return conns
}

// stopPredecessors ends the requests that predecessors still serve.
func (d *daemon) stopPredecessors() {
	for _, p := range d.predecessors.all() {
		_ = p.send(handoverMessage{Stop: true}) // a predecessor that has ended needs no message
	}
}

// notifyRevoked sends a revocation to the predecessors, which may still serve requests of
// the token.
func (d *daemon) notifyRevoked(hash string) {
	for _, p := range d.predecessors.all() {
		go p.send(handoverMessage{Revoked: hash}) // do not block: the store is locked
	}
}
