package peer

import (
	"os"

	"golang.org/x/sys/unix"
)

// unixCred uses SO_PEERCRED (unix(7)).
func unixCred(fd int) (Cred, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Cred{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	return Cred{UID: int(c.Uid), PID: int(c.Pid)}, nil
}
