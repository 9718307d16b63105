package proctree

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeReaper makes this process adopt the orphans of its descendants
// (PR_SET_CHILD_SUBREAPER of prctl(2)), so that a server that turns itself into a daemon
// stays in its tree.
func BecomeReaper() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// childAttr makes the kernel kill the child when its guard dies. The thread that forks must
// not end before the guard: see Guard.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
