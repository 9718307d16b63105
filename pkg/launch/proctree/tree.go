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

// Tree is a started command with all that is below it, seen from its starter: the
// guard is this process's own child, the command is the guard's. Its methods are
// safe for concurrent use; orders to a tree that has ended do nothing.
type Tree struct {
	// Reports must be read until it is closed, which is after the whole tree and
	// its guard have ended.
	Reports <-chan Report

	guard   *exec.Cmd
	conn    net.Conn
	reports chan Report
	last    []string // the output's last lines, once reports is closed
	pid     int      // of the command, and its process group

	mu  sync.Mutex // of out
	out *gob.Encoder
}

// Start starts a guard, by the command line guardArgs whose program calls Guard,
// with the three files as its standard streams, and has it start the command. It
// returns when the command runs; an error is the kernel's reason.
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

// read passes the guard's reports on. A guard that ended without reporting
// an empty tree was killed: its command died with it (see childAttr), and what it leaves is
// this process's to end.
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

func (t *Tree) order(o order) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Encode(o)
}

// PID is the command's process id and process group.
func (t *Tree) PID() int { return t.pid }

// LastLines are the last lines of the output, once Reports is closed. It is empty
// for a terminal, which the command has itself.
func (t *Tree) LastLines() []string { return t.last }

// End signals the whole tree; what is left of it after the grace is killed.
func (t *Tree) End(sig syscall.Signal, grace time.Duration) {
	_ = t.order(order{Op: opEnd, Signal: int(sig), Grace: grace.Milliseconds()})
}

// Clear ends what the command, which has ended, left behind.
func (t *Tree) Clear(grace time.Duration) {
	_ = t.order(order{Op: opClear, Signal: int(syscall.SIGTERM), Grace: grace.Milliseconds()})
}

// Signal passes a signal to the command's process group.
func (t *Tree) Signal(sig syscall.Signal) {
	_ = t.order(order{Op: opSignal, Signal: int(sig)})
}

// RequestLines asks for the output's last lines, which come as a ReportLines.
func (t *Tree) RequestLines() { _ = t.order(order{Op: opLines}) }

// Resume continues a stopped command.
func (t *Tree) Resume() { _ = t.order(order{Op: opResume}) }

// Processes are the command and what is below it, by a look at the process table.
func (t *Tree) Processes() []procinfo.Process { return procinfo.Descendants(t.guard.Process.Pid) }
