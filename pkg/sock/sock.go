// Package sock owns what package net does not offer of a TCP connection: to look
// at what has arrived without taking it, reads and writes for small messages in
// great number, and the end of what is done for a client that hangs up.
//
// Who is at the other end is left to package peer.
package sock

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Conn reads and writes a TCP connection as the connection itself does,
// deadlines included, with less around the system call where the platform allows
// it: package net notifies Go's scheduler of each one, which for a call that never
// blocks costs more than it brings. One reader and one writer at a time.
type Conn struct {
	tcp   *net.TCPConn
	raw   syscall.RawConn
	read  transfer
	write transfer
	seen  look
	look  func(fd uintptr) bool
}

// transfer is a read or a write that is under way.
type transfer struct {
	p    []byte
	n    int
	errn syscall.Errno
	try  func(fd uintptr) (done bool) // made once: a closure for each would be garbage
}

// New makes a Conn of a connection, which the caller still owns.
func New(c *net.TCPConn) (*Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &Conn{tcp: c, raw: raw}
	q.read.try, q.write.try, q.look = q.read.receive, q.write.send, q.seen.peek
	return q, nil
}

// Read reads what has arrived, or waits for it.
func (c *Conn) Read(p []byte) (int, error) {
	if !direct || len(p) == 0 {
		return c.tcp.Read(p)
	}
	t := &c.read
	t.p, t.n, t.errn = p, 0, 0
	err := c.raw.Read(t.try)
	t.p = nil
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

// Write writes all of p.
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

// Silent is the function of that name.
func (c *Conn) Silent() bool { return c.raw.Read(c.look) == nil && c.seen.silent }

// Unread reports whether something has arrived that nobody has read. It does
// not wait, nor for a reader that waits on the connection.
func Unread(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n, _ = peek(fd) })
	return err == nil && n > 0
}

// Ends waits until the other side has ended its side, or the connection failed.
// It is false where something else has arrived instead, which stays to be read,
// or the connection's deadline for reading ended the wait.
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

// Silent reports whether a connection is open and nothing has arrived on it. It
// must not be called while another reads.
func Silent(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var l look
	return raw.Read(l.peek) == nil && l.silent
}

// look is a look at what has arrived.
type look struct{ silent bool }

func (l *look) peek(fd uintptr) bool {
	_, errn := peek(fd)
	l.silent = errn == syscall.EAGAIN
	return true
}
