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

// stopTimeout is how long a stop of this process may take to arrive; it is
// longer than any, and only passes where the stop was undone unseen.
const stopTimeout = 300 * time.Millisecond

// terminal is the controlling terminal and who of this run is in its
// foreground: the command while it runs, this process otherwise. A nil terminal
// is none, and does nothing.
//
// The command has a process group of its own, as below a shell: Ctrl-C reaches
// it once and by the kernel alone, and every signal that reaches this process
// was meant to be passed on.
type terminal struct {
	tty *os.File
	own int // this process's group
}

// openTerminal finds the controlling terminal, nil where there is none. From
// then on SIGTTOU is ignored: this process moves the foreground from the
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

// foreground gives the terminal's foreground group, -1 for none.
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

// give moves a group into the foreground.
func (t *terminal) give(group int) {
	if t != nil {
		_ = unix.IoctlSetPointerInt(int(t.tty.Fd()), unix.TIOCSPGRP, group)
	}
}

// takeBack moves this process's group into the foreground, where the group
// given has it now.
func (t *terminal) takeBack(group int) {
	if t != nil && t.foreground() == group {
		t.give(t.own)
	}
}

// alone reports whether nobody but this process, and those above it, is in its
// group. Others beside it, as the `less` of a pipeline or what make -j runs, need
// the terminal and its signals as much as the command does.
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

// stopSelf stops this process as Ctrl-Z does, for the shell above to see, and
// returns when it was continued. cont carries its SIGCONT. With others the rest
// of its group is stopped too, which the terminal did where the group is its
// foreground. Without a shell above nothing could continue it, so it is not
// stopped, as the kernel has it for the terminal's own stop signal.
func (t *terminal) stopSelf(cont <-chan os.Signal, others bool) {
	if orphanedGroup() {
		return
	}
	for len(cont) > 0 {
		<-cont
	}
	// A Go program that ever asked for TSTP keeps the runtime's handler and does
	// not stop by it any more, so its own stop is a STOP. It gets no TSTP from
	// here: one that its handler saw only after the stop would stop it again.
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

// orphanedGroup reports whether no process above this one's group is of its
// session, such as a shell with job control would be.
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
