package routes_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/fault"
)

func newTable(t *testing.T, path string, change ...func(*routes.Config)) *routes.Table {
	t.Helper()
	cfg := routes.Config{Path: path}
	for _, c := range change {
		c(&cfg)
	}
	p, warnings, err := routes.New(cfg)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("New: %v, %v", err, warnings)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestStandingRoutesOutliveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	p := newTable(t, path)
	ctx := t.Context()
	for _, reg := range []routes.Registration{
		{Name: "db", Port: 5050, Alias: true}, {Name: "api.shop", Target: "https://example.com/x", KeepHost: true, Insecure: true, PathPrefix: "/v1/"},
	} {
		if _, err := p.Register(ctx, reg); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := p.Lease(ctx, routes.Registration{Name: "run", Reserve: true})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	again := newTable(t, path).List()
	var got []string
	for _, r := range again {
		got = append(got, fmt.Sprint(r.Hostname, r.PathPrefix, " ", r.Target, " ", r.KeepHost, r.Insecure, r.Alias))
	}
	want := []string{"api.shop.localhost/v1 https://example.com:443/x true true false", "db.localhost localhost:5050 false false true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestCorruptTableIsKeptAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	os.WriteFile(path, []byte(`{"version":1,"rou`), 0o600)
	var log bytes.Buffer
	p, warnings, err := routes.New(routes.Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil || len(warnings) != 1 || p.Len() != 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	if !strings.Contains(log.String(), "could not be read as a route table") {
		t.Errorf("the log says %q", log.String())
	}
	if kept, _ := filepath.Glob(path + ".corrupt-*"); len(kept) != 1 {
		t.Errorf("kept: %v", kept)
	}
}

// TestOwners: who may take a name from whom.
func TestOwners(t *testing.T) {
	p := newTable(t, "")
	ctx := t.Context()
	conflict := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v, want a conflict", what, err)
		}
	}
	if _, err := p.Register(ctx, routes.Registration{Name: "a", Port: 1001}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Register(ctx, routes.Registration{Name: "A", Port: 1002}); err != nil {
		t.Errorf("a standing route is not replaced by another: %v", err)
	}
	_, err := p.Lease(ctx, routes.Registration{Name: "a", Port: 1003})
	conflict("a run on an alias", err)
	lease, err := p.Lease(ctx, routes.Registration{Name: "a", Port: 1003, Force: true, Command: "vite"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Lease(ctx, routes.Registration{Name: "a", Port: 1004})
	conflict("a run on a run", err)
	if err == nil || !strings.Contains(err.Error(), "vite") {
		t.Errorf("the error does not name the owner: %v", err)
	}
	_, err = p.Register(ctx, routes.Registration{Name: "a", Port: 1004})
	conflict("an alias on a run", err)
	_, err = p.Deregister(ctx, "a", "")
	conflict("removing a run", err)

	// With force the run is asked to stop, and its name is free once it has.
	go func() {
		if ev := <-lease.Events(); ev.Kind == routes.EventEvicted {
			lease.Release()
		}
	}()
	second, err := p.Lease(ctx, routes.Registration{Name: "a", Port: 1005, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
	second.Release()
	if left := p.List(); len(left) != 1 || left[0].Kind != routes.Standing || left[0].Target.Port() != 1002 {
		t.Errorf("the alias has not come back: %+v", left)
	}
	if _, err := p.Deregister(ctx, "a", ""); err != nil {
		t.Error(err)
	}
	if _, err := p.Deregister(ctx, "a", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("removing nothing: %v", err)
	}
}

// TestForceTakesThePortToo: a run that takes a name by force gets the port of the
// previous run once that has stopped.
func TestForceTakesThePortToo(t *testing.T) {
	p := newTable(t, "")
	lease, err := p.Lease(t.Context(), routes.Registration{Name: "a", Reserve: true})
	if err != nil {
		t.Fatal(err)
	}
	port := lease.Route().Target.Port()
	app, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal("another process has taken the port: ", err)
	}
	go func() {
		<-lease.Events()
		app.Close()
		lease.Release()
	}()
	second, err := p.Lease(t.Context(), routes.Registration{Name: "a", Reserve: true, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if got := second.Route().Target.Port(); got != port {
		t.Errorf("port %d, want %d", got, port)
	}
}

func TestAProcessTakesItsRouteAlong(t *testing.T) {
	dropped := make(chan string, 1)
	p := newTable(t, "", func(c *routes.Config) { c.Dropped = func(r routes.Route) { dropped <- r.Hostname } })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Register(ctx, routes.Registration{Name: "p", Port: 1001, PID: child.Process.Pid}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Register(ctx, routes.Registration{Name: "p", Port: 1002}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a live process lost its name: %v", err)
	}
	child.Process.Kill()
	child.Wait()
	select {
	case <-dropped:
	case <-time.After(10 * time.Second):
		t.Error("the route is still there")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := p.Register(t.Context(), routes.Registration{Name: "p", Port: 1, PID: child.Process.Pid}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a dead process was accepted as owner: %v", err)
	}
}

// TestUnwritableTableKeepsRoutes: a change that cannot be stored has no effect.
func TestUnwritableTableKeepsRoutes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := newTable(t, filepath.Join(dir, "routes.json"))
	ctx := context.Background()
	if _, err := p.Register(ctx, routes.Registration{Name: "old", Port: 4001, Alias: true}); err != nil {
		t.Fatal(err)
	}
	before := p.List()
	if err := os.Rename(dir, dir+"-gone"); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: got %v, want a write error", what, err)
		}
		if after := p.List(); len(after) != 1 || after[0].Target != before[0].Target || after[0].Hostname != "old.localhost" || !p.Serves("old.localhost") {
			t.Errorf("%s: got %v, want the old table", what, after)
		}
	}
	_, err := p.Register(ctx, routes.Registration{Name: "new", Port: 4002, Alias: true})
	refused("register", err)
	_, err = p.Register(ctx, routes.Registration{Name: "old", Port: 4003, Alias: true})
	refused("replace", err)
	_, err = p.Deregister(ctx, "old", "")
	refused("deregister", err)
}

// TestProcessRouteComesBack: the route of a process that outlives the daemon comes back
// after a restart, but not if another process has its id.
func TestProcessRouteComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	p := newTable(t, path)
	if _, err := p.Register(context.Background(), routes.Registration{Name: "tool", Port: 4001, PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	again := newTable(t, path)
	if l := again.List(); len(l) != 1 || l[0].Hostname != "tool.localhost" || l[0].Kind != routes.Process || l[0].PID != os.Getpid() {
		t.Errorf("after a restart: %+v", l)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	later := regexp.MustCompile(`"pid_start": "[^"]*"`).ReplaceAll(data, []byte(`"pid_start": "another"`))
	if string(later) == string(data) {
		t.Fatalf("no start in %s", data)
	}
	os.WriteFile(path, later, 0o600)
	if l := newTable(t, path).List(); len(l) != 0 {
		t.Errorf("of another process: %+v", l)
	}
}

// TestEvictionDuringUpdates: a run that reports its state during its eviction does not
// deadlock the table.
func TestEvictionDuringUpdates(t *testing.T) {
	p := newTable(t, "")
	for i := range 50 {
		l, err := p.Lease(t.Context(), routes.Registration{Name: "shop", Port: 4001})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for range 100 {
				l.Update(routes.Update{State: routes.StateStarting})
				l.Update(routes.Update{State: routes.StateListening})
			}
			<-l.Events()
			l.Release()
		}()
		next, err := p.Lease(t.Context(), routes.Registration{Name: "shop", Port: 4001, Force: true})
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		next.Release()
	}
}

