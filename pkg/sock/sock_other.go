//go:build !linux

package sock

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// direct: on other platforms, system calls go through the system library, which Go calls
// in its own way.
const direct = false

func (t *transfer) receive(uintptr) bool { return true }
func (t *transfer) send(uintptr) bool    { return true }

// peek reads one byte without consuming it.
func peek(fd uintptr) (n int, errn syscall.Errno) {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err == nil {
			return n, 0
		}
		if errors.As(err, &errn) && errn == syscall.EINTR {
			continue
		}
		return 0, errn
	}
}
