// Package peer finds out who is at the other end of a connection, by the kernel's
// word alone: the user and process behind a Unix socket, and the user behind a
// loopback TCP connection. It also reports whether one process runs below another.
//
// What may be done with the answer is left to packages front and control.
package peer

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/hostless/hostless/pkg/procinfo"
)

// ErrUnsupported means that this machine cannot tell who connects: the platform
// has no way to, or a sandbox took it away.
var ErrUnsupported = procinfo.ErrUnsupported

// ErrGone means that nobody holds the other end any more, or that the process
// has ended. The kernel gives such sockets to root: they must not be taken for
// root's.
var ErrGone = procinfo.ErrGone

// Cred is a process at the other end of a Unix socket, as it was when it
// connected. PID is 0 where the kernel does not tell it.
type Cred struct {
	UID int
	PID int
}

// Unix reports who connected to a Unix socket. conn is a *net.UnixConn, or wraps
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

// TCPOwner gives the uid of the user whose process holds the other end of a
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
	return procinfo.SocketOwner(remote.AddrPort(), local.AddrPort())
}

// Below reports whether process pid is ancestor or runs below it. The error is
// ErrGone where pid has ended: its owner is no longer known. Parents that
// have ended, or are hidden from us, are above nothing.
func Below(pid, ancestor int) (bool, error) {
	if pid == ancestor {
		return true, nil
	}
	at := pid
	for range 3 { // a parent that ends while we climb leaves its child to another
		ancestors, err := procinfo.Ancestors(pid)
		if slices.Contains(ancestors, ancestor) || err == nil || errors.Is(err, syscall.ELOOP) {
			return slices.Contains(ancestors, ancestor), nil
		}
		if at = pid; len(ancestors) > 0 {
			at = ancestors[len(ancestors)-1]
		}
		if !errors.Is(err, syscall.ESRCH) {
			return false, fmt.Errorf("parent of process %d: %w", at, err)
		}
	}
	if at == pid {
		return false, ErrGone
	}
	return false, nil
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
