package proctree

import (
	"bytes"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reopen opens the file of a descriptor for reading, by its path (F_GETPATH of fcntl(2)),
// since /dev/fd gives no more access than the descriptor.
func reopen(fd int) (*os.File, error) {
	path := make([]byte, unix.PathMax)
	if _, _, errno := unix.Syscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETPATH, uintptr(unsafe.Pointer(&path[0]))); errno != 0 {
		return nil, errno
	}
	name, _, _ := bytes.Cut(path, []byte{0})
	return os.OpenFile(string(name), os.O_RDONLY|unix.O_NONBLOCK, 0)
}
