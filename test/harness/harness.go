// Package harness runs the real binaries in tests: built once, each daemon with a
// temporary home on a free port, and stopped by its process id.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var build = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("HOSTLESS_TEST_BIN"); dir != "" {
		return dir, nil
	}
	for _, top := range []string{"cmd", "pkg", "init", "web"} {
		// Reading the directories tells go test what the result depends on. Without that,
		// it would use a cached result although the binaries have changed.
		if err := filepath.WalkDir(filepath.Join(Root(), top), func(string, fs.DirEntry, error) error { return nil }); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp("", "hostless-bin-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "./cmd/hostless", "./cmd/hostlessd")
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

// Root returns the top directory of the source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Bin returns the directory with both binaries. They are built by the first call in the
// process, unless HOSTLESS_TEST_BIN names a directory with them.
func Bin(t testing.TB) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Main is for TestMain: it runs the tests and removes what Bin built.
func Main(m *testing.M) {
	HearHangups()
	code := m.Run()
	if os.Getenv("HOSTLESS_TEST_BIN") == "" {
		if dir, err := build(); err == nil {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// HearHangups makes processes started by the test receive SIGHUP, even if the test runs
// under nohup: an ignored signal stays ignored in child processes.
func HearHangups() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// Home returns a temporary home whose path is short enough for a socket.
func Home(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hl-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Daemon is a running hostlessd.
type Daemon struct {
	t    testing.TB
	Home string // HOSTLESS_HOME
	Port string
	URL  string   // http://localhost:PORT
	Env  []string // environment of the daemon and the client

	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	log  bytes.Buffer
}

// Write collects the daemon's output. It implements io.Writer.
func (d *Daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

// Log returns the daemon's output so far.
func (d *Daemon) Log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// Start runs hostlessd in a new home on a free port and waits until it responds.
func Start(t testing.TB, args ...string) *Daemon {
	t.Helper()
	return StartIn(t, Home(t), args...)
}

// StartIn is Start with a given home.
func StartIn(t testing.TB, home string, args ...string) *Daemon {
	t.Helper()
	return startWith(t, home, nil, args...)
}

// StartWith is Start with additional environment variables for the daemon and its client.
func StartWith(t testing.TB, env []string, args ...string) *Daemon {
	t.Helper()
	return startWith(t, Home(t), env, args...)
}

func startWith(t testing.TB, home string, env []string, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{t: t, Home: home, done: make(chan struct{})}
	// Protects the keychain of whoever runs the tests.
	d.Env = append(append(clean(os.Environ()), "HOSTLESS_HOME="+home, "DBUS_SESSION_BUS_ADDRESS=disabled:"), env...)
	d.cmd = exec.Command(filepath.Join(Bin(t), "hostlessd"), append([]string{"--port", "0"}, args...)...)
	d.cmd.Env = d.Env
	d.cmd.Stdout, d.cmd.Stderr = d, d
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.done) }()
	t.Cleanup(func() {
		d.Stop()
		if t.Failed() {
			t.Logf("daemon's output:\n%s", tail(d.Log(), 8000))
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		if port, err := os.ReadFile(filepath.Join(home, "hostless.port")); err == nil {
			d.Port = strings.TrimSpace(string(port))
			d.URL = "http://localhost:" + d.Port
			if resp, err := http.Get("http://127.0.0.1:" + d.Port + "/health"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return d
				}
			}
		}
		select {
		case <-d.done:
			t.Fatalf("hostlessd ended: %v\n%s", d.cmd.ProcessState, d.Log())
		case <-ctx.Done():
			t.Fatalf("hostlessd does not respond:\n%s", d.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// clean removes the variables that would influence a test.
func clean(env []string) []string {
	out := env[:0:0]
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "HOSTLESS") || strings.HasSuffix(name, "_API_KEY") || strings.HasSuffix(name, "_BASE_URL") || name == "LISTEN_FDS" || name == "NOTIFY_SOCKET" {
			continue
		}
		out = append(out, kv)
	}
	return out
}

// PID returns the daemon's process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Stop stops the daemon with SIGTERM and waits for it. A daemon that does not exit within
// 15 s is killed, and the test fails.
func (d *Daemon) Stop() {
	d.t.Helper()
	select {
	case <-d.done:
		return
	default:
	}
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(15 * time.Second):
		d.cmd.Process.Kill()
		<-d.done
		d.t.Errorf("hostlessd did not end on SIGTERM")
	}
}

// Kill kills the daemon with SIGKILL and waits for it.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// Result is the result of running the client.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// CLI runs the client with this daemon.
func (d *Daemon) CLI(args ...string) Result { d.t.Helper(); return d.CLIWith("", args...) }

// CLIWith is CLI with standard input.
func (d *Daemon) CLIWith(stdin string, args ...string) Result {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(Bin(d.t), "hostless"), args...)
	cmd.Env = d.Env
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		d.t.Fatal(err)
	}
	return r
}

// Must is CLI that must succeed. It returns the trimmed standard output.
func (d *Daemon) Must(args ...string) string {
	d.t.Helper()
	r := d.CLI(args...)
	if r.Code != 0 {
		d.t.Fatalf("hostless %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// Control returns an HTTP client for the control socket. The host in URLs is `hostless`.
func (d *Daemon) Control() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(d.Home, "control.sock"))
		},
	}}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
