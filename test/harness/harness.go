// Package harness runs the real binaries for tests: built once, each daemon in
// a temporary home on a free port, ended by its own process id.
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
		// Reading the directories tells go test what the result depends on: it
		// would else answer from its cache for binaries that have changed.
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

// Root is the top of the source tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Bin gives the directory with both binaries, built at the first call of the
// process (or HOSTLESS_TEST_BIN, where somebody built them already).
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

// HearHangups has what a test starts hear of hangups, also where the test runs
// under nohup: a signal that is ignored stays so in all processes below.
func HearHangups() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// Home makes a temporary home whose path is short enough for a socket.
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
	Env  []string // of the daemon and of the client's runs

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

// Log is what the daemon has written so far.
func (d *Daemon) Log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// Start runs hostlessd in a fresh home on a free port and waits until it answers.
func Start(t testing.TB, args ...string) *Daemon {
	t.Helper()
	return StartIn(t, Home(t), args...)
}

// StartIn is Start in a given home.
func StartIn(t testing.TB, home string, args ...string) *Daemon {
	t.Helper()
	return startWith(t, home, nil, args...)
}

// StartWith is Start with more variables in the environment of the daemon and its client.
func StartWith(t testing.TB, env []string, args ...string) *Daemon {
	t.Helper()
	return startWith(t, Home(t), env, args...)
}

func startWith(t testing.TB, home string, env []string, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{t: t, Home: home, done: make(chan struct{})}
	// Whoever runs this keeps their keychain.
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
			t.Fatalf("hostlessd does not answer:\n%s", d.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// clean drops what would leak the surroundings into a test.
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

// PID is the daemon's process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Stop ends the daemon in good order and waits for it; a daemon that does not
// end within 15 s is killed and the test fails.
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

// Kill ends the daemon with SIGKILL and waits for it.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// Result is how a client's run ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// CLI runs the client against this daemon.
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

// Must is CLI that has to succeed; it gives standard output, trimmed.
func (d *Daemon) Must(args ...string) string {
	d.t.Helper()
	r := d.CLI(args...)
	if r.Code != 0 {
		d.t.Fatalf("hostless %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// Control is an HTTP client of the control socket; the URL's host is `hostless`.
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
