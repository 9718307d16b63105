// Package systemd runs the real binaries under a real `systemd --user` manager, started
// by test/with-systemd-user: with a temporary user, its own network namespace and the
// default port.
package systemd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// inside is set for the copy of this test that runs under the service manager.
const inside = "HOSTLESS_SYSTEMD_TEST_BIN"

const port = "48282"

func TestMain(m *testing.M) {
	if os.Getenv(beApp) != "" {
		serveApp()
	}
	if os.Getenv(beSecrets) != "" {
		neverAnswer()
	}
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	harness.Main(m)
}

// beApp makes this program an app for `hostless run`, which passes it its token.
const beApp = "HOSTLESS_SYSTEMD_TEST_APP"

// serveApp responds to each request with the token that the app was started with.
func serveApp() {
	err := http.ListenAndServe(net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, os.Getenv("HOSTLESS_TOKEN"))
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestService runs TestInside under the service manager.
func TestService(t *testing.T) { runInside(t, "TestInside") }

// runInside runs a test of this program under the service manager; flags are for
// with-systemd-user.
func runInside(t *testing.T, test string, flags ...string) {
	t.Helper()
	if os.Getenv(inside) != "" {
		t.Skip("this is the inner run") // the outer run fails if it fails
	}
	missing := ""
	switch _, err := os.Stat("/lib/systemd/systemd"); {
	case runtime.GOOS != "linux" || err != nil:
		missing = "systemd is not installed"
	case os.Getuid() != 0:
		missing = "only root can create a temporary user"
	}
	for _, program := range []string{"systemctl", "setpriv", "unshare", "nsenter", "su", "curl", "useradd", "ip"} {
		if _, err := exec.LookPath(program); err != nil && missing == "" {
			missing = program + " is not installed"
		}
	}
	if missing != "" {
		harness.Missing(t, missing)
	}
	// In a place where the other user can read it.
	dir, err := os.MkdirTemp("/tmp", "hl-systemd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	for _, path := range []string{filepath.Join(harness.Bin(t), "hostless"), filepath.Join(harness.Bin(t), "hostlessd"), os.Args[0]} {
		copyProgram(t, path, filepath.Join(dir, filepath.Base(path)))
	}
	t.Setenv(inside, dir)
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	if err := serveLogins(ctx, dir); err != nil {
		t.Fatal(err)
	}
	args := append(flags, "-n", "-e", inside, filepath.Join(dir, filepath.Base(os.Args[0])), "-test.run=^"+test+"$", "-test.v", "-test.timeout=7m")
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(harness.Root(), "test", "with-systemd-user"), args...)
	cmd.Env = append(os.Environ(), "WSU_LOW_PORTS=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+test)) {
		t.Fatalf("inside the manager: %v", err)
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err == nil {
		err = os.Chmod(to, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestInside is the life of an installation, step by step.
func TestInside(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("run by TestService, under a manager") // TestService fails if it fails
	}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"install", install},
		{"install again", installAgain},
		{"the port starts the daemon", portStarts},
		{"the control socket starts the daemon", controlStarts},
		{"reload", reload},
		{"restart under load", restartUnderLoad},
		{"restarts and upgrades without a gap", noGap},
		{"https", https},
		{"idle exit", idle},
		{"an installation that fails", failedInstall},
		{"other environments", found},
		{"the mount sandbox", sandbox},
		{"no port in the URL", web},
		{"a stream is finished before a restart", streamOverRestart},
		{"an app outlives restart and kill -9", appOutlives},
		{"kill -9 under load", killUnderLoad},
		{"the watchdog is fed", watchdog},
		{"a daemon that hangs", stopped},
		{"a restarted machine", reboot},
		{"stop and start", stopAndStart},
		{"upgrade", upgrade},
		{"uninstall", uninstall},
		{"another home and port", elsewhere},
		{"two homes at once", beside},
	} {
		if !t.Run(step.name, step.run) {
			t.Fatalf("journal:\n%s", command("journalctl", "--user", "--no-pager", "--lines=60", "--output=short-precise"))
		}
	}
}

// command runs a program and returns its output, whether it failed or not.
func command(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return strings.TrimSpace(string(out))
}

func client() string { return filepath.Join(os.Getenv(inside), "hostless") }

// must runs the client and returns its standard output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(client(), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("hostless %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// property returns a property of a unit.
func property(unit, name string) string {
	return command("systemctl", "--user", "show", "--value", "--property="+name, unit)
}

func mainPID() int {
	pid, _ := strconv.Atoi(property("hostlessd.service", "MainPID"))
	return pid
}

// eventually waits for a condition of another process that gives no signal.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func wantListening(t *testing.T) {
	t.Helper()
	for _, unit := range []string{"hostlessd-http.socket", "hostlessd-control.socket"} {
		if state := property(unit, "ActiveState"); state != "active" {
			t.Errorf("%s is %s, want active", unit, state)
		}
	}
}

