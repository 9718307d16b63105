// Package procinfo owns what the kernel tells about processes and their TCP
// sockets: the process table, who is below whom, who owns the other end of a
// loopback connection, and what a process tree listens on. On Linux it reads
// /proc and asks sock_diag(7), on macOS sysctl(3) and lsof(8).
//
// Nothing is cached: each call is a look at the present. All functions are safe
// for concurrent use. What may be concluded is left to the callers.
package procinfo

import (
	"errors"
	"syscall"
)

// ErrUnsupported means that this machine does not tell: the platform has no way
// to, or a sandbox took it away.
var ErrUnsupported = errors.New("the owner of a connection cannot be determined here")

// ErrGone means that nobody holds the other end of the connection any more. The
// kernel attributes such sockets to root: they must not be taken for root's.
var ErrGone = errors.New("the connection's other end is closed")

// Process is one row of the process table.
type Process struct {
	PID, PPID int
	PGRP      int    // process group
	Depth     int    // below the root of Descendants, whose children have 1; else 0
	Dead      bool   // a zombie: it only links to what is below it
	Start     string // when it started, in a unit of the platform: with PID it names a process for good
}

// Alive reports whether a process of that pid runs. A zombie, as below a
// container's init that waits for nobody, does not.
func Alive(pid int) bool {
	p, err := Stat(pid)
	return err == nil && !p.Dead
}

// Ancestors returns the pids above a process, its parent first, as far as they
// can be seen: up to the first process, or to one that has ended meanwhile or is
// hidden, which err then is about (syscall.ESRCH where it has ended). The last of
// above, or pid itself where above is empty, is the process of the error.
func Ancestors(pid int) (ancestors []int, err error) {
	for range 4096 { // a table that changes while it is read could hold a loop
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