// TestAliasRestsUnderARun: while a run has the name of an alias, the alias stays on disk.
// After a crash of the daemon the run gets the name back, and the alias after the run.
func TestAliasRestsUnderARun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	ctx := t.Context()
	before := newTable(t, path)
	if _, err := before.Register(ctx, routes.Registration{Name: "a", Port: 1001, Alias: true}); err != nil {
		t.Fatal(err)
	}
	lease, err := before.Lease(ctx, routes.Registration{Name: "a", Port: 1002, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if resting, ok := lease.Resting(); !ok || resting.Target.Port() != 1001 {
		t.Errorf("resting is %+v, %v", resting, ok)
	}
	after := newTable(t, path) // the first daemon was killed
	lease, err = after.Lease(ctx, routes.Registration{Name: "a", Port: 1002})
	if err != nil {
		t.Fatal("the returning run is refused: ", err)
	}
	if r := after.List(); len(r) != 1 || r[0].Kind != routes.Leased {
		t.Errorf("%+v", r)
	}
	lease.Release()
	if r := newTable(t, path).List(); len(r) != 1 || r[0].Target.Port() != 1001 || !r[0].Alias {
		t.Errorf("after the run: %+v", r)
	}
}

// TestPastRunsOutliveARestart: after a restart of the daemon, pages still show the
// command of a run that crashed. Its output is not stored.
func TestPastRunsOutliveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	before := newTable(t, path)
	lease, err := before.Lease(t.Context(), routes.Registration{Name: "crash", Port: 1001, Command: "node server.js", Directory: "/srv"})
	if err != nil {
		t.Fatal(err)
	}
	code := 3
	if err := lease.Update(routes.Update{State: routes.StateExited, Exit: &code, Log: []string{"a secret"}}); err != nil {
		t.Fatal(err)
	}
	lease.Release()
	last := newTable(t, path).LastRun("crash")
	if last == nil || last.Command != "node server.js" || last.Directory != "/srv" || last.Exit == nil || *last.Exit != 3 || last.At.IsZero() {
		t.Errorf("got %+v", last)
	}
	if data, _ := os.ReadFile(path); bytes.Contains(data, []byte("a secret")) {
		t.Error("the run's output is in the file")
	}
}
