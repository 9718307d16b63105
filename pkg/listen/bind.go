package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// bind creates the sockets itself.
func bind(cfg Config) (_ *Sockets, err error) {
	s := &Sockets{Activation: Self}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Control, s.lock, err = bindControl(cfg.Socket); err != nil {
		return nil, err
	}
	if s.HTTP, err = bindTCP(cfg.Port, cfg.Logger); err != nil {
		return nil, err
	}
	s.Port = portOf(s.HTTP[0])
	return s, nil
}

// bindControl creates the control socket with mode 0600 in a directory with mode 0700. It
// only removes an existing socket if nothing accepts connections on it. The lock prevents
// two daemons from doing so at the same time.
func bindControl(path string) (_ net.Listener, _ *Lock, err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("create the control socket's directory: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return nil, nil, err
	}
	lock, err := Acquire(path + ".lock")
	if errors.Is(err, ErrLocked) {
		return nil, nil, invalid(fmt.Sprintf("another daemon uses the control socket %s", path), "hostless status", err)
	}
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := removeStale(path); err != nil {
		return nil, nil, err
	}
	// Until the socket has its own mode, the directory keeps other users out.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, fmt.Errorf("listen on the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(path, 0o600); err != nil {
		l.Close()
		os.Remove(path)
		return nil, nil, fmt.Errorf("set the control socket's mode: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, nil, fmt.Errorf("make the control socket: %w", err)
	}
	return &controlListener{UnixListener: l, path: path, made: info}, lock, nil
}

// checkDir makes the control socket's directory private. If it belongs to another user,
// or is writable by others and cannot be changed, it returns an error.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("control socket's directory: %w", err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if info.Mode()&fs.ModeSticky != 0 {
		return invalid(fmt.Sprintf("the control socket's directory %s is shared with other users", dir), "set HOSTLESS_SOCKET to a path in a directory of your own", nil)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return invalid(fmt.Sprintf("the control socket's directory %s is accessible to other users", dir), "chmod 700 "+dir, err)
	}
	return nil
}

// removeStale removes the socket at path if nothing accepts connections on it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return invalid(fmt.Sprintf("%s exists and is not a socket", path), "move it away, if it is not needed", nil)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return invalid(fmt.Sprintf("another daemon is running on the control socket %s", path), "hostless status", nil)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return invalid(fmt.Sprintf("cannot determine whether another daemon uses the control socket %s", path), "hostless status", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the stale control socket: %w", err)
	}
	return nil
}

// controlListener removes the socket's file when it is closed, if the file is still the
// one that it created.
type controlListener struct {
	*net.UnixListener
	path string
	made fs.FileInfo
	left atomic.Bool // the file belongs to another process
}

func (l *controlListener) Close() error {
	if info, err := os.Lstat(l.path); err == nil && !l.left.Load() && os.SameFile(info, l.made) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// bindTCP listens on the same port of 127.0.0.1 and ::1. If another program had one of
// them, it would receive part of what browsers send to `localhost`.
func bindTCP(port int, log *slog.Logger) ([]net.Listener, error) {
	const attempts = 20 // to find a port that is free in both address families
	for attempt := 1; ; attempt++ {
		v4, err := listenTCP("tcp4", "127.0.0.1", port)
		if err != nil {
			return nil, occupied(port, err)
		}
		v6, err := listenTCP("tcp6", "::1", portOf(v4))
		if err == nil {
			return []net.Listener{v4, v6}, nil
		}
		if noIPv6(err) {
			log.Info("this machine has no IPv6: listening only on 127.0.0.1", "port", portOf(v4))
			return []net.Listener{v4}, nil
		}
		v4.Close()
		if port != 0 || attempt == attempts {
			return nil, occupied(portOf(v4), err)
		}
	}
}

func listenTCP(network, host string, port int) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(port)))
}

// noIPv6 reports whether err means that ::1 does not exist on this machine.
func noIPv6(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EPROTONOSUPPORT) ||
		strings.Contains(err.Error(), "no suitable address")
}

// occupied explains why a port cannot be opened.
func occupied(port int, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		who := Holder(port)
		if who == "" {
			who = "another program"
		}
		return invalid(fmt.Sprintf("port %d is taken by %s", port, who), "hostless status, or choose another with --port", err)
	case errors.Is(err, syscall.EACCES):
		return invalid(fmt.Sprintf("you are not allowed to open port %d", port), "choose one above 1023 with --port", err)
	}
	return fmt.Errorf("listen on port %d: %w", port, err)
}
