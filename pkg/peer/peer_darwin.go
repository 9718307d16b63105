package peer

import (
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixCred asks for LOCAL_PEERCRED and LOCAL_PEERPID (unix(4)).
func unixCred(fd int) (Cred, error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return Cred{}, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		pid = 0
	}
	return Cred{UID: int(c.Uid), PID: pid}, nil
}

func parent(pid int) (int, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, syscall.ESRCH // no such process, or none that may be seen
	}
	return int(info.Eproc.Ppid), nil
}

// tcpOwner cannot be told: macOS keeps the owners of TCP sockets in a table
// whose layout is private and changes.
func tcpOwner(remote, local netip.AddrPort) (int, error) { return 0, ErrUnsupported }
