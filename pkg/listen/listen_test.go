package listen

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
)

// shortDir returns a private directory with a path that is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hl-listen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func open(t *testing.T, cfg Config) *Sockets {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func wantConflict(t *testing.T, err error, words ...string) {
	t.Helper()
	if !fault.Is(err, fault.Conflict) || fault.From(err).Next == "" {
		t.Fatalf("error %v; want a conflict with a next step", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestBindBothFamiliesAndControl(t *testing.T) {
	socket := filepath.Join(shortDir(t), "run", "control.sock")
	if err := os.Mkdir(filepath.Dir(socket), 0o755); err != nil { // as another program may have created it
		t.Fatal(err)
	}
	s := open(t, Config{Socket: socket})
	if s.Activation != Self || s.Port == 0 {
		t.Errorf("activation %q, port %d", s.Activation, s.Port)
	}
	for _, l := range s.HTTP {
		if portOf(l) != s.Port {
			t.Errorf("%v listens on another port than %d", l.Addr(), s.Port)
		}
		if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
			t.Errorf("%v can be reached from other machines", l.Addr())
		}
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v; want mode 0600", info.Mode(), err)
	}
	if info, _ := os.Stat(filepath.Dir(socket)); info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v; want mode 0700", info.Mode())
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket still exists after Close: %v", err)
	}
}

func TestOccupiedPortNamesItsHolder(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("skipped %s: %v", address, err)
			continue
		}
		defer l.Close()
		socket := filepath.Join(shortDir(t), "control.sock")
		_, err = Open(Config{Port: portOf(l), Socket: socket})
		wantConflict(t, err, fmt.Sprint(portOf(l)))
		if Holder(portOf(l)) != "" && !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
			t.Errorf("error %q does not name process %d", err, os.Getpid())
		}
		if _, err := os.Stat(socket); !os.IsNotExist(err) {
			t.Error("a failed Open left its control socket behind")
		}
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	socket := filepath.Join(shortDir(t), "control.sock")
	open(t, Config{Socket: socket})
	_, err := Open(Config{Socket: socket})
	wantConflict(t, err, socket)
	if conn, err := net.Dial("unix", socket); err != nil {
		t.Errorf("the first daemon's socket was removed: %v", err)
	} else {
		conn.Close()
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	socket := filepath.Join(shortDir(t), "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as kill -9 leaves it
	s := open(t, Config{Socket: socket})
	if conn, err := net.Dial("unix", s.Control.Addr().String()); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

func TestWhatIsNotOursStays(t *testing.T) {
	dir := shortDir(t)
	live := filepath.Join(dir, "live.sock")
	l, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("dear"), 0o600)
	for _, path := range []string{live, file} {
		_, err := Open(Config{Socket: path})
		wantConflict(t, err, path)
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err = Open(Config{Socket: "/tmp/hl-shared.sock"})
	wantConflict(t, err, "/tmp")
}

// files turns listeners into descriptors as a supervisor passes them.
func files(t *testing.T, named ...any) []*os.File {
	t.Helper()
	var out []*os.File
	for i := 0; i < len(named); i += 2 {
		f, err := named[i+1].(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		out = append(out, os.NewFile(uintptr(fd), named[i].(string)))
	}
	return out
}

func TestAdopt(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	unix, err := net.Listen("unix", filepath.Join(shortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))

	s, err := adopt(files(t, "control", unix, "stray", other, "http", tcp), logger)
	if err != nil {
		t.Fatal(err)
	}
	if s.Activation != Systemd || s.Port != portOf(tcp) || len(s.HTTP) != 1 {
		t.Errorf("adopted %+v", s)
	}
	if !strings.Contains(log.String(), "name=stray") {
		t.Errorf("no warning of the stray socket: %s", log.String())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// The supervisor's sockets outlive the daemon's copies.
	for _, l := range []net.Listener{tcp, unix} {
		conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Errorf("%v: %v", l.Addr(), err)
			continue
		}
		conn.Close()
	}
	for name, given := range map[string][]*os.File{
		"control is missing":  files(t, "http", tcp),
		"http is missing":     files(t, "control", unix),
		"swapped":             files(t, "http", unix, "control", tcp),
		"different ports":     files(t, "http", tcp, "http", other, "control", unix),
		"two control sockets": files(t, "http", tcp, "control", unix, "control", unix),
		"no known name":       files(t, "x", tcp),
	} {
		s, err := adopt(given, logger)
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %+v, %v; want a conflict", name, s, err)
		}
	}
}

func TestLockIsReleasedByTheKernel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if os.Getenv("HOSTLESS_TEST_LOCK") != "" {
		if _, err := Acquire(os.Getenv("HOSTLESS_TEST_LOCK")); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		os.Stdin.Read(make([]byte, 1))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestLockIsReleasedByTheKernel$")
	cmd.Env = append(os.Environ(), "HOSTLESS_TEST_LOCK="+path)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	hold, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer release.Close()
	cmd.Stdin, cmd.Stdout = hold, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(path); !errors.Is(err, ErrLocked) {
		t.Errorf("Acquire while held: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	l, err := Acquire(path)
	if err != nil {
		t.Fatalf("Acquire after kill -9: %v", err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
}