func health(t *testing.T, host string) {
	t.Helper()
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + net.JoinHostPort(host, port) + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || !strings.Contains(string(body), `"service":"hostless"`) {
		t.Fatalf("GET /health: %d %s", resp.StatusCode, body)
	}
}

type status struct {
	PID        int
	Port       int
	Activation string
}

func daemonStatus(t *testing.T) (s status) {
	t.Helper()
	if err := json.Unmarshal([]byte(must(t, "status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func install(t *testing.T) {
	must(t, "service", "install")
	wantListening(t)
	if pid := mainPID(); pid != 0 {
		t.Errorf("the daemon is running (pid %d) before the first request", pid)
	}
	for _, unit := range []string{"hostlessd.service", "hostlessd-http.socket", "hostlessd-control.socket"} {
		if state := property(unit, "UnitFileState"); state != "enabled" {
			t.Errorf("%s is %s, want enabled", unit, state)
		}
	}
	if got := strings.TrimSpace(must(t, "service", "status")); got == "" {
		t.Error("service status says nothing")
	}
	if pid := mainPID(); pid != 0 {
		t.Errorf("service status has started the daemon (pid %d)", pid)
	}
	data, err := os.ReadFile(filepath.Join(os.Getenv("HOME"), ".hostless", "config.json"))
	if err != nil || !strings.Contains(string(data), `"token-persistence": "file"`) {
		t.Errorf("token persistence was not set to file: %s %v", data, err)
	}
	info, err := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "hostless", "control.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v %v", info, err)
	}
}

func installAgain(t *testing.T) {
	must(t, "service", "install")
	wantListening(t)
}

func portStarts(t *testing.T) {
	started := time.Now()
	health(t, "127.0.0.1")
	t.Logf("cold start, request to answer: %v", time.Since(started).Round(time.Millisecond))
	health(t, "::1")
	s := daemonStatus(t)
	if s.Activation != "systemd" || s.PID != mainPID() || strconv.Itoa(s.Port) != port {
		t.Errorf("status %+v, main pid %d", s, mainPID())
	}
	for name, want := range map[string]int{"hostless.pid": s.PID, "hostless.port": s.Port} {
		data, err := os.ReadFile(filepath.Join(os.Getenv("HOME"), ".hostless", name))
		if err != nil || string(data) != fmt.Sprintln(want) {
			t.Errorf("%s: %q, %v; want %d", name, data, err, want)
		}
	}
	out, err := exec.Command(client(), "stop").CombinedOutput()
	t.Logf("hostless stop: %s (%v)", bytes.TrimSpace(out), err)
	if err != nil {
		t.Error(err)
	}
	eventually(t, "the sockets close", func() bool { return property("hostlessd-http.socket", "ActiveState") == "inactive" })
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("the port is open after hostless stop")
	}
	must(t, "service", "start")
	wantListening(t)
}

func controlStarts(t *testing.T) {
	command("systemctl", "--user", "stop", "hostlessd.service")
	wantListening(t)
	if pid := mainPID(); pid != 0 {
		t.Fatalf("the daemon runs: %d", pid)
	}
	started := time.Now()
	s := daemonStatus(t)
	t.Logf("cold start by hostless status: %v", time.Since(started).Round(time.Millisecond))
	if s.Activation != "systemd" || s.PID != mainPID() {
		t.Errorf("status %+v, main pid %d", s, mainPID())
	}
}

