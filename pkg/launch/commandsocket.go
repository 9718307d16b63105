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
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch/proctree"
)

// The commands that a run takes.
const (
	commandStop        = "stop"
	commandRestart     = "restart"
	commandWait        = "wait"        // until it listens
	commandWaitExit    = "wait-end"    // until it has ended
	commandEnvironment = "environment" // what its command was given
)

// commandResult is what a run says to an order, when it is done.
type commandResult struct {
	Running Running  `json:"running"`
	Exited  bool     `json:"exited"`
	Code    int      `json:"code"`
	Env     []string `json:"env,omitempty"` // the answer to commandEnvironment
}

// commandSocket is where a run takes commands by its name: a socket in the state
// directory, which is closed to others. The daemon has no part in it, so a run
// can be ended while no daemon is there. A nil one takes none.
type commandSocket struct {
	listener net.Listener
	path     string
	info     os.FileInfo
	inbox    chan string

	mu      sync.Mutex
	change  chan struct{} // closed and replaced at each change
	answer  commandResult
	listen  bool
	env     []string // what the command has that the run has not
	serving sync.WaitGroup
}

// mostSocketPath is what a socket's path may have in bytes on every platform
// (sun_path of unix(7) and unix(4), with its closing zero).
const mostSocketPath = 103

// commandSocketPath is the path of a run's socket, short whatever the name is. Where
// the state directory is too deep for a socket it is in a private directory below
// /tmp, named for the state directory.
func commandSocketPath(paths config.Paths, name string) string {
	file := appname.Hash(name) + appname.Hash("2"+name) + ".sock"
	path := filepath.Join(paths.Home, "runs", file)
	if len(path) <= mostSocketPath {
		return path
	}
	return filepath.Join("/tmp", fmt.Sprintf("hostless-%d-%s%s", os.Getuid(), appname.Hash(paths.Home), appname.Hash("2"+paths.Home)), file)
}

// openCommandSocket takes commands for a name from now on. A nil socket, which
// takes none, comes with every error.
func openCommandSocket(paths config.Paths, name string) (*commandSocket, error) {
	path := commandSocketPath(paths, name)
	if err := privateDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	// The name is this run's: the daemon has just confirmed it. A run that
	// listens here has lost the name, or has died.
	_ = os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = os.Chmod(path, 0o600)
	info, _ := os.Lstat(path)
	d := &commandSocket{listener: l, path: path, info: info, inbox: make(chan string, 4), change: make(chan struct{})}
	go d.serve()
	return d, nil
}

// privateDir makes a directory that is closed to others, or refuses one that
// another user has put there.
func privateDir(dir string) error {
	if err := config.EnsureDir(dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory of yours alone", dir)
	}
	return nil
}

func (d *commandSocket) serve() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.serving.Add(1)
		go func() {
			defer d.serving.Done()
			defer conn.Close()
			d.serveConn(conn)
		}()
	}
}

// serveConn takes one command and answers when it is carried out.
func (d *commandSocket) serveConn(conn net.Conn) {
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
	case commandStop, commandRestart:
		select {
		case d.inbox <- what:
		default: // four orders wait already
		}
		if what == commandRestart {
			<-change // it listens no more, or begins to
		}
	}
	disconnected := make(chan struct{})
	go func() { // the client may disconnect
		defer close(disconnected)
		_, _ = conn.Read(make([]byte, 1))
	}()
	for {
		d.mu.Lock()
		change, answer, listens := d.change, d.answer, d.listen
		d.mu.Unlock()
		if what == commandEnvironment {
			_ = json.NewEncoder(conn).Encode(commandResult{Env: d.environment()})
			return
		}
		if answer.Exited || listens && (what == commandWait || what == commandRestart) {
			_ = json.NewEncoder(conn).Encode(answer)
			return
		}
		select {
		case <-change:
		case <-disconnected:
			return
		}
	}
}

func (d *commandSocket) environment() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.env
}

