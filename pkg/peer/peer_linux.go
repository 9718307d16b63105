package peer

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixCred asks for SO_PEERCRED (unix(7)).
func unixCred(fd int) (Cred, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Cred{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	return Cred{UID: int(c.Uid), PID: int(c.Pid)}, nil
}

// parent reads the fourth field of /proc/PID/stat (proc_pid_stat(5)). The
// second, in parentheses, may hold anything.
func parent(pid int) (int, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, syscall.ESRCH
	}
	if err != nil {
		return 0, err
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0, syscall.ESRCH
	}
	return strconv.Atoi(fields[1])
}
