package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/peer"
)

// Dial checks the control socket and connects to it. It ensures that the socket and its
// directory belong to this user or root, that neither is a symbolic link or writable by
// others, and that the listening process runs as this user or root. Without these checks
// another user's socket could receive keys. The error is fault.Unreachable with the reason
// and the command to type.
func Dial(ctx context.Context, socket string) (net.Conn, error) {
	if err := checkSocket(socket, os.Geteuid()); err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err // the client finds the cause: see diagnose
	}
	uid, err := peerUID(conn)
	if err == nil && uid != os.Geteuid() && uid != 0 {
		err = untrusted(socket, fmt.Sprintf("a process of uid %d listens on it", uid), "set HOSTLESS_HOME or HOSTLESS_SOCKET to your own")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// peerUID returns the uid of the process at the other end, as the kernel reports it.
func peerUID(conn net.Conn) (int, error) {
	cred, err := peer.Unix(conn)
	return cred.UID, err
}

// checkSocket checks the owner and mode of the socket and its directory. A missing socket
// is no error; connecting to it fails.
func checkSocket(socket string, uid int) error {
	info, err := os.Lstat(socket)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 || info.Mode()&fs.ModeSocket == 0 {
		return untrusted(socket, "it is not a socket but "+kindOf(info.Mode()), "find out who created it, then remove it")
	}
	folder := filepath.Dir(socket)
	dir, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	if dir.Mode()&fs.ModeSymlink != 0 || !dir.IsDir() {
		return untrusted(socket, "its directory is "+kindOf(dir.Mode()), "set HOSTLESS_SOCKET to the real path")
	}
	for _, f := range []struct {
		what string
		path string
		info fs.FileInfo
	}{{"it", socket, info}, {"its folder", folder, dir}} {
		if owner, ok := ownerOf(f.info); ok && owner != uid && owner != 0 {
			return untrusted(socket, fmt.Sprintf("%s belongs to uid %d, not to you (uid %d)", f.what, owner, uid), "set HOSTLESS_HOME or HOSTLESS_SOCKET to your own")
		}
		if f.info.Mode().Perm()&0o022 != 0 {
			return untrusted(socket, f.what+" can be written to by others", "chmod go-rwx "+f.path)
		}
	}
	return nil
}

func ownerOf(info fs.FileInfo) (int, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode.IsDir():
		return "a folder"
	case mode.IsRegular():
		return "a plain file"
	default:
		return "something else"
	}
}

func untrusted(socket, why, next string) error {
	return &fault.Error{Kind: fault.Unreachable, Message: fmt.Sprintf("the control socket %s is not trusted: %s", socket, why), Next: next}
}

// startHint is the next step if no daemon is running.
const startHint = "hostless service start, or hostless proxy start"

// diagnose returns an error with the reason why the daemon cannot be reached.
func diagnose(socket string, cause error) error {
	e := &fault.Error{Kind: fault.Unreachable, Next: startHint, Err: cause}
	switch {
	case errors.Is(cause, fs.ErrNotExist):
		e.Message = fmt.Sprintf("the daemon is not running: there is no control socket at %s", socket)
	case errors.Is(cause, syscall.ENOTDIR):
		e.Message = fmt.Sprintf("the daemon is not running: a part of %s is not a directory", socket)
		e.Next = "set HOSTLESS_HOME or HOSTLESS_SOCKET to a path of your own"
	case errors.Is(cause, syscall.ECONNREFUSED):
		e.Message = fmt.Sprintf("the daemon is not running: nothing listens on %s, which an earlier daemon has left", socket)
	case errors.Is(cause, fs.ErrPermission):
		e.Message = fmt.Sprintf("you have no access to the control socket %s", socket)
		e.Next = "run this as the daemon's user"
	case errors.Is(cause, syscall.EAGAIN):
		e.Message = fmt.Sprintf("the daemon at %s is too busy to answer", socket)
		e.Next = "hostless status"
	default:
		e.Message = fmt.Sprintf("the daemon at %s ended before it responded", socket)
		e.Next = "hostless status"
	}
	return e
}
