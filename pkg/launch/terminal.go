//go:build unix

package launch

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/procinfo"
	"golang.org/x/sys/unix"
)

// stopTimeout is how long to wait for a stop of this process to take effect. It expires
// only if another process has continued this one in between.
const stopTimeout = 300 * time.Millisecond

// terminal is the controlling terminal. The command is in its foreground while it runs,
// this process otherwise. The methods of a nil terminal do nothing.
//
// The command has its own process group, as in a shell. It therefore gets a Ctrl-C once,
// from the kernel, and every signal that this process gets must be forwarded.
type terminal struct {
	tty *os.File
	own int // this process's group
}

// openTerminal returns the controlling terminal, nil if there is none. It makes the
// process ignore SIGTTOU, which it would get when it changes the foreground group from the
// background.
func openTerminal() *terminal {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	signal.Ignore(syscall.SIGTTOU)
	return &terminal{tty: tty, own: unix.Getpgrp()}
}

func (t *terminal) close() {
	if t != nil {
		t.tty.Close()
	}
}

// foreground returns the terminal's foreground process group, -1 for none.
func (t *terminal) foreground() int {
	if t == nil {
		return -1
	}
	group, err := unix.IoctlGetInt(int(t.tty.Fd()), unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

// mine reports whether this process's group is in the foreground.
func (t *terminal) mine() bool { return t != nil && t.foreground() == t.own }

// give puts a group into the foreground.
func (t *terminal) give(group int) {
	if t != nil {
		_ = unix.IoctlSetPointerInt(int(t.tty.Fd()), unix.TIOCSPGRP, group)
	}
}

// takeBack puts this process's group into the foreground if the given group is there.
func (t *terminal) takeBack(group int) {
	if t != nil && t.foreground() == group {
		t.give(t.own)
	}
}

// alone reports whether the process group contains only this process and its ancestors.
// Other members, such as the `less` of a pipeline or the jobs of make -j, need the
// terminal and its signals as much as the command does.
func (t *terminal) alone() bool {
	if t == nil {
		return false
	}
	all := procinfo.All()
	parents := map[int]int{}
	for _, p := range all {
		parents[p.PID] = p.PPID
	}
	ancestors := map[int]bool{}
	for pid := os.Getpid(); pid > 1 && !ancestors[pid]; pid = parents[pid] {
		ancestors[pid] = true
	}
	return !slices.ContainsFunc(all, func(p procinfo.Process) bool { return p.PGRP == t.own && !p.Dead && !ancestors[p.PID] })
}

// stopSelf stops this process as Ctrl-Z does, so that the shell sees it, and returns when
// it has been continued. cont has its SIGCONT. With others it also stops the rest of its
// group, as the terminal does with its foreground group. Without a shell above nothing
// could continue it, so it is not stopped; the kernel does the same with the terminal's
// stop signal.
func (t *terminal) stopSelf(cont <-chan os.Signal, others bool) {
	if orphanedGroup() {
		return
	}
	for len(cont) > 0 {
		<-cont
	}
	// A Go program that has once handled TSTP keeps the runtime's handler and is no longer
	// stopped by it, so this process stops itself with STOP. It sends itself no TSTP: a
	// handler that ran only after the stop would stop it again.
	for _, p := range procinfo.All() {
		if others && p.PGRP == t.own && p.PID != os.Getpid() && !p.Dead {
			_ = syscall.Kill(p.PID, syscall.SIGTSTP)
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	select {
	case <-cont:
	case <-time.After(stopTimeout):
	}
}

// orphanedGroup reports whether the group has no parent process in its session, such as a
// shell with job control.
func orphanedGroup() bool {
	group := unix.Getpgrp()
	session, err := unix.Getsid(0)
	if err != nil {
		return true
	}
	parents := map[int]procinfo.Process{}
	for _, p := range procinfo.All() {
		parents[p.PID] = p
	}
	for pid := os.Getppid(); pid > 1; {
		p, ok := parents[pid]
		if !ok {
			return true
		}
		if sid, err := unix.Getsid(pid); err != nil || sid != session {
			return true
		}
		if p.PGRP != group {
			return false
		}
		pid = p.PPID
	}
	return true
}
