package peer

import (
	"os"

	"golang.org/x/sys/unix"
)

// unixCred uses LOCAL_PEERCRED and LOCAL_PEERPID (unix(4)).
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
