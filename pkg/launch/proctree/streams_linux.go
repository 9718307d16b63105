package proctree

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// reopen opens the file of a descriptor for reading (proc_pid_fd(5)), even if the file has
// been deleted.
func reopen(fd int) (*os.File, error) {
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
}
