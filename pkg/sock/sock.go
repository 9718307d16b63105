// Package sock owns operations on TCP connections that package net does not offer:
// peeking at data that has arrived, fast reads and writes of many small messages, and
// canceling a request when its client disconnects.
//
// Package peer determines who is at the other end.
package sock

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Conn reads and writes a TCP connection like net.TCPConn, including deadlines, with less
// overhead per system call where the platform allows it: package net notifies Go's
// scheduler of each call, which is wasted on calls that never block. At most one
// goroutine may read and one may write at a time.
type Conn struct {
	tcp   *net.TCPConn
	raw   syscall.RawConn
	read  transfer
	write transfer
	seen  look
	look  func(fd uintptr) bool
}

// transfer is the state of a read or a write.
type transfer struct {
	p    []byte
	n    int
	errn syscall.Errno
	try  func(fd uintptr) (done bool) // created once, because a closure per call would need an allocation
	into func(fd uintptr) (done bool) // like try, with a pooled buffer
}

// New returns a Conn for a connection. The caller keeps the ownership of c.
func New(c *net.TCPConn) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &Conn{tcp: c, raw: raw}
	q.read.try, q.read.into, q.write.try, q.look = q.read.receive, q.read.receivePooled, q.write.send, q.seen.peek
	return q, nil
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	if !direct || len(p) == 0 {
		return c.tcp.Read(p)
	}
	t := &c.read
	t.p, t.n, t.errn = p, 0, 0
	err := c.raw.Read(t.try)
	t.p = nil
	return t.result(err)
}

// result returns the outcome of a read whose wait returned err.
func (t *transfer) result(err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case t.errn != 0:
		return 0, os.NewSyscallError("recvfrom", t.errn)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// ReadBuffer waits until data arrives and reads it into the first n bytes of a buffer from
// GetBuffer, which the caller returns with PutBuffer. On Linux, a connection holds no buffer
// while it waits. buf is nil if err is not.
func (c *Conn) ReadBuffer() (buf []byte, n int, err error) {
	if !direct {
		buf = GetBuffer()
		n, err = c.tcp.Read(buf)
	} else {
		t := &c.read
		t.n, t.errn = 0, 0
		n, err = t.result(c.raw.Read(t.into))
		buf, t.p = t.p, nil
	}
	if n == 0 && buf != nil {
		PutBuffer(buf)
		buf = nil
	}
	return buf, n, err
}

// receivePooled is receive with a pooled buffer, which it returns if there is no data yet.
func (t *transfer) receivePooled(fd uintptr) bool {
	t.p = GetBuffer()
	if t.receive(fd) {
		return true
	}
	PutBuffer(t.p)
	t.p = nil
	return false
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	if !direct || len(p) == 0 {
		return c.tcp.Write(p)
	}
	t := &c.write
	t.p, t.n, t.errn = p, 0, 0
	err := c.raw.Write(t.try)
	t.p = nil
	if err == nil && t.errn != 0 {
		err = os.NewSyscallError("sendto", t.errn)
	}
	return t.n, err
}

// Silent is the function Silent for this connection.
func (c *Conn) Silent() bool { return c.raw.Read(c.look) == nil && c.seen.silent }

// Unread reports whether data has arrived that has not been read. It never waits, not
// even for a concurrent Read.
func Unread(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n, _ = peek(fd) })
	return err == nil && n > 0
}

// Ends waits until the peer has closed its side, or the connection has failed. It returns
// false if data arrives instead, which remains unread, or if the read deadline expires.
func Ends(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	over := false
	err = raw.Read(func(fd uintptr) bool {
		n, errn := peek(fd)
		over = errn != 0 || n == 0
		return errn != syscall.EAGAIN
	})
	return err == nil && over
}

// Silent reports whether a connection is open and has no unread data. It must not be
// called concurrently with a Read.
func Silent(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var l look
	return raw.Read(l.peek) == nil && l.silent
}

// look is the result of a check for unread data.
type look struct{ silent bool }

func (l *look) peek(fd uintptr) bool {
	_, errn := peek(fd)
	l.silent = errn == syscall.EAGAIN
	return true
}
