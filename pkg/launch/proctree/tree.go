//go:build unix

package proctree

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

// Tree is a started command with all its descendants, as seen by its starter. The guard is
// a child of this process, the command is a child of the guard. The methods are safe for
// concurrent use. Orders to a tree that has ended do nothing.
type Tree struct {
	// Reports must be read until it is closed, after the whole tree and its guard have
	// ended.
	Reports <-chan Report

	guard   *exec.Cmd
	conn    net.Conn
	reports chan Report
	last    []string // the output's last lines, set before Reports is closed
	pid     int      // of the command and its process group

	mu  sync.Mutex // of out
	out *gob.Encoder
}

// Start starts a guard with the command line guardArgs, whose program must call Guard, and
// the three files as its standard streams, and makes it start the command. It returns when
// the command runs. The error wraps the syscall.Errno if the kernel refused to start it.
func Start(guardArgs []string, files [3]*os.File, command Command) (*Tree, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	ours, theirs := os.NewFile(uintptr(fds[0]), "guard"), os.NewFile(uintptr(fds[1]), "starter")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(guardArgs[0], guardArgs[1:]...)
	// The files themselves, not exec's pipes, so that a terminal remains a terminal. With
	// its own process group the guard does not get the terminal's signals.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{} // it needs none; the command's environment is sent over the socket
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	reports := make(chan Report, 8)
	t := &Tree{Reports: reports, guard: cmd, conn: conn, out: gob.NewEncoder(conn), reports: reports}
	if err := t.order(order{Op: opSpawn, Command: command}); err != nil {
		t.abandon()
		return nil, err
	}
	in := gob.NewDecoder(conn)
	var first Report
	if err := in.Decode(&first); err != nil || first.Kind != reportStarted {
		t.abandon()
		return nil, first.errno()
	}
	t.pid = first.PID
	go t.read(in)
	return t, nil
}

// abandon ends a guard that did not start its command.
func (t *Tree) abandon() {
	t.conn.Close()
	_ = t.guard.Wait()
}

// read forwards the guard's reports. A guard that ended without reporting an empty tree
// was killed. Its command died with it (see childAttr), and this process ends the rest of
// the tree.
func (t *Tree) read(in *gob.Decoder) {
	defer close(t.reports)
	exited, empty := false, false
	for {
		var r Report
		if in.Decode(&r) != nil {
			break
		}
		exited = exited || r.Kind == ReportExited
		if r.Kind == reportEmpty {
			empty, t.last = true, r.Log
		}
		t.reports <- r
	}
	t.conn.Close()
	_ = t.guard.Wait()
	if !exited {
		t.reports <- Report{Kind: ReportExited, Code: ExitSignal + int(syscall.SIGKILL), Signal: int(syscall.SIGKILL)}
	}
	if !empty {
		killOrphans(t.pid)
	}
}

// killOrphans kills the processes below this one, or in the process group, after a guard
// was killed.
func killOrphans(group int) {
	quiet := 0 // polls without a process: the table may change while it is read, so one is not enough
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

func (t *Tree) order(o order) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Encode(o)
}

// PID returns the command's process id, which is also its process group.
func (t *Tree) PID() int { return t.pid }

// LastLines returns the last lines of the output once Reports is closed. It is empty for a
// terminal, to which the command writes directly.
func (t *Tree) LastLines() []string { return t.last }

// End signals the whole tree, and kills what is left of it after the grace period.
func (t *Tree) End(sig syscall.Signal, grace time.Duration) {
	_ = t.order(order{Op: opEnd, Signal: int(sig), Grace: grace.Milliseconds()})
}

// Clear ends the processes that the command has left after it ended.
func (t *Tree) Clear(grace time.Duration) {
	_ = t.order(order{Op: opClear, Signal: int(syscall.SIGTERM), Grace: grace.Milliseconds()})
}

// Signal sends a signal to the command's process group.
func (t *Tree) Signal(sig syscall.Signal) {
	_ = t.order(order{Op: opSignal, Signal: int(sig)})
}

// RequestLines requests a ReportLines with the output's last lines.
func (t *Tree) RequestLines() { _ = t.order(order{Op: opLines}) }

// Resume continues a stopped command.
func (t *Tree) Resume() { _ = t.order(order{Op: opResume}) }

// Processes returns the command and its descendants from the process table.
func (t *Tree) Processes() []procinfo.Process { return procinfo.Descendants(t.guard.Process.Pid) }
