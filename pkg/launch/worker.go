//go:build unix

package launch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch/proctree"
)

// workerArg is the argument after GuardArg that makes the process a run instead of a
// guard.
const workerArg = "worker"

// workerFD is the socket to the process that started a worker.
const workerFD = 3

// Guard is the main function of a process that is started with GuardArg. It guards the
// command of a run, or is a run itself: in the background, or one of several. It returns
// the process's exit code.
func Guard() int {
	if len(os.Args) > 2 && os.Args[2] == workerArg {
		return workerMain()
	}
	return proctree.Guard()
}

// workerSpec is what a worker receives over its socket.
type workerSpec struct {
	Config
	Log string // log file of a detached run

	// They replace Config's fields, since they need not be UTF-8, which JSON requires.
	Args [][]byte
	Dir  []byte
}

func specOf(c Config, log string) workerSpec {
	spec := workerSpec{Config: c, Log: log, Dir: []byte(c.Dir)}
	for _, arg := range c.Args {
		spec.Args = append(spec.Args, []byte(arg))
	}
	return spec
}

func (s workerSpec) config() Config {
	c := s.Config
	c.Dir, c.Args = string(s.Dir), nil
	for _, arg := range s.Args {
		c.Args = append(c.Args, string(arg))
	}
	return c
}

// workerReport is a worker's report that it is running, or why it is not.
type workerReport struct {
	Running *Running   `json:"running,omitempty"`
	Kind    fault.Kind `json:"kind,omitempty"`
	Message string     `json:"message,omitempty"`
	Next    string     `json:"next,omitempty"`
	Code    int        `json:"code"`
	Ended   bool       `json:"ended,omitempty"`
}

// worker is a run in its own process, as seen by the process that started it.
type worker struct {
	cmd  *exec.Cmd
	conn net.Conn
	in   *json.Decoder
}

// startWorker starts a run in a new process. A detached one gets a new session; any other
// ends when the connection is closed or this process ends.
func startWorker(c Config, log string, out *os.File) (*worker, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	ours, theirs := os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "run")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Self[0], append(c.Self[1:len(c.Self):len(c.Self)], workerArg)...)
	cmd.Dir = c.Dir
	cmd.Env = c.Environ
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{theirs}
	// With its own process group, only the starter gets the terminal's Ctrl-C, and
	// forwards it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: c.Detach, Setpgid: !c.Detach}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	w := &worker{cmd: cmd, conn: conn, in: json.NewDecoder(conn)}
	if err := json.NewEncoder(conn).Encode(specOf(c, log)); err != nil {
		w.conn.Close()
		_ = cmd.Wait()
		return nil, err
	}
	return w, nil
}

// awaitStart waits until the worker is running. Otherwise it returns the exit code and the
// error.
func (w *worker) awaitStart() (Running, int, error) {
	var rep workerReport
	if err := w.in.Decode(&rep); err != nil {
		return Running{}, 1, &fault.Error{Kind: fault.Internal, Message: "the run ended before its command started", Err: err}
	}
	if rep.Running != nil {
		return *rep.Running, 0, nil
	}
	if rep.Message == "" { // it started and has already ended
		return Running{}, rep.Code, nil
	}
	return Running{}, rep.Code, &fault.Error{Kind: rep.Kind, Message: rep.Message, Next: rep.Next}
}

// workerMain is the main function of the process that startWorker starts.
func workerMain() int {
	syscall.CloseOnExec(workerFD)
	file := os.NewFile(workerFD, "starter")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return 2
	}
	defer conn.Close()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	var spec workerSpec
	if in.Decode(&spec) != nil {
		return 2
	}
	c := spec.config()
	c.Environ = os.Environ()
	c.Client = control.NewClient(c.Paths.Socket)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !c.Detach {
		go func() {
			defer cancel() // the starter has ended, or requests the end
			_, _ = io.Copy(io.Discard, conn)
		}()
	}
	r := &run{Config: c, planned: c.AppPort}
	r.Detach = false
	r.log = spec.Log
	r.started = func(got Running) {
		if r.background() && !r.Unrouted {
			r.record()
		}
		_ = out.Encode(workerReport{Running: &got})
	}
	code, err := r.run(ctx)
	if r.background() && (code == 0 || r.endRequested) {
		r.forget()
	}
	rep := workerReport{Code: code, Ended: true}
	var f *fault.Error
	if errors.As(err, &f) {
		rep.Kind, rep.Message, rep.Next = f.Kind, f.Message, f.Next
	}
	_ = out.Encode(rep)
	return code
}

// detach starts the run in the background and prints where it is. If ctx ends before the
// run has its name, the run ends too.
func (r *run) detach(ctx context.Context) (code int, err error) {
	path := LogFile(r.Paths, r.Name)
	log, err := openLog(path)
	if err != nil {
		return failed(&fault.Error{Kind: fault.Internal, Message: "the log " + path + " cannot be written", Err: err})
	}
	defer log.Close()
	c := r.Config
	c.AppPort = r.planned
	w, err := startWorker(c, path, log)
	if err != nil {
		return failed(err)
	}
	defer w.conn.Close()
	stop := context.AfterFunc(ctx, w.abandon)
	got, code, err := w.awaitStart()
	if !stop() {
		_ = w.cmd.Wait()
		return proctree.ExitSignal + int(syscall.SIGINT), ctx.Err()
	}
	if err != nil || got.PID == 0 {
		_ = w.cmd.Wait()
		return code, err
	}
	_ = w.cmd.Process.Release()
	r.note("%s is running in the background (pid %d); hostless logs %s, hostless stop %s", got.URL, got.PID, got.Name, got.Name)
	return 0, nil
}

// abandon ends a worker that is still starting, and everything that it has started.
func (w *worker) abandon() {
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	time.AfterFunc(abandonTimeout, func() { _ = w.cmd.Process.Kill() }) // its guard ends the command
}

// abandonTimeout is how long a worker that has already started its command has to end.
const abandonTimeout = 2 * time.Second
