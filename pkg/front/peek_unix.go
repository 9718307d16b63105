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
