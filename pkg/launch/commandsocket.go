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

// The commands that a run accepts on its command socket.
const (
	commandStop        = "stop"
	commandRestart     = "restart"
	commandWait        = "wait"        // answered when the app listens
	commandWaitExit    = "wait-end"    // answered when the run has ended
	commandEnvironment = "environment" // the variables that its command got
)

// commandResult is a run's response to a command, sent when the command is done.
type commandResult struct {
	Running Running  `json:"running"`
	Exited  bool     `json:"exited"`
	Code    int      `json:"code"`
	Env     []string `json:"env,omitempty"` // the response to commandEnvironment
}

// commandSocket is the Unix socket on which a run accepts commands. It is in the state
// directory, which other users cannot enter, and is found by the run's name. It works
// without a daemon. A nil commandSocket accepts no commands.
type commandSocket struct {
	listener net.Listener
	path     string
	info     os.FileInfo
	inbox    chan string

	mu      sync.Mutex
	change  chan struct{} // closed and replaced at each change
	answer  commandResult
	listen  bool
	env     []string // the variables that only the command has, not the run
	serving sync.WaitGroup
}

// maxSocketPath is the longest path of a socket on every platform, in bytes: sun_path of
// unix(7) and unix(4) without the terminating zero.
const maxSocketPath = 103

// commandSocketPath returns the path of a run's socket, which is short for names of any
// length. Where the state directory's path is too long for a socket, it is in a private
// directory in /tmp that is derived from the state directory.
func commandSocketPath(paths config.Paths, name string) string {
	file := appname.Hash(name) + appname.Hash("2"+name) + ".sock"
	path := filepath.Join(paths.Home, "runs", file)
	if len(path) <= maxSocketPath {
		return path
	}
	return filepath.Join("/tmp", fmt.Sprintf("hostless-%d-%s%s", os.Getuid(), appname.Hash(paths.Home), appname.Hash("2"+paths.Home)), file)
}

// openCommandSocket starts to accept commands for a run. With an error the socket is
// nil, which is valid and accepts none.
func openCommandSocket(paths config.Paths, name string) (*commandSocket, error) {
	path := commandSocketPath(paths, name)
	if err := privateDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	// The daemon has just confirmed that this run holds the name. A run that listens
	// here has lost the name, or has died.
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

// privateDir creates a directory with mode 0700. It is an error if it exists and other
// users own it or have access to it.
func privateDir(dir string) error {
	if err := config.EnsureDir(dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory that only you can access", dir)
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

// serveConn reads one command and responds when it is done.
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
		default: // the inbox is full: earlier commands end the app anyway
		}
		if what == commandRestart {
			<-change // the app has stopped to listen, or has started
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

// setEnvironment records the variables in env that shell does not have.
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

// setExited accepts no more commands and answers all waiting clients.
func (d *commandSocket) setExited(code int) {
	d.retire()
	d.set(func() { d.answer.Exited, d.answer.Code = true, code })
}

// retire accepts no more commands. It removes the socket unless another run of the name
// has replaced it. It may be called twice.
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

// sendCommand sends a command to a run and waits until it is done.
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
		err = privateDir(filepath.Dir(path)) // in /tmp another user may listen
	}
	if err != nil {
		if ctx.Err() != nil {
			return answer, ctx.Err()
		}
		return answer, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no app %q is running", name), Next: "hostless list", Err: err}
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
		// The run was killed, so nothing has recorded its exit code.
		return commandResult{Exited: true, Code: proctree.ExitSignal + 9}, nil
	}
	return answer, nil
}

// Stop ends the run of that name and its whole process tree, and returns its exit code
// when it has ended. The error is fault.NotFound if there is no such run.
func Stop(ctx context.Context, paths config.Paths, name string) (code int, err error) {
	a, err := sendCommand(ctx, paths, name, commandStop)
	return a.Code, err
}

// Restart ends the app and starts it again with the same name, port and token. It
// returns when the app listens again; the error is fault.Upstream if the app ends before
// that. An app in the background that has crashed is started again, with this process's
// environment.
func Restart(ctx context.Context, paths config.Paths, name string) (Running, error) {
	a, err := sendCommand(ctx, paths, name, commandRestart)
	if fault.Is(err, fault.NotFound) {
		return restartCrashed(ctx, paths, name, err)
	}
	return listening(paths, name, a, err)
}

// Wait returns when the app of that name listens, at once if it already does. The error
// is fault.Upstream if the app ends before, and fault.NotFound if there is no such run.
func Wait(ctx context.Context, paths config.Paths, name string) (Running, error) {
	a, err := sendCommand(ctx, paths, name, commandWait)
	return listening(paths, name, a, err)
}

// WaitExit returns the exit code of the run of that name when it has ended.
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
