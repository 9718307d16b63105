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

// How long the two processes of a handover wait for each other.
const (
	prepareTime  = 10 * time.Second // for a started successor to have taken the sockets
	takeOverTime = 30 * time.Second // for it to serve, once it may
)

// lateCharges is how many requests a predecessor may take before its successor
// hears of them.
const lateCharges = 4096

// errHandedOver is the cause of an end after which a successor serves.
var errHandedOver = errors.New("a successor has taken over")

// handoverMessage is a line of JSON between a daemon and its successor.
//
// The successor says that it is prepared: it runs and has the sockets. The
// predecessor stops to change what is on disk, then says go, with what it has in
// memory alone. The successor says that it serves. From then on it tells which
// tokens are revoked, whose answers the predecessor may still be giving, and when it ends.
type handoverMessage struct {
	Prepared bool            `json:"prepared,omitempty"`
	PID      int             `json:"pid,omitempty"` // of who is prepared
	Go       bool            `json:"go,omitempty"`
	Tokens   json.RawMessage `json:"tokens,omitempty"`
	Runs     []string        `json:"runs,omitempty"` // hostnames whose clients will register again
	Vault    *vault.Handover `json:"vault,omitempty"`
	Sessions json.RawMessage `json:"sessions,omitempty"` // of the page, as hashes
	Serving  bool            `json:"serving,omitempty"`
	Charged  string          `json:"charged,omitempty"` // a token's hash, by its predecessor
	Held     []budget.Held   `json:"held,omitempty"`    // what calls of the predecessor hold of budgets
	Budgets  json.RawMessage `json:"budgets,omitempty"` // that the successor was set
	Killed   *bool           `json:"killed,omitempty"`  // whether the successor was asked to stop all AI traffic
	Revoked  string          `json:"revoked,omitempty"` // a token's hash
	Stop     bool            `json:"stop,omitempty"`    // the successor ends, and nothing is to go on
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

// send writes a message; a peer that does not read is not waited for.
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

// receive reads the next message; limit 0 waits for as long as it takes.
func (c *handoverChannel) receive(limit time.Duration) (m handoverMessage, err error) {
	deadline := time.Time{}
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	c.conn.SetReadDeadline(deadline)
	err = c.in.Decode(&m)
	return m, err
}

// successor is a daemon that was started to take over from this one.
type successor struct {
	pid     int
	process *os.Process
	channel *handoverChannel
	ended   chan struct{} // closed when its process has ended
	err     error         // why it ended; set before ended is closed
}

// Restart starts a successor, which takes over the sockets: no connection is
// refused meanwhile, and this process stays until what it answers has ended. It
// returns once the successor is prepared; where it cannot start, nothing has
// changed.
func (c controlDaemon) Restart(ctx context.Context) (control.Restarted, error) {
	if !c.restarting.CompareAndSwap(false, true) {
		return control.Restarted{}, fault.New(fault.Conflict, "the daemon is restarting already")
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

// successorCommand is the command line of a successor. Under systemd a shell that
// ends at once stands between: the successor is then the manager's child by the
// time that it becomes the main process, and systemd waits for its end when it
// stops the unit. Of a process that is not its child it would not learn.
func (d *daemon) successorCommand() *exec.Cmd {
	if d.sockets.Activation != listen.Systemd {
		return exec.Command(d.cfg.Program, d.cfg.Arguments...)
	}
	return exec.Command("/bin/sh", append([]string{"-c", `"$0" "$@" &`, d.cfg.Program}, d.cfg.Arguments...)...)
}

// startSuccessor starts the program that this process was started from, as it is
// on disk now, with the same arguments.
func (d *daemon) startSuccessor() (*successor, error) {
	failed := func(err error) error {
		return &fault.Error{Kind: fault.Internal, Message: "the new daemon does not start, the running one stays: " + err.Error(), Next: "hostless logs", Err: err}
	}
	cmd := d.successorCommand()
	cmd.Env = slices.DeleteFunc(d.cfg.Environ(), func(assignment string) bool {
		return strings.HasPrefix(assignment, "WATCHDOG_PID=") // this process: sd_watchdog_enabled(3)
	})
	cmd.Dir = "/"
	s := &successor{ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if f, ok := d.cfg.Output.(*os.File); ok {
		cmd.Stdout, cmd.Stderr = f, f // the journal knows its writers by the stream
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
	go func() { // ends with the successor, or with this process
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
		conn.Close() // which ends one that waits
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s ended before it could take the sockets", d.cfg.Program)
		}
		return nil, failed(err)
	}
	return s, nil
}

// handOver waits for a successor and lets it take over. quiesce ends what changes
// files and returns when nothing does any more.
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
	d.approvals.Close() // who waits for a person asks the successor again
	if err := d.tokens.Close(); err != nil {
		d.log.Error("rate-limit usage cannot be written", "error", err)
	}
	sealed := d.vault.Handover()
	sealed.Locked = sealed.Locked || d.keys.Locked()
	late := make(chan handoverMessage, lateCharges)
	tell := func(m handoverMessage) {
		select {
		case late <- m:
		default: // more than a drain can take
		}
	}
	d.tokens.OnCharge(func(hash string) { tell(handoverMessage{Charged: hash}) })
	d.budgets.OnHold(func(h budget.Held) { tell(handoverMessage{Held: []budget.Held{h}}) })
	if err := next.channel.send(handoverMessage{Go: true, Held: d.budgets.Export(), Tokens: d.tokens.Export(), Runs: d.routes.Runs(), Vault: &sealed, Sessions: d.dashboard.Export()}); err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	d.notify.main(next.pid)
	m, err := next.channel.receive(takeOverTime)
	if err != nil || !m.Serving {
		return fmt.Errorf("hand over: the successor (pid %d) does not serve: %w", next.pid, errors.Join(err, ctx.Err()))
	}
	d.handedOver.Store(true)
	d.handedTo.Store(next)
	if err := errors.Join(d.lock.Close(), d.sockets.Unlock()); err != nil { // they hold for the successor's copies
		d.log.Warn("a lock cannot be released", "error", err)
	}
	d.log.Info("a successor has taken over", "pid", next.pid, "in_flight", d.front.InFlight(), "linger", d.settings.Linger())
	go d.follow(next.channel)                       // ends with the channel
	go d.budgets.Follow(context.WithoutCancel(ctx)) // ends with this process
	go func() {                                     // ends with this process
		for m := range late {
			_ = next.channel.send(m) // a successor that has ended counts no more
		}
	}()
	d.predecessors.leave()
	d.front.HandOver(d.settings.Linger())
	d.stop(errHandedOver)
	return nil
}

// follow does in a predecessor what its successor tells it to.
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
		if m.Killed != nil {
			d.setKilled(*m.Killed)
		}
		if m.Stop {
			d.front.EndLinger()
		}
	}
}

// takeOver is the successor's part, once it has the sockets: it waits until it
// alone may change what is on disk, and returns what was not there.
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

// predecessors are the daemons before this one that still answer something, the
// direct one first. It is safe for concurrent use.
type predecessors struct {
	mu   sync.Mutex
	list []*handoverChannel
}

func (p *predecessors) all() []*handoverChannel {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// leave closes the channels here: a successor has them now, and alone may read.
func (p *predecessors) leave() {
	for _, channel := range p.all() {
		channel.conn.Close()
	}
}

// forgetEnded hears of what each still takes, and forgets it when it has ended. gone is
// called when the last one has.
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

// earlier are the connections to the daemons before this one.
func (d *daemon) earlier() (conns []net.Conn) {
	for _, p := range d.predecessors.all() {
		conns = append(conns, p.conn)
	}
	return conns
}

// stopPredecessors ends what earlier daemons still answer.
func (d *daemon) stopPredecessors() {
	for _, p := range d.predecessors.all() {
		_ = p.send(handoverMessage{Stop: true}) // one that has ended needs no message
	}
}

// tellRevoked passes a revocation on to the predecessors that may still be
// answering.
func (d *daemon) tellRevoked(hash string) {
	for _, p := range d.predecessors.all() {
		go p.send(handoverMessage{Revoked: hash}) // the store is locked: nothing is waited for
	}
}