// setEnvironment notes the variables that a command got which shell does not have.
func (d *commandSocket) setEnvironment(env, shell []string) {
	has := map[string]bool{}
	for _, entry := range shell {
		has[entry] = true
	}
	added := slices.DeleteFunc(slices.Clone(env), func(entry string) bool { return has[entry] || strings.HasPrefix(entry, "PATH=") })
	d.set(func() { d.env = added })
}

func (d *commandSocket) received() <-chan string {
	if d == nil {
		return nil
	}
	return d.inbox
}

func (d *commandSocket) set(do func()) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
	close(d.change)
	d.change = make(chan struct{})
}

func (d *commandSocket) setListening(r Running) {
	d.set(func() { d.listen, d.answer.Running = true, r })
}

func (d *commandSocket) setIdle() { d.set(func() { d.listen = false }) }

// exited takes no more orders and then answers all who wait.
func (d *commandSocket) setExited(code int) {
	d.retire()
	d.set(func() { d.answer.Exited, d.answer.Code = true, code })
}

// retire takes no more orders. The socket stays where another run of the name
// has put its own. It may be called twice.
func (d *commandSocket) retire() {
	if d == nil {
		return
	}
	if info, err := os.Lstat(d.path); err == nil && os.SameFile(info, d.info) {
		_ = os.Remove(d.path)
	}
	d.listener.Close()
}

// close retires the socket and returns when all waiting clients have been answered.
func (d *commandSocket) close() {
	if d == nil {
		return
	}
	d.retire()
	d.set(func() { d.answer.Exited = true })
	d.serving.Wait()
}

// sendCommand gives a run a command and waits until it is carried out.
func sendCommand(ctx context.Context, paths config.Paths, name, what string) (commandResult, error) {
	var answer commandResult
	name, err := appname.Check(name)
	if err != nil {
		return answer, err
	}
	var dialer net.Dialer
	path := commandSocketPath(paths, name)
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		err = privateDir(filepath.Dir(path)) // in /tmp somebody else may listen
	}
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
		// The run was killed: it has ended, with a status that was not recorded.
		return commandResult{Exited: true, Code: proctree.ExitSignal + 9}, nil
	}
	return answer, nil
}

// Stop ends the run of that name and its whole tree, and returns when it has
// ended, with its exit code. No such run is fault.NotFound.
func Stop(ctx context.Context, paths config.Paths, name string) (code int, err error) {
	a, err := sendCommand(ctx, paths, name, commandStop)
	return a.Code, err
}

// Restart ends the app and starts it again, with name, port and token as they
// were. It returns when the app listens again; an app that has ended instead is
// fault.Upstream. One that ran in the background and has crashed is started again, with
// this process's environment.
func Restart(ctx context.Context, paths config.Paths, name string) (Running, error) {
	a, err := sendCommand(ctx, paths, name, commandRestart)
	if fault.Is(err, fault.NotFound) {
		return restartCrashed(ctx, paths, name, err)
	}
	return listening(paths, name, a, err)
}

// Wait returns when the app of that name listens; at once where it does. One
// that ends first is fault.Upstream; no such run is fault.NotFound.
func Wait(ctx context.Context, paths config.Paths, name string) (Running, error) {
	a, err := sendCommand(ctx, paths, name, commandWait)
	return listening(paths, name, a, err)
}

// WaitExit returns when the run of that name has ended, with its exit code.
func WaitExit(ctx context.Context, paths config.Paths, name string) (code int, err error) {
	a, err := sendCommand(ctx, paths, name, commandWaitExit)
	return a.Code, err
}

func listening(paths config.Paths, name string, a commandResult, err error) (Running, error) {
	switch {
	case err == nil && a.Exited:
		f := fault.New(fault.Upstream, fmt.Sprintf("%s exited with code %d before it listened", name, a.Code))
		if info, stat := os.Stat(LogFile(paths, name)); stat == nil && info.Size() > 0 {
			f.Next = "hostless logs " + name
		}
		err = f
	case errors.Is(err, context.DeadlineExceeded):
		err = &fault.Error{Kind: fault.UpstreamTimeout, Message: name + " does not listen yet", Next: "hostless list", Err: err}
	}
	return a.Running, err
}
