// Package peer determines, from the kernel only, who is at the other end of a connection:
// the user and process of a Unix socket, and the user of a loopback TCP connection. It
// also reports whether one process is a descendant of another.
//
// Packages front and control decide what a peer may do.
package peer

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/hostless/hostless/pkg/procinfo"
)

// ErrUnsupported means that the peer cannot be determined: the platform provides no way,
// or a sandbox prevents it.
var ErrUnsupported = procinfo.ErrUnsupported

// ErrGone means that the other end is closed, or that the process has exited. The kernel
// attributes such sockets to root, so they must not be treated as root's.
var ErrGone = procinfo.ErrGone

// Cred identifies the process at the other end of a Unix socket at the time of its
// connect. PID is 0 if the kernel does not provide it.
type Cred struct {
	UID int
	PID int
}

// Unix returns the process that connected to a Unix socket. conn must be a *net.UnixConn,
// or wrap one with a NetConn method.
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

// TCPOwner returns the uid of the process at the other end of a TCP connection within
// this machine. The error is ErrUnsupported if the owner cannot be determined, and
// ErrGone if the other end is closed or not on this machine. It needs a system call, so
// call it once per connection.
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

// Below reports whether process pid is ancestor or one of its descendants. The error is
// ErrGone if pid has exited, because its parents are then unknown. The search ends at a
// parent that has exited or is hidden.
func Below(pid, ancestor int) (bool, error) {
	if pid == ancestor {
		return true, nil
	}
	at := pid
	for range 3 { // a parent that exits during the search leaves its children to another process
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

// unwrap returns the innermost connection, for example of a *tls.Conn.
func unwrap(conn net.Conn) net.Conn {
	for {
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = w.NetConn()
	}
}
