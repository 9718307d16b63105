// Package procinfo owns information from the kernel about processes and their TCP
// sockets: the process table and its tree, the owner of the other end of a loopback
// connection, and the ports on which a process tree listens. On Linux it uses /proc and
// sock_diag(7), on macOS sysctl(3) and lsof(8).
//
// Nothing is cached. All functions are safe for concurrent use. Callers decide what
// follows from the information.
package procinfo

import (
	"errors"
	"syscall"
)

// ErrUnsupported means that the information is not available: the platform does not
// provide it, or a sandbox prevents access.
var ErrUnsupported = errors.New("the owner of a connection cannot be determined here")

// ErrGone means that no process holds the other end of the connection. The kernel
// attributes such sockets to root, so they must not be treated as root's.
var ErrGone = errors.New("the connection's other end is closed")

// Process is an entry of the process table.
type Process struct {
	PID, PPID int
	PGRP      int    // process group
	Depth     int    // distance from the root of Descendants, whose children have 1; otherwise 0
	Dead      bool   // a zombie, which is only kept because it may have descendants
	Start     string // start time in a platform-specific unit; PID and Start together identify a process
}

// Alive reports whether a process with that pid is running. A zombie, as in a container
// whose init does not reap processes, is not.
func Alive(pid int) bool {
	p, err := Stat(pid)
	return err == nil && !p.Dead
}

// Ancestors returns the pids of the ancestors of a process, its parent first. The search
// ends at the first process, or with an error at one that has exited (syscall.ESRCH) or
// is hidden. The error is about the last of ancestors, or about pid if ancestors is
// empty.
func Ancestors(pid int) (ancestors []int, err error) {
	for range 4096 { // prevents an endless loop if the table changes meanwhile
		if pid <= 1 {
			return ancestors, nil
		}
		p, err := Stat(pid)
		if err != nil {
			return ancestors, err
		}
		pid = p.PPID
		ancestors = append(ancestors, pid)
	}
	return ancestors, syscall.ELOOP
}
