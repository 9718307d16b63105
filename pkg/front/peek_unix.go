package front

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hangsUp waits until a connection's client has said its last, or its
// connection broke. It is false where the client sent more instead, or the
// connection's deadline for reading ended the wait. Nothing is read.
func hangsUp(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	over := false
	err = raw.Read(func(fd uintptr) bool {
		for {
			var b [1]byte
			n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				return false
			}
			over = err != nil || n == 0
			return true
		}
	})
	return err == nil && over
}

// unread reports whether a connection has bytes that nobody has read yet. It
// does not wait for a reader that is blocked on the connection.
func unread(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, _ = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil && n > 0
}