func reload(t *testing.T) {
	before := mainPID()
	if out := command("systemctl", "--user", "reload", "hostlessd.service"); out != "" {
		t.Error(out)
	}
	eventually(t, "the log tells of the reload", func() bool {
		return strings.Contains(command("journalctl", "--user", "--unit=hostlessd.service", "--output=cat"), "reloaded")
	})
	if mainPID() != before {
		t.Error("a reload restarted the daemon")
	}
	journal := command("journalctl", "--user", "--unit=hostlessd.service", "--output=json", "--lines=1")
	var entry struct{ PRIORITY, MESSAGE string }
	if err := json.Unmarshal([]byte(journal), &entry); err != nil || entry.PRIORITY != "6" || strings.Contains(entry.MESSAGE, "time=") || strings.HasPrefix(entry.MESSAGE, "<") {
		t.Errorf("journal entry %s (%v): want priority 6, and no time in the text", journal, err)
	}
}

func watchdog(t *testing.T) {
	if usec := property("hostlessd.service", "WatchdogUSec"); usec != "30s" {
		t.Errorf("watchdog every %s, want 30s", usec)
	}
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	first := property("hostlessd.service", "WatchdogTimestampMonotonic")
	eventually(t, "a watchdog message", func() bool {
		now := property("hostlessd.service", "WatchdogTimestampMonotonic")
		return now != first && now != "0"
	})
}

func stopAndStart(t *testing.T) {
	must(t, "service", "stop")
	if pid := mainPID(); pid != 0 {
		t.Errorf("the daemon runs after stop: %d", pid)
	}
	for _, network := range [][2]string{{"tcp", "127.0.0.1:" + port}, {"tcp", "[::1]:" + port}, {"unix", filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "hostless", "control.sock")}} {
		if c, err := net.Dial(network[0], network[1]); err == nil {
			c.Close()
			t.Errorf("%s is open after stop", network[1])
		}
	}
	// systemd would take over the control socket of a daemon that was started by hand.
	must(t, "proxy", "start", "--port", "48390")
	if out, err := exec.Command(client(), "service", "start").CombinedOutput(); err == nil || !strings.Contains(string(out), "by hand") {
		t.Errorf("start beside a daemon by hand: %v\n%s", err, out)
	}
	must(t, "stop")
	must(t, "service", "start")
	health(t, "localhost")
}

// upgrade replaces the daemon's program and installs again.
func upgrade(t *testing.T) {
	before := mainPID()
	must(t, "service", "install")
	eventually(t, "another daemon", func() bool { pid := mainPID(); return pid != 0 && pid != before })
	wantListening(t)
	health(t, "localhost")
}

func uninstall(t *testing.T) {
	pid := mainPID()
	must(t, "service", "uninstall")
	units, _ := filepath.Glob(filepath.Join(os.Getenv("HOME"), ".config", "systemd", "user", "*hostless*"))
	links, _ := filepath.Glob(filepath.Join(os.Getenv("HOME"), ".config", "systemd", "user", "*", "*hostless*"))
	if len(units)+len(links) != 0 {
		t.Errorf("left: %v %v", units, links)
	}
	if out := command("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "*hostless*"); out != "" {
		t.Errorf("units left: %s", out)
	}
	if pid != 0 && syscall.Kill(pid, 0) == nil {
		t.Errorf("process %d is left", pid)
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
	if _, err := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "hostless", "control.sock")); !os.IsNotExist(err) {
		t.Errorf("the control socket is left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(os.Getenv("HOME"), ".hostless")); err != nil {
		t.Errorf("the home was removed without --purge: %v", err)
	}
	must(t, "service", "uninstall") // no error if there is nothing to do
}

