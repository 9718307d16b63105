package listen

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// fakeLaunchd returns copies of real sockets' descriptors, each name only once, as
// launch_activate_socket does.
type fakeLaunchd struct {
	t       *testing.T
	sockets map[string][]net.Listener
	given   []int
	asked   []string
}

func (f *fakeLaunchd) activate(name string) (fds []int, err error) {
	if slices.Contains(f.asked, name) {
		return nil, syscall.EALREADY
	}
	f.asked = append(f.asked, name)
	for _, l := range f.sockets[name] {
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			f.t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			second, err := syscall.Dup(int(fd))
			if err != nil {
				f.t.Fatal(err)
			}
			fds = append(fds, second)
		})
	}
	if fds == nil {
		return nil, syscall.ENOENT
	}
	f.given = append(f.given, fds...)
	return fds, nil
}

func newFakeLaunchd(t *testing.T) *fakeLaunchd {
	t.Helper()
	v4, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	control, err := net.Listen("unix", filepath.Join(t.TempDir(), "c.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v4.Close(); control.Close() })
	// The same socket stands for both address families.
	return &fakeLaunchd{t: t, sockets: map[string][]net.Listener{NameHTTP: {v4, v4}, NameControl: {control}}}
}

func closedOnExec(t *testing.T, fd int) bool {
	t.Helper()
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if errno != 0 {
		t.Fatalf("fcntl %d: %v", fd, errno)
	}
	return flags&syscall.FD_CLOEXEC != 0
}

func TestLaunchdSockets(t *testing.T) {
	fake := newFakeLaunchd(t)
	files, err := collect(fake.activate)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d sockets, %v; want 3", len(files), err)
	}
	for _, fd := range fake.given {
		if !closedOnExec(t, fd) {
			t.Errorf("descriptor %d would be inherited by the daemon's children", fd)
		}
	}
	if !slices.Equal(fake.asked, []string{NameHTTP, NameWeb, NameControl}) {
		t.Errorf("asked for %v", fake.asked)
	}
	s, err := adopt(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.HTTP) != 2 || s.Control == nil || s.Port != portOf(fake.sockets[NameHTTP][0]) {
		t.Errorf("adopted %+v", s)
	}
	if _, err := collect(fake.activate); !errors.Is(err, syscall.EALREADY) {
		t.Errorf("taken twice: %v, want EALREADY", err)
	}
}

func TestNotOfLaunchd(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ESRCH, syscall.ENOENT} {
		files, err := collect(func(string) ([]int, error) { return nil, errno })
		if len(files) != 0 || err != nil {
			t.Errorf("%v: %v, %v; want nothing", errno, files, err)
		}
	}
}

// TestLaunchdFails: if one name fails, the sockets of the others are closed.
func TestLaunchdFails(t *testing.T) {
	fake := newFakeLaunchd(t)
	files, err := collect(func(name string) ([]int, error) {
		if name == NameControl {
			return nil, syscall.EALREADY
		}
		return fake.activate(name)
	})
	if files != nil || !errors.Is(err, syscall.EALREADY) {
		t.Fatalf("%v, %v", files, err)
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fake.given[0]), syscall.F_GETFD, 0); errno != syscall.EBADF {
		t.Errorf("descriptor %d is still open", fake.given[0])
	}
}
