//go:build unix

package launch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch/proctree"
)

// What a run can be told.
const (
	deskStop    = "stop"
	deskRestart = "restart"
	deskWait    = "wait"     // until it listens
	deskEnd     = "wait-end" // until it has ended
)

// deskAnswer is what a run says to an order, when it is done.
type deskAnswer struct {
	Running Running `json:"running"`
	Exited  bool    `json:"exited"`
	Code    int     `json:"code"`
}

// desk is where a run takes orders by its name: a socket in the state
// directory, which is closed to others. The daemon has no part in it, so a run
// can be ended while no daemon is there. A nil desk takes none.
type desk struct {
	listener net.Listener
	path     string
	info     os.FileInfo
	inbox    chan string

	mu      sync.Mutex
	change  chan struct{} // closed and replaced at each change
	answer  deskAnswer
	listen  bool
	serving sync.WaitGroup
}

// deskPath is short whatever the name is: a socket's path has little room.
func deskPath(paths config.Paths, name string) string {
	return filepath.Join(paths.Home, "runs", appname.Hash(name)+appname.Hash("2"+name)+".sock")
}

// openDesk takes orders for a name from now on. Where that is not possible (a
// state directory with a path too long) the run goes on without.
func openDesk(paths config.Paths, name string) *desk {
	path := deskPath(paths, name)
	if err := config.EnsureDir(filepath.Dir(path)); err != nil {
		return nil
	}
	// The name is this run's: the daemon has just said so. Whoever listens here
	// has lost it, or is dead.
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = os.Chmod(path, 0o600)
	info, _ := os.Lstat(path)
	d := &desk{listener: l, path: path, info: info, inbox: make(chan string, 4), change: make(chan struct{})}
	go d.serve()
	return d
}

func (d *desk) serve() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.serving.Add(1)
		go func() {
			defer d.serving.Done()
			defer conn.Close()
			d.attend(conn)
		}()
	}
}

// attend takes one order and answers when it is carried out.
func (d *desk) attend(conn net.Conn) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	var what string
	if json.Unmarshal([]byte(line), &what) != nil {
		return
	}
	d.mu.Lock()
	change := d.change
	d.mu.Unlock()
	switch what {
	case deskStop, deskRestart:
		select {
		case d.inbox <- what:
		default: // four orders wait already
		}
		if what == deskRestart {
			<-change // it listens no more, or begins to
		}
	}
	gone := make(chan struct{})
	go func() { // whoever waits may leave
		defer close(gone)
		_, _ = conn.Read(make([]byte, 1))
	}()
	for {
		d.mu.Lock()
		change, answer, listens := d.change, d.answer, d.listen
		d.mu.Unlock()
		if answer.Exited || listens && (what == deskWait || what == deskRestart) {
			_ = json.NewEncoder(conn).Encode(answer)
			return
		}
		select {
		case <-change:
		case <-gone:
			return
		}
	}
}

func (d *desk) orders() <-chan string {
	if d == nil {
		return nil
	}
	return d.inbox
}

func (d *desk) set(do func()) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
	close(d.change)
	d.change = make(chan struct{})
}

func (d *desk) listens(r Running) { d.set(func() { d.listen, d.answer.Running = true, r }) }

func (d *desk) rests() { d.set(func() { d.listen = false }) }

// exited takes no more orders and then answers all who wait.
func (d *desk) exited(code int) {
	d.retire()
	d.set(func() { d.answer.Exited, d.answer.Code = true, code })
}

// retire takes no more orders. The socket stays where another run of the name
// has put its own. It may be called twice.
func (d *desk) retire() {
	if d == nil {
		return
	}
	if info, err := os.Lstat(d.path); err == nil && os.SameFile(info, d.info) {
		_ = os.Remove(d.path)
	}
	d.listener.Close()
}

// close retires the desk and returns when all who wait have been answered.
func (d *desk) close() {
	if d == nil {
		return
	}
	d.retire()
	d.set(func() { d.answer.Exited = true })
	d.serving.Wait()
}

// tell gives a run an order and waits until it is carried out.
func tell(ctx context.Context, paths config.Paths, name, what string) (deskAnswer, error) {
	var answer deskAnswer
	name, err := appname.Check(name)
	if err != nil {
		return answer, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", deskPath(paths, name))
	if err != nil {
		if ctx.Err() != nil {
			return answer, ctx.Err()
		}
		return answer, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no app called %s runs", name), Next: "hostless list", Err: err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(what); err != nil {
		return answer, err
	}
	if err := json.NewDecoder(conn).Decode(&answer); err != nil {
		if ctx.Err() != nil {
			return answer, ctx.Err()
		}
		// The run was killed: it has ended, and nobody knows how.
		return deskAnswer{Exited: true, Code: proctree.ExitSignal + 9}, nil
	}
	return answer, nil
}

// Stop ends the run of that name and its whole tree, and returns when it has
// ended, with its exit code. No such run is fault.NotFound.
func Stop(ctx context.Context, paths config.Paths, name string) (code int, err error) {
	a, err := tell(ctx, paths, name, deskStop)
	return a.Code, err
}

// Restart ends the app and starts it again, with name, port and token as they
// were. It returns when the app listens again; an app that has ended instead is
// fault.Upstream.
func Restart(ctx context.Context, paths config.Paths, name string) (Running, error) {
	return listening(tell(ctx, paths, name, deskRestart))
}

// Wait returns when the app of that name listens; at once where it does. One
// that ends first is fault.Upstream; no such run is fault.NotFound.
func Wait(ctx context.Context, paths config.Paths, name string) (Running, error) {
	return listening(tell(ctx, paths, name, deskWait))
}

// WaitExit returns when the run of that name has ended, with its exit code.
func WaitExit(ctx context.Context, paths config.Paths, name string) (code int, err error) {
	a, err := tell(ctx, paths, name, deskEnd)
	return a.Code, err
}

func listening(a deskAnswer, err error) (Running, error) {
	if err == nil && a.Exited {
		err = fault.New(fault.Upstream, fmt.Sprintf("it ended with exit code %d before it listened", a.Code))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &fault.Error{Kind: fault.UpstreamTimeout, Message: "it does not listen yet", Err: err}
	}
	return a.Running, err
}
