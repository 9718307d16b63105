package run

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

func signalIgnore() { signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) }

func needProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the test finds processes in /proc")
	}
}

func TestAnAppHasItsNameAndToken(t *testing.T) {
	d := harness.Start(t)
	s := start(t, d, t.TempDir(), "run", "shop", "--", self(t), "__app")
	status, body := get(t, d, "shop.localhost", "/")
	if status == http.StatusNotFound { // before the run had its name
		waitWithin(t, 10*time.Second, "the route", func() bool { return len(routes(t, d)) == 1 })
		status, body = get(t, d, "shop.localhost", "/")
	}
	token, url, _ := strings.Cut(body, " ")
	if status != http.StatusOK || !strings.HasPrefix(token, "sk_local_") || url != "http://shop.localhost:"+d.Port {
		t.Fatalf("%d %q", status, body)
	}
	if status, body := get(t, d, "localhost", "/v1/models", "Authorization", "Bearer "+token, "Origin", "http://shop.localhost:"+d.Port); status != http.StatusOK {
		t.Errorf("its token at the gateway: %d %s", status, body)
	}
	if code := s.end(syscall.SIGTERM); code != 143 {
		t.Errorf("exit %d, want 143", code)
	}
	if r, n := routes(t, d), tokens(t, d); len(r) != 0 || n != 0 {
		t.Errorf("left: routes %v, %d tokens", r, n)
	}
	if status, _ := get(t, d, "localhost", "/v1/models", "Authorization", "Bearer "+token); status != http.StatusUnauthorized {
		t.Errorf("its token afterwards: %d, want 401", status)
	}
}

// TestKilledAtEveryPoint kills the client with SIGKILL after increasing times, so at
// every point of a run's life.
func TestKilledAtEveryPoint(t *testing.T) {
	needProc(t)
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	d := harness.Start(t)
	dir := t.TempDir()
	var slowest time.Duration
	for i := range rounds {
		s := start(t, d, dir, "run", "victim", "--", self(t), "__app")
		// From before its first system call until well after the app listens.
		time.Sleep(time.Duration(i) * 200 * time.Millisecond / time.Duration(rounds))
		s.end(syscall.SIGKILL)
		slowest = max(slowest, waitWithin(t, 10*time.Second, "no route and no token", func() bool { return len(routes(t, d)) == 0 && tokens(t, d) == 0 }))
		waitWithin(t, 10*time.Second, "no process of the tree", func() bool { return len(s.left()) == 0 })
	}
	t.Logf("%d rounds; route and token were gone after at most %v", rounds, slowest)
}

func TestDaemonsDeathLeavesTheAppAlone(t *testing.T) {
	home := harness.Home(t)
	d := harness.StartIn(t, home)
	s := start(t, d, t.TempDir(), "run", "shop", "--", self(t), "__app")
	waitWithin(t, 10*time.Second, "the app listens", func() bool { r := routes(t, d); return len(r) == 1 && r[0].State == "listening" })
	_, body := get(t, d, "shop.localhost", "/")
	token, _, _ := strings.Cut(body, " ")
	before := routes(t, d)[0]
	pids := s.left()
	d.Kill()
	d = harness.StartIn(t, home)
	took := waitWithin(t, 10*time.Second, "the route is back", func() bool { r := routes(t, d); return len(r) == 1 && r[0].State == "listening" })
	t.Logf("the route was back %v after the new daemon answered", took)
	if after := routes(t, d)[0]; after.TargetPort != before.TargetPort || after.Hostname != before.Hostname || !after.Leased {
		t.Errorf("route %+v, want %+v", after, before)
	}
	if got := s.left(); len(got) != len(pids) {
		t.Errorf("processes %v, want %v", got, pids)
	}
	if status, body := get(t, d, "localhost", "/v1/models", "Authorization", "Bearer "+token); status != http.StatusOK {
		t.Errorf("the child's token at the new daemon: %d %s", status, body)
	}
	if status, body := get(t, d, "shop.localhost", "/"); status != http.StatusOK || !strings.HasPrefix(body, token) {
		t.Errorf("the app: %d %q", status, body)
	}
	s.end(syscall.SIGTERM)
}

func TestANameIsTakenAndForced(t *testing.T) {
	d := harness.Start(t)
	first := start(t, d, t.TempDir(), "run", "shop", "--", self(t), "__app")
	waitWithin(t, 10*time.Second, "the app listens", func() bool { r := routes(t, d); return len(r) == 1 && r[0].State == "listening" })
	second := start(t, d, t.TempDir(), "run", "shop", "--", self(t), "__app")
	<-second.done
	if code := second.ProcessState.ExitCode(); code != 1 || !strings.Contains(second.output(), "shop") {
		t.Errorf("a taken name: exit %d, %s", code, second.output())
	}
	third := start(t, d, t.TempDir(), "run", "shop", "--force", "--", self(t), "__app")
	select {
	case <-first.done:
	case <-time.After(15 * time.Second):
		t.Fatal("the first run does not end")
	}
	waitWithin(t, 10*time.Second, "the third listens", func() bool { r := routes(t, d); return len(r) == 1 && r[0].State == "listening" })
	waitWithin(t, 10*time.Second, "the first one's tree is gone", func() bool { return len(first.left()) == 0 })
	third.end(syscall.SIGTERM)
}

func TestAnAppThatIgnoresPORT(t *testing.T) {
	d := harness.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := start(t, d, t.TempDir(), "run", "own", "--", self(t), "__app", fmt.Sprint(port))
	waitWithin(t, 10*time.Second, "routed to the port that it opened", func() bool {
		r := routes(t, d)
		return len(r) == 1 && r[0].State == "listening" && r[0].TargetPort == port
	})
	if status, body := get(t, d, "own.localhost", "/"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if !strings.Contains(s.output(), fmt.Sprint(port)) {
		t.Errorf("stderr does not name %d: %s", port, s.output())
	}
	s.end(syscall.SIGTERM)
}

func TestNothingStartsWithABadName(t *testing.T) {
	d := harness.Start(t)
	trace := filepath.Join(t.TempDir(), "ran")
	for _, name := range []string{"a..b", "Bad_Name", "-a", "a-", strings.Repeat("a", 64)} {
		r := d.CLI("run", "--name", name, "--", "touch", trace)
		if r.Code != 2 {
			t.Errorf("%q: exit %d, want 2: %s", name, r.Code, r.Stderr)
		}
	}
	if _, err := os.Stat(trace); err == nil {
		t.Error("the command ran")
	}
}

func TestInferredNames(t *testing.T) {
	d := harness.Start(t)
	dir := filepath.Join(t.TempDir(), "My Project")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, d, dir, "run", "--", self(t), "__app")
	waitWithin(t, 10*time.Second, "the route", func() bool { r := routes(t, d); return len(r) == 1 && r[0].Hostname == "my-project.localhost" })
	s.end(syscall.SIGTERM)
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name":"@acme/Web_Site"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, d, dir, "run", "--infer-name", "--", self(t), "__app")
	waitWithin(t, 10*time.Second, "the route", func() bool { r := routes(t, d); return len(r) == 1 && r[0].Hostname == "web-site.localhost" })
	s.end(syscall.SIGTERM)
}
