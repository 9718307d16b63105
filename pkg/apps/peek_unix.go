//go:build unix

package apps

import "golang.org/x/sys/unix"

// silent reports whether a socket is open with nothing to be read.
func silent(fd uintptr) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == unix.EAGAIN || err == unix.EINTR
}
