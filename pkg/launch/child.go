//go:build unix

package launch

import (
	"encoding/gob"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/procinfo"
	"golang.org/x/sys/unix"
)

// child is a started command, seen from the run: the guard is this process's
// own child, the command is the guard's.
type child struct {
	guard   *exec.Cmd
	conn    net.Conn
	reports chan report // closed after the guard has ended
	last    []string    // the output's last lines, once reports is closed

	mu  sync.Mutex // of out
	out *gob.Encoder
	pid int // of the command, and its process group
}

// startChild starts the guard with the three files and has it start the
// command. It returns when the command runs; an error is the kernel's reason.
func startChild(guardArgs []string, files [3]*os.File, spawn order) (*child, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	ours, theirs := os.NewFile(uintptr(fds[0]), "guard"), os.NewFile(uintptr(fds[1]), "run")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(guardArgs[0], guardArgs[1:]...)
	// Not through exec's pipes: the files themselves, so that a terminal stays
	// one. The guard's own group keeps the terminal's signals from it.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{} // it needs none; the command's comes over the socket
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	c := &child{guard: cmd, conn: conn, out: gob.NewEncoder(conn), reports: make(chan report, 8)}
	if err := c.order(spawn); err != nil {
		c.abandon()
		return nil, err
	}
	in := gob.NewDecoder(conn)
	var first report
	if err := in.Decode(&first); err != nil || first.Said != saidStarted {
		c.abandon()
		return nil, first.errno()
	}
	c.pid = first.PID
	go c.read(in)
	return c, nil
}

// abandon ends a guard that did not start its command.
func (c *child) abandon() {
	c.conn.Close()
	_ = c.guard.Wait()
}

// read passes the guard's reports on. A guard that ended without a last word
// was killed: its command died with it (see childAttr), and what it leaves is
// this process's to end.
func (c *child) read(in *gob.Decoder) {
	defer close(c.reports)
	exited, empty := false, false
	for {
		var r report
		if in.Decode(&r) != nil {
			break
		}
		exited = exited || r.Said == saidExited
		if r.Said == saidEmpty {
			empty, c.last = true, r.Log
		}
		c.reports <- r
	}
	c.conn.Close()
	_ = c.guard.Wait()
	if !exited {
		c.reports <- report{Said: saidExited, Code: exitSignal + int(syscall.SIGKILL), Signal: int(syscall.SIGKILL)}
	}
	if !empty {
		killOrphans(c.pid)
	}
}

// killOrphans ends what is below this process, or in the group, after a guard
// was killed.
func killOrphans(group int) {
	quiet := 0 // looks at an empty tree: the table changes while it is read, so one is not enough
	for round := 0; round < killRounds && quiet < 2; round++ {
		_ = syscall.Kill(-group, syscall.SIGKILL)
		tree := procinfo.Descendants(os.Getpid())
		if quiet++; len(tree) > 0 {
			quiet = 0
		}
		for _, p := range tree {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
		time.Sleep(killEvery)
	}
}

func (c *child) order(o order) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Encode(o)
}

// end signals the whole tree; what is left of it after the grace is killed.
func (c *child) end(sig syscall.Signal, grace time.Duration) {
	_ = c.order(order{Op: opEnd, Signal: int(sig), Grace: grace.Milliseconds()})
}

// clear ends what the command, which has ended, left behind.
func (c *child) clear(grace time.Duration) {
	_ = c.order(order{Op: opClear, Signal: int(syscall.SIGTERM), Grace: grace.Milliseconds()})
}

// signal passes a signal to the command's process group.
func (c *child) signal(sig syscall.Signal) {
	_ = c.order(order{Op: opSignal, Signal: int(sig)})
}

// tell asks for the output's last lines.
func (c *child) tell() { _ = c.order(order{Op: opTell}) }

// resume continues a stopped command.
func (c *child) resume() { _ = c.order(order{Op: opResume}) }

// tree is the command and what is below it.
func (c *child) tree() []procinfo.Process { return procinfo.Descendants(c.guard.Process.Pid) }
