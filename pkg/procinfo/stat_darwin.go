package procinfo

import (
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB in sys/proc.h.
const zombie = 5

// All returns the process table, zombies included.
func All() []Process {
	rows, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	all := make([]Process, 0, len(rows))
	for i := range rows {
		all = append(all, row(&rows[i]))
	}
	return all
}

// Stat returns the process with that pid. The error is syscall.ESRCH if there is none, or
// none that is visible.
func Stat(pid int) (Process, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return Process{}, syscall.ESRCH
	}
	return row(info), nil
}

func row(info *unix.KinfoProc) Process {
	return Process{
		PID: int(info.Proc.P_pid), PPID: int(info.Eproc.Ppid), PGRP: int(info.Eproc.Pgid), Dead: info.Proc.P_stat == zombie,
		Start: fmt.Sprintf("%d.%06d", info.Proc.P_starttime.Sec, info.Proc.P_starttime.Usec),
	}
}

// SocketOwner returns ErrUnsupported: macOS keeps the owners of TCP sockets in a table
// with a private layout that changes.
func SocketOwner(remote, local netip.AddrPort) (uid int, err error) { return 0, ErrUnsupported }

// SocketHolder returns ErrUnsupported, as SocketOwner does.
func SocketHolder(remote, local netip.AddrPort) (pid int, program string, err error) {
	return 0, "", ErrUnsupported
}
