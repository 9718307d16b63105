package run

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

func TestDetached(t *testing.T) {
	d := harness.Start(t)
	t.Cleanup(func() { d.CLI("stop", "shop") })
	r := d.CLI("run", "shop", "--detach", "--", self(t), "__app")
	if r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "http://shop.localhost:"+d.Port) {
		t.Fatalf("%+v", r)
	}
	var got struct {
		URL  string
		Port int
	}
	if err := json.Unmarshal([]byte(d.Must("wait", "shop", "--timeout", "20s", "--json")), &got); err != nil || got.URL != "http://shop.localhost:"+d.Port {
		t.Fatalf("wait: %+v, %v", got, err)
	}
	_, before := get(t, d, "shop.localhost", "/")
	d.Must("restart", "shop", "--timeout", "20s")
	if status, after := get(t, d, "shop.localhost", "/"); status != http.StatusOK || after != before {
		t.Errorf("after the restart %d %q, before %q: name and token stay", status, after, before)
	}
	if log := d.Must("logs", "shop"); !strings.Contains(log, "restarting") {
		t.Errorf("logs: %q", log)
	}
	d.Must("stop", "shop")
	if r, n := routes(t, d), tokens(t, d); len(r) != 0 || n != 0 {
		t.Errorf("left: %v, %d tokens", r, n)
	}
	for _, verb := range []string{"stop", "wait", "restart"} {
		if r := d.CLI(verb, "shop"); r.Code != 1 || !strings.Contains(r.Stderr, "no app \"shop\" is running") {
			t.Errorf("%s of none: %+v", verb, r)
		}
		if r := d.CLI(verb, "Bad_Name"); r.Code != 2 {
			t.Errorf("%s of a bad name: %+v", verb, r)
		}
	}
	if r := d.CLI("run", "other", "--detach", "--", "no-such-command"); r.Code != 127 {
		t.Errorf("a missing command: %+v", r)
	}
}

func TestLazyApp(t *testing.T) {
	d := harness.Start(t)
	s := start(t, d, t.TempDir(), "run", "shop", "--lazy", "--idle-timeout", "1s", "--", self(t), "__app")
	state := func(want string) func() bool {
		return func() bool { r := routes(t, d); return len(r) == 1 && r[0].State == want }
	}
	waitWithin(t, 10*time.Second, "idle", state("idle"))
	for range 2 {
		status, body := get(t, d, "shop.localhost", "/") // held until the app listens
		if status != http.StatusOK || !strings.HasPrefix(body, "sk_local_") {
			t.Fatalf("the first request: %d %q", status, body)
		}
		waitWithin(t, 10*time.Second, "listening", state("listening"))
		// The proxy keeps its connection for a while, so stop the app as it would stop by
		// itself.
		if code := d.CLI("restart", "shop", "--timeout", "20s"); code.Code != 0 {
			t.Fatalf("%+v", code)
		}
		waitWithin(t, 20*time.Second, "idle again", state("idle"))
	}
	if code := s.end(syscall.SIGTERM); code != 143 {
		t.Errorf("exit %d, want 143", code)
	}
}

// TestLazyAppThatCrashed: after the cause is fixed, the next request starts the app
// again, but not the requests that follow a crash.
func TestLazyAppThatCrashed(t *testing.T) {
	d := harness.Start(t)
	dir := t.TempDir()
	s := start(t, d, dir, "run", "shop", "--lazy", "--", "sh", "-c", "test -e mended || { echo broken; exit 3; }; exec "+self(t)+" __app")
	waitWithin(t, 10*time.Second, "idle", func() bool { r := routes(t, d); return len(r) == 1 && r[0].State == "idle" })
	status, body := get(t, d, "shop.localhost", "/")
	if status != http.StatusBadGateway || !strings.Contains(body, "broken") {
		t.Fatalf("while it crashes: %d %q", status, body)
	}
	if err := os.WriteFile(dir+"/mended", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	waitWithin(t, 10*time.Second, "the app", func() bool {
		status, body = get(t, d, "shop.localhost", "/")
		return status == http.StatusOK
	})
	if code := s.end(syscall.SIGTERM); code != 143 {
		t.Errorf("exit %d, want 143", code)
	}
}

func TestAllAppsOfAProject(t *testing.T) {
	needProc(t)
	d := harness.Start(t)
	dir := t.TempDir()
	file := fmt.Sprintf(`{"name":"shop","apps":{"web":{"command":[%q,"__app"]},"api":{"command":"%s __app"}}}`, self(t), self(t))
	if err := os.WriteFile(filepath.Join(dir, "hostless.json"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "--all"}, {}} {
		s := start(t, d, dir, args...)
		waitWithin(t, 10*time.Second, "both listen", func() bool {
			r := routes(t, d)
			return len(r) == 2 && r[0].State == "listening" && r[1].State == "listening"
		})
		for _, host := range []string{"web.shop.localhost", "api.shop.localhost"} {
			if status, body := get(t, d, host, "/"); status != http.StatusOK || !strings.HasSuffix(body, "http://"+host+":"+d.Port) {
				t.Errorf("%s: %d %q", host, status, body)
			}
		}
		s.end(syscall.SIGKILL)
		waitWithin(t, 10*time.Second, "no route", func() bool { return len(routes(t, d)) == 0 })
		waitWithin(t, 10*time.Second, "no process", func() bool { return len(s.left()) == 0 })
		if !strings.Contains(s.output(), "web │ hostless: http://web.shop.localhost") {
			t.Errorf("output %q", s.output())
		}
	}
}
