package front

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peek waits for a connection's first byte and leaves it there.
func peek(c *net.TCPConn) (byte, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var b [1]byte
	var n int
	var inner error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, inner = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
			if inner != syscall.EINTR {
				return inner != syscall.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case inner != nil:
		return 0, inner
	case n == 0:
		return 0, io.EOF
	}
	return b[0], nil
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
