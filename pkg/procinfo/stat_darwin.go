package procinfo

import (
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h.
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

// Stat looks at one process. The error is syscall.ESRCH where there is none of
// that pid, or none that may be seen.
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

// SocketOwner is not supported: macOS keeps the owners of TCP sockets in a table
// whose layout is private and changes.
func SocketOwner(remote, local netip.AddrPort) (uid int, err error) { return 0, ErrUnsupported }

// SocketHolder cannot be found, as SocketOwner cannot.
func SocketHolder(remote, local netip.AddrPort) (pid int, program string, err error) {
	return 0, "", ErrUnsupported
}
