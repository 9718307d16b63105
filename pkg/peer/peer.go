// Package peer tells who is at the other end of a connection, by the kernel's
// word alone: the user and process behind a Unix socket, and the user behind a
// loopback TCP connection. It also tells whether one process runs below another.
//
// What may be done with the answer is left to packages front and control.
package peer

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ErrUnsupported means that this machine cannot tell who connects: the platform
// has no way to, or a sandbox took it away.
var ErrUnsupported = errors.New("the owner of a connection cannot be told here")

// ErrGone means that nobody holds the other end any more, or that the process
// has ended. The kernel gives such sockets to root: they must not be taken for
// root's.
var ErrGone = errors.New("the connection's other end is closed")

// Cred is a process at the other end of a Unix socket, as it was when it
// connected. PID is 0 where the kernel does not tell it.
type Cred struct {
	UID int
	PID int
}

// Unix tells who connected to a Unix socket. conn is a *net.UnixConn, or wraps
// one with a NetConn method.
func Unix(conn net.Conn) (Cred, error) {
	u, ok := unwrap(conn).(*net.UnixConn)
	if !ok {
		return Cred{}, fmt.Errorf("peer of %T: not a Unix socket", conn)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Cred{}, fmt.Errorf("peer of Unix socket: %w", err)
	}
	var cred Cred
	var inner error
	if err := raw.Control(func(fd uintptr) { cred, inner = unixCred(int(fd)) }); err != nil {
		return Cred{}, fmt.Errorf("peer of Unix socket: %w", err)
	}
	if inner != nil {
		return Cred{}, fmt.Errorf("peer of Unix socket: %w", inner)
	}
	return cred, nil
}

// TCPOwner tells the uid of the user whose process holds the other end of a
// TCP connection within this machine. The error is ErrUnsupported where that
// cannot be found out at all, ErrGone where the other end is already closed or
// not on this machine. It costs one exchange with the kernel: ask once for each
// connection.
func TCPOwner(conn net.Conn) (uid int, err error) {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("owner of %T: not a TCP connection", conn)
	}
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("owner of %T: not a TCP connection", conn)
	}
	return tcpOwner(remote.AddrPort(), local.AddrPort())
}

// Below reports whether process pid is ancestor or runs below it. The error is
// ErrGone where pid has ended: whose it was cannot be told any more. Parents that
// have ended, or are hidden from us, are above nothing.
func Below(pid, ancestor int) (bool, error) {
	var at int
	for range 3 { // a parent that ends while we climb leaves its child to another
		var found bool
		var err error
		if found, at, err = climb(pid, ancestor); found || err == nil {
			return found, nil
		} else if !errors.Is(err, syscall.ESRCH) {
			return false, fmt.Errorf("parent of process %d: %w", at, err)
		}
	}
	if at == pid {
		return false, ErrGone
	}
	return false, nil
}

// climb goes from pid to its parents until it meets ancestor, or the first of
// all. An error is about process at.
func climb(pid, ancestor int) (found bool, at int, err error) {
	for range 4096 { // a table that changes while it is read could hold a loop
		if pid == ancestor {
			return true, pid, nil
		}
		if pid <= 1 {
			break
		}
		up, err := parent(pid)
		if err != nil {
			return false, pid, err
		}
		pid = up
	}
	return false, pid, nil
}

// unwrap finds the connection inside others, such as *tls.Conn.
func unwrap(conn net.Conn) net.Conn {
	for {
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = w.NetConn()
	}
}