// elsewhere installs with a home whose path needs quoting, and with another port while
// another program uses the default one; then it purges the home.
func elsewhere(t *testing.T) {
	squatter, err := net.Listen("tcp", "[::1]:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer squatter.Close()
	home := filepath.Join(os.Getenv("HOME"), "state 100% here")
	t.Setenv("HOSTLESS_HOME", home)
	if out, err := exec.Command(client(), "service", "install").CombinedOutput(); err == nil || !strings.Contains(string(out), port) {
		t.Errorf("install on a taken port: %v\n%s", err, out)
	}
	var installed struct{ Home, Socket string }
	if err := json.Unmarshal([]byte(must(t, "service", "install", "--port", "48383", "--json")), &installed); err != nil || installed.Home != home || installed.Socket != filepath.Join(home, "control.sock") {
		t.Errorf("installed %+v, %v", installed, err)
	}
	s := daemonStatus(t)
	if s.Port != 48383 || s.Activation != "systemd" || s.PID != mainPID() {
		t.Errorf("status %+v", s)
	}
	must(t, "service", "uninstall", "--purge")
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("the home is left: %v", err)
	}
}

// beside installs the service of a second home next to the first one, and removes it:
// neither affects the other.
func beside(t *testing.T) {
	must(t, "service", "install")
	first := daemonStatus(t)
	own := os.Getenv("HOSTLESS_HOME")
	t.Setenv("HOSTLESS_HOME", filepath.Join(os.Getenv("HOME"), "second"))
	must(t, "service", "install", "--port", "48383")
	if s := daemonStatus(t); s.Port != 48383 || s.Activation != "systemd" || s.PID == first.PID {
		t.Errorf("the second: %+v, beside %+v", s, first)
	}
	must(t, "stop")
	must(t, "service", "start")
	// A socket file that was removed is created again.
	if err := os.Remove(filepath.Join(os.Getenv("HOSTLESS_HOME"), "control.sock")); err != nil {
		t.Error(err)
	}
	must(t, "service", "restart")
	if s := daemonStatus(t); s.Port != 48383 {
		t.Errorf("after the socket's file was removed: %+v", s)
	}
	must(t, "service", "uninstall", "--purge")
	if out, err := exec.Command(client(), "service", "status").CombinedOutput(); err != nil || !strings.Contains(string(out), "not installed") {
		t.Errorf("status of the second: %v\n%s", err, out)
	}
	t.Setenv("HOSTLESS_HOME", own)
	if s := daemonStatus(t); s.PID != first.PID {
		t.Errorf("the first was %+v, is %+v", first, s)
	}
	must(t, "service", "uninstall")
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("HOME"), ".config", "systemd", "user", "hostlessd*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// appOutlives runs an app while the daemon stops and starts: its route comes back, and
// its token is valid.
func appOutlives(t *testing.T) {
	run := exec.Command(client(), "run", "--name", "survivor", "--", os.Args[0])
	run.Env = append(os.Environ(), beApp+"=1")
	var output bytes.Buffer
	run.Stdout, run.Stderr = &output, &output
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { run.Wait(); close(ended) }()
	defer func() {
		run.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("hostless run: %s", output.String())
		}
	}()
	ask := func(host, token string) (int, string) {
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+port+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = host+":"+port, true
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	token := ""
	eventually(t, "the app answers", func() bool {
		code, body := ask("survivor.localhost", "")
		token = body
		return code == 200
	})
	for _, end := range []struct {
		how string
		do  func()
	}{
		{"restart", func() { must(t, "service", "restart") }},
		{"kill -9", func() { syscall.Kill(mainPID(), syscall.SIGKILL) }},
	} {
		before := mainPID()
		started := time.Now()
		end.do()
		eventually(t, "the app answers again after "+end.how, func() bool {
			code, body := ask("survivor.localhost", "")
			return code == 200 && body == token && mainPID() != before
		})
		took := time.Since(started)
		if code, body := ask("localhost", token); code != 200 {
			t.Errorf("after %s the app's token is not valid: %d %s", end.how, code, body)
		}
		t.Logf("the app is back after %s: %v", end.how, took.Round(time.Millisecond))
	}
}
