package apps_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/apps"
)

// A change that could not be written has not happened: what was there stays.
func TestUnwritableTableKeepsRoutes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := newPlane(t, filepath.Join(dir, "routes.json"))
	ctx := context.Background()
	if _, err := p.Register(ctx, apps.Registration{Name: "old", Port: 4001, Alias: true}); err != nil {
		t.Fatal(err)
	}
	before := p.List()
	if err := os.Rename(dir, dir+"-gone"); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: got %v, want an error that says so", what, err)
		}
		if after := p.List(); len(after) != 1 || after[0].Target != before[0].Target || after[0].Hostname != "old.localhost" || !p.Serves("old.localhost") {
			t.Errorf("%s: got %v, want the old table", what, after)
		}
	}
	_, err := p.Register(ctx, apps.Registration{Name: "new", Port: 4002, Alias: true})
	refused("register", err)
	_, err = p.Register(ctx, apps.Registration{Name: "old", Port: 4003, Alias: true})
	refused("replace", err)
	_, err = p.Deregister(ctx, "old", "")
	refused("deregister", err)
}

// A process that registered itself may outlive the daemon: its route comes back,
// that of another process with the same id does not.
func TestProcessRouteComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "routes.json")
	p := newPlane(t, path)
	if _, err := p.Register(context.Background(), apps.Registration{Name: "tool", Port: 4001, PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	again := newPlane(t, path)
	if l := again.List(); len(l) != 1 || l[0].Hostname != "tool.localhost" || l[0].Kind != apps.Process || l[0].PID != os.Getpid() {
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
	if l := newPlane(t, path).List(); len(l) != 0 {
		t.Errorf("of another process: %+v", l)
	}
}
