package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
)

// sandboxRunner simulates systemd: whether a program starts in the sandbox, whether
// writing is forbidden there, and whether the daemon restarts in it.
type sandboxRunner struct {
	starts, forbids, restarts bool
	calls                     []string
}

func (r *sandboxRunner) run(_ context.Context, name string, args ...string) (string, error) {
	line := name + " " + strings.Join(args, " ")
	r.calls = append(r.calls, line)
	sandboxed := strings.Contains(line, "--property=ProtectSystem=strict")
	switch {
	case name == "systemd-run" && sandboxed && !r.starts:
		return "Failed to set up mount namespacing", errors.New("exit status 226")
	case name == "systemd-run" && sandboxed && r.forbids && strings.Contains(line, "/bin/sh"):
		return "", errors.New("exit status 42")
	case slices.Contains(args, "show"):
		return "ActiveState=active", nil
	case slices.Contains(args, "restart") && !r.restarts:
		r.restarts = true // without the drop-in it starts
		return "", errors.New("exit status 1")
	}
	return "", nil
}

func TestSandbox(t *testing.T) {
	for name, c := range map[string]struct {
		runner          sandboxRunner
		refused, failed bool
	}{
		"it works":                     {runner: sandboxRunner{starts: true, forbids: true, restarts: true}},
		"nothing starts in it":         {runner: sandboxRunner{forbids: true}, refused: true},
		"it forbids nothing":           {runner: sandboxRunner{starts: true}, refused: true},
		"the daemon does not start":    {runner: sandboxRunner{starts: true, forbids: true}, failed: true},
		"a home elsewhere is writable": {runner: sandboxRunner{starts: true, forbids: true, restarts: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := testManager(t)
			m.cfg.Run = c.runner.run
			elsewhere := strings.HasPrefix(name, "a home")
			if elsewhere {
				m.cfg.Paths.Home = "/srv/state dir"
			}
			err := m.ProbeSandbox(t.Context())
			if refused := fault.Is(err, fault.Forbidden); refused != c.refused || (err != nil) != c.refused {
				t.Fatalf("probe: %v", err)
			}
			if c.refused {
				return
			}
			changed, err := m.SetSandbox(t.Context(), true)
			if (err != nil) != c.failed || changed == c.failed || m.Sandboxed() == c.failed {
				t.Fatalf("turned on: changed %v, in place %v, %v", changed, m.Sandboxed(), err)
			}
			if c.failed {
				return
			}
			text, err := os.ReadFile(m.sandboxPath())
			if err != nil || strings.Contains(string(text), "\nReadWritePaths=\"/srv/state dir\"\n") != elsewhere {
				t.Errorf("the drop-in: %v\n%s", err, text)
			}
			if changed, err := m.SetSandbox(t.Context(), true); changed || err != nil {
				t.Errorf("turned on twice: %v, %v", changed, err)
			}
			if changed, err := m.SetSandbox(t.Context(), false); !changed || err != nil || m.Sandboxed() {
				t.Errorf("turned off: %v, %v", changed, err)
			}
			if _, err := os.Stat(filepath.Dir(m.sandboxPath())); err == nil {
				t.Error("the drop-in's directory was not removed")
			}
		})
	}
}
