// Package run tests `hostless run` with the real binaries, the real daemon and real
// processes. The test binary is also the app: see TestMain.
package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// mark is the environment variable that identifies the processes of a test.
const mark = "RUN_TEST_MARK"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "__app" {
		os.Exit(app(os.Args[2:]))
	}
	harness.Main(m)
}

// app serves on PORT. It has a child process in a session of its own that ignores
// SIGTERM. Its page / shows the token and the environment.
func app(words []string) int {
	if len(words) > 0 && words[0] == "deaf" {
		signalIgnore()
		select {}
	}
	self, _ := os.Executable()
	away := exec.Command(self, "__app", "deaf")
	away.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := away.Start(); err != nil {
		return 1
	}
	port := os.Getenv("PORT")
	if len(words) > 0 {
		port = words[0]
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", os.Getenv("HOSTLESS_TOKEN"), os.Getenv("HOSTLESS_URL"))
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+port, nil))
	return 1
}

// started is a `hostless run` started by a test.
type started struct {
	*exec.Cmd
	t    *testing.T
	mark string
	mu   sync.Mutex
	out  bytes.Buffer
	done chan struct{}
}

// Write collects the output. It implements io.Writer.
func (s *started) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *started) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// start runs the client with args in dir and kills it at the end of the test.
func start(t *testing.T, d *harness.Daemon, dir string, args ...string) *started {
	t.Helper()
	s := &started{t: t, mark: fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()), done: make(chan struct{})}
	s.Cmd = exec.Command(filepath.Join(harness.Bin(t), "hostless"), args...)
	s.Dir = dir
	s.Env = append(d.Env, mark+"="+s.mark)
	s.Stdout, s.Stderr = s, s
	s.WaitDelay = time.Second
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		_ = s.Process.Kill()
		<-s.done
		for _, pid := range s.left() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("hostless %s:\n%s", strings.Join(args, " "), s.output())
		}
	})
	return s
}

func (s *started) end(sig syscall.Signal) int {
	s.t.Helper()
	_ = s.Process.Signal(sig)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.t.Fatal("the run does not end")
	}
	return s.ProcessState.ExitCode()
}

// left returns the processes with the run's mark in their environment, which a process
// keeps when its session, group or parent changes.
func (s *started) left() (pids []int) {
	want := []byte(mark + "=" + s.mark + "\x00")
	procs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range procs {
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, want) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitWithin waits for ok, at most for limit.
func waitWithin(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

// control sends a GET request to the control API.
func control(t *testing.T, d *harness.Daemon, path string, out any) {
	t.Helper()
	client := d.Control()
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://hostless" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		t.Fatal(err)
	}
}

type route struct {
	Hostname   string `json:"hostname"`
	TargetPort int    `json:"target_port"`
	State      string `json:"state"`
	Leased     bool   `json:"leased"`
	URL        string `json:"url"`
}

func routes(t *testing.T, d *harness.Daemon) []route {
	t.Helper()
	var l struct{ Routes []route }
	control(t, d, "/routes", &l)
	return l.Routes
}

func tokens(t *testing.T, d *harness.Daemon) int {
	t.Helper()
	var l struct{ Tokens []any }
	control(t, d, "/auth/tokens", &l)
	return len(l.Tokens)
}

// get sends a GET request to an app by its name and returns the status and the body.
func get(t *testing.T, d *harness.Daemon, host, path string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+d.Port+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	_, _ = body.ReadFrom(resp.Body)
	return resp.StatusCode, body.String()
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}
