package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// runDaemon runs hostlessd until it exits.
func runDaemon(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostlessd"), args...)
	cmd.Env = append([]string{"HOME=" + harness.Home(t), "PATH=" + os.Getenv("PATH")}, env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func TestExitCodes(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := fmt.Sprint(busy.Addr().(*net.TCPAddr).Port)
	for _, tt := range []struct {
		name   string
		env    []string
		args   []string
		code   int
		stderr string
	}{
		{"version", nil, []string{"--version"}, 0, ""},
		{"help", nil, []string{"--help"}, 0, ""},
		{"unknown flag", nil, []string{"--nonsense"}, 2, "nonsense"},
		{"argument", nil, []string{"start"}, 2, `"start"`},
		{"bad port", nil, []string{"--port", "70000"}, 2, "70000"},
		{"bad port of the environment", []string{"HOSTLESS_PORT=web"}, nil, 2, "web"},
		{"bad persistence", nil, []string{"--token-persistence", "cloud"}, 2, "cloud"},
		{"relative home", []string{"HOSTLESS_HOME=h"}, nil, 2, "absolute"},
		{"long socket path", []string{"HOSTLESS_SOCKET=/" + strings.Repeat("x", 120)}, nil, 2, "HOSTLESS_SOCKET"},
		{"taken port", nil, []string{"--port", port}, 1, "port " + port + " is taken"},
		{"taken port of the environment", []string{"HOSTLESS_PORT=" + port}, nil, 1, "port " + port + " is taken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runDaemon(t, tt.env, tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit %d, want %d; stderr %q", code, tt.code, stderr)
			}
			if tt.code != 0 && (stdout != "" || !strings.Contains(stderr, "hostlessd: ")) {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
}

func TestSecondDaemonSaysWhoRuns(t *testing.T) {
	d := harness.Start(t)
	code, _, stderr := runDaemon(t, []string{"HOSTLESS_HOME=" + d.Home}, "--port", "0")
	if code != 1 || !strings.Contains(stderr, fmt.Sprintf("pid %d, port %s", d.PID(), d.Port)) {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

// TestSecondSignalEndsAtOnce keeps the daemon draining with a request whose body never
// arrives, and sends a second signal.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	home := harness.Home(t)
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostlessd"), "--port", "0", "--dev-mode")
	cmd.Env = []string{"HOME=" + home, "HOSTLESS_HOME=" + home}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var port []byte
	waitFor(t, "the daemon starts", func() bool {
		port, _ = os.ReadFile(filepath.Join(home, "hostless.port"))
		return len(port) > 0
	})
	address := "127.0.0.1:" + strings.TrimSpace(string(port))
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A request in flight keeps the daemon from ending at the first signal. The 100
	// Continue response shows that the daemon has accepted it.
	io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("the request was not taken: %q, %v", line, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	waitFor(t, "the listener closes", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	// The listener closes shortly before signals have their default effect again.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	for over := false; !over; {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			over = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want by the second signal", cmd.ProcessState)
	}
}

// TestClosedTerminalEndsTheDaemon checks the two meanings of SIGHUP.
func TestClosedTerminalEndsTheDaemon(t *testing.T) {
	home := harness.Home(t)
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostlessd"), "--port", "0")
	cmd.Env = []string{"HOME=" + home, "HOSTLESS_HOME=" + home}
	terminal, err := pty.Start(cmd)
	if err != nil {
		harness.Missing(t, "no pseudo-terminal here: ", err)
	}
	defer terminal.Close()
	defer cmd.Process.Kill()
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	var log bytes.Buffer
	read := func(until string) {
		t.Helper()
		buf := make([]byte, 4096)
		limit := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() }) // a terminal has no deadlines
		defer limit.Stop()
		for !strings.Contains(log.String(), until) {
			n, err := terminal.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %q: %v\n%s", until, err, log.String())
			}
			log.Write(buf[:n])
		}
	}
	read("serving")
	cmd.Process.Signal(syscall.SIGHUP)
	read("reloaded")
	terminal.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the daemon outlives its terminal")
	}
	if _, err := os.Stat(filepath.Join(home, "hostless.pid")); !os.IsNotExist(err) {
		t.Errorf("it did not end in order: %v", err)
	}
}

// TestLostLogReaderIsNoReasonToEnd closes the pipe to which the daemon logs.
func TestLostLogReaderIsNoReasonToEnd(t *testing.T) {
	home := harness.Home(t)
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostlessd"), "--port", "0", "--verbose")
	cmd.Env = []string{"HOME=" + home, "HOSTLESS_HOME=" + home}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	if _, err := bufio.NewReader(log).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	log.Close()
	port, err := os.ReadFile(filepath.Join(home, "hostless.port"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		resp, err := http.Get("http://127.0.0.1:" + strings.TrimSpace(string(port)) + "/health")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
	}
}

// TestProcessIsClosed checks that the kernel shows other users nothing of the process.
func TestProcessIsClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	d := harness.Start(t)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.PID()))
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0") {
		t.Errorf("core limit: %v\n%s", err, limits)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil || !strings.Contains(string(status), "Umask:\t0077") {
		t.Errorf("umask: %v\n%s", err, status)
	}
	entries, err := os.ReadDir(d.Home)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v %v", e.Name(), info.Mode(), err)
		}
	}
}

// TestAnotherUserIsKeptOut connects as another user, over TCP and the control socket.
func TestAnotherUserIsKeptOut(t *testing.T) {
	harness.NeedRoot(t)
	curl := harness.Need(t, "curl")
	d := harness.Start(t)
	ask := func(uid uint32, args ...string) string {
		cmd := exec.Command(curl, append([]string{"-s", "-o", "/dev/null", "-w", "%{http_code}"}, args...)...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, _ := cmd.Output()
		return string(out)
	}
	if got := ask(0, d.URL+"/health"); got != "200" {
		t.Errorf("the owner got %s", got)
	}
	for _, host := range []string{"localhost", "app.localhost"} {
		if got := ask(12345, "-H", "Host: "+host, "http://127.0.0.1:"+d.Port+"/health"); got != "403" {
			t.Errorf("another user, Host %s, got %s, want 403", host, got)
		}
	}
	if got := ask(12345, "--unix-socket", filepath.Join(d.Home, "control.sock"), "http://hostless/status"); got != "000" {
		t.Errorf("another user on the control socket got %s, want no connection", got)
	}
	if resp, err := http.Get(d.URL + "/health"); err != nil || resp.StatusCode != 200 {
		t.Errorf("the owner afterwards: %v", err)
	} else {
		resp.Body.Close()
	}
}
