package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

// launchctlError is the error of a launchctl command with a nonzero exit code.
type launchctlError struct {
	code int
	text string
}

func (e launchctlError) Error() string { return e.text }
func (e launchctlError) ExitCode() int { return e.code }

// fakeLaunchctl simulates launchd with one domain, gui/501: loaded, running and disabled
// services.
type fakeLaunchctl struct {
	t        *testing.T
	loaded   map[string]string // label → the agent's text when it was loaded
	pids     map[string]int
	disabled map[string]bool
	refuse   error // error of bootstrap
	ran      []string
}

func newFakeLaunchctl(t *testing.T) *fakeLaunchctl {
	return &fakeLaunchctl{t: t, loaded: map[string]string{}, pids: map[string]int{}, disabled: map[string]bool{}}
}

func (f *fakeLaunchctl) run(_ context.Context, name string, args ...string) (string, error) {
	if name != "launchctl" {
		return "", nil
	}
	f.ran = append(f.ran, strings.Join(args, " "))
	last := args[len(args)-1]
	label, inDomain := strings.CutPrefix(last, "gui/501/")
	switch {
	case args[0] == "print-disabled" && last == "gui/501":
		out := "\n\tdisabled services = {\n"
		for label, is := range f.disabled {
			out += fmt.Sprintf("\t\t%q => %s\n", label, map[bool]string{true: "disabled", false: "enabled"}[is])
		}
		return out + "\t}\n", nil
	case args[0] == "bootstrap" && args[1] == "gui/501":
		data, err := os.ReadFile(last)
		if err != nil {
			return "", launchctlError{launchctlIO, "Bootstrap failed: 5: Input/output error"}
		}
		if label = strings.TrimSuffix(filepath.Base(last), ".plist"); f.loaded[label] != "" {
			return "", launchctlError{launchctlIO, "Bootstrap failed: 5: Input/output error"}
		}
		if f.refuse != nil {
			return "", f.refuse
		}
		f.loaded[label], f.pids[label] = string(data), 4711 // KeepAlive starts it
		return "", nil
	case !inDomain:
	case args[0] == "enable":
		delete(f.disabled, label)
		return "", nil
	case f.loaded[label] == "" && args[0] == "print":
		return "", launchctlError{launchctlNoService, `Could not find service "` + label + `" in domain for user gui: 501`}
	case f.loaded[label] == "":
		return "", launchctlError{3, "Boot-out failed: 3: No such process"}
	case args[0] == "print":
		out := fmt.Sprintf("%s = {\n\tactive count = 1\n\tpath = /x\n\tstate = %s\n\n\tdefault environment = {\n\t\tpid = 99\n\t\tstate = odd\n\t}\n", last,
			map[bool]string{true: "running", false: "not running"}[f.pids[label] != 0])
		if pid := f.pids[label]; pid != 0 {
			out += fmt.Sprintf("\tpid = %d\n", pid)
		}
		return out + "\tlast exit code = 0\n}\n", nil
	case args[0] == "bootout":
		delete(f.loaded, label)
		delete(f.pids, label)
		return "", nil
	case args[0] == "kickstart":
		f.pids[label]++
		return "", nil
	}
	f.t.Errorf("launchctl %s: unexpected command", strings.Join(args, " "))
	return "", errors.New("usage")
}

// did reports whether a subcommand was run since the last forget.
func (f *fakeLaunchctl) did(verb string) bool {
	return slices.ContainsFunc(f.ran, func(line string) bool { return strings.HasPrefix(line+" ", verb+" ") })
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// launchdManager returns a Manager with the fake launchctl, a home and a program.
func launchdManager(t *testing.T, fake *fakeLaunchctl, user, home string) *Manager {
	t.Helper()
	program := filepath.Join(user, "hostlessd")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &Manager{cfg: Config{
		Paths:   config.Paths{Home: filepath.Join(user, home), Socket: filepath.Join(user, home, "control.sock")},
		Program: program, Port: freePort(t), Run: fake.run,
		Getenv: func(name string) string { return map[string]string{"HOME": user}[name] },
	}}
	l, err := newLaunchd(t.Context(), m, 501)
	if err != nil {
		t.Fatal(err)
	}
	m.other = l
	return m
}

// shortDir returns a directory with a path that is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func mustStatus(t *testing.T, m *Manager) Status {
	t.Helper()
	s, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLaunchd goes through the life of an installation on macOS.
func TestLaunchd(t *testing.T) {
	fake := newFakeLaunchctl(t)
	fake.disabled[launchdLabel] = true
	user := shortDir(t)
	m := launchdManager(t, fake, user, "a & b")
	if s := mustStatus(t, m); s.Installed || s.Running || s.Manager != "launchd" {
		t.Fatalf("before: %+v", s)
	}
	if err := m.Start(t.Context()); !fault.Is(err, fault.NotFound) {
		t.Errorf("start before installation: %v", err)
	}
	done, err := m.Install(t.Context(), map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(user, "Library", "LaunchAgents", launchdLabel+".plist")
	if !done.Changed || !slices.Equal(done.Units, []string{path}) || done.IdleTimeout != DefaultIdleTimeout || done.TokenPersistence != config.PersistFile {
		t.Errorf("installed %+v", done)
	}
	s := mustStatus(t, m)
	port := strconv.Itoa(m.cfg.Port)
	if !s.Installed || !s.Running || !s.Listening || s.PID != 4711 || s.Home != m.cfg.Paths.Home || s.Port != m.cfg.Port || s.Program != m.cfg.Program ||
		!slices.Equal(s.Listen, []string{"127.0.0.1:" + port, "[::1]:" + port, m.cfg.Paths.Socket}) ||
		s.Units[0] != (Unit{launchdLabel, "active", "running", "enabled"}) {
		t.Errorf("status %+v", s)
	}
	if !m.Supervised(t.Context()) || m.Journal() || m.Unit() != launchdLabel {
		t.Error("the daemon is not recognized as launchd's")
	}
	info, err := os.Stat(m.cfg.Paths.Logs())
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the log's folder: %v %v", info, err)
	}

	// Idle, then restarted.
	fake.pids[launchdLabel] = 0
	if s := mustStatus(t, m); s.Running || !s.Listening {
		t.Errorf("idle: %+v", s)
	}
	if err := m.Restart(t.Context()); err != nil || mustStatus(t, m).PID == 0 {
		t.Errorf("restart of one that does not run: %v, %+v", err, mustStatus(t, m))
	}

	// Installed again without changes: the daemon hands over to the same program.
	fake.ran = nil
	done, err = m.Install(t.Context(), map[string]string{})
	if err != nil || done.Changed || fake.did("bootout") || !fake.did("kickstart -k") {
		t.Errorf("installed again: %+v, %v; ran %v", done, err, fake.ran)
	}

	// Another port: launchd must load the agent again.
	fake.ran, m.cfg.Port = nil, freePort(t)
	if done, err = m.Install(t.Context(), map[string]string{}); err != nil || !done.Changed || !fake.did("bootout") || mustStatus(t, m).Port != m.cfg.Port {
		t.Errorf("another port: %+v, %v", done, err)
	}
	if !strings.Contains(fake.loaded[launchdLabel], strconv.Itoa(m.cfg.Port)) {
		t.Error("launchd has loaded the previous agent")
	}

	// Stopped, with the socket's file left behind, and started.
	if err := os.WriteFile(m.cfg.Paths.Socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context()); err != nil || mustStatus(t, m).Listening {
		t.Errorf("stop: %v, %+v", err, mustStatus(t, m))
	}
	if _, err := os.Lstat(m.cfg.Paths.Socket); err != nil {
		t.Error("a file that is not a socket was removed")
	}
	if err := m.Stop(t.Context()); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
	if err := m.Start(t.Context()); err != nil || !mustStatus(t, m).Running {
		t.Errorf("start: %v", err)
	}

	gone, err := m.Uninstall(t.Context(), true)
	if err != nil || !slices.Equal(gone.Units, []string{path}) || !gone.Purged {
		t.Errorf("uninstalled %+v, %v", gone, err)
	}
	if s := mustStatus(t, m); s.Installed || s.Listening {
		t.Errorf("after: %+v", s)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the agent is left: %v", err)
	}
	if gone, err = m.Uninstall(t.Context(), false); err != nil || len(gone.Units) != 0 {
		t.Errorf("uninstalled twice: %+v, %v", gone, err)
	}
}

// TestLaunchdHandsOver: a running daemon is asked to hand over to a successor, and
// launchd is not involved.
func TestLaunchdHandsOver(t *testing.T) {
	fake := newFakeLaunchctl(t)
	m := launchdManager(t, fake, shortDir(t), "h")
	if _, err := m.Install(t.Context(), map[string]string{}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", m.cfg.Paths.Socket)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	answers := http.NewServeMux()
	answers.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, fmt.Sprintf(`{"pid":%d}`, 4711+asked.Load()))
	})
	answers.HandleFunc("POST /restart", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		io.WriteString(w, `{"status":"restarting","pid":4712}`)
	})
	server := &http.Server{Handler: answers}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	if err := os.Chmod(m.cfg.Paths.Socket, 0o600); err != nil {
		t.Fatal(err)
	}
	fake.ran = nil
	if err := m.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the daemon got %d handover requests", n)
	}
	if fake.did("kickstart") || fake.did("bootout") {
		t.Errorf("launchctl was run too: %v", fake.ran)
	}
}

// TestLaunchdRefused: if launchd rejects the agent, the error says what to do, and the
// previous state is restored.
func TestLaunchdRefused(t *testing.T) {
	eio := launchctlError{launchctlIO, "Bootstrap failed: 5: Input/output error"}
	for name, c := range map[string]struct {
		disabled bool
		refuse   error
		want     string
	}{
		"error 5":              {false, eio, "check whether hostlessd is switched off in System Settings > General > Login Items"},
		"disabled by the user": {true, eio, "switch hostlessd on in System Settings > General > Login Items"},
		"another":              {false, launchctlError{112, "Bootstrap failed: 112: Could not find specified service"}, "hostless service status"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFakeLaunchctl(t)
			m := launchdManager(t, fake, shortDir(t), "h")
			fake.refuse = c.refuse
			if c.disabled {
				m.cfg.Run = func(ctx context.Context, name string, args ...string) (string, error) {
					out, err := fake.run(ctx, name, args...)
					fake.disabled[launchdLabel] = true // stays disabled however often it is enabled
					return out, err
				}
			}
			_, err := m.Install(t.Context(), map[string]string{})
			var f *fault.Error
			if !errors.As(err, &f) || !strings.Contains(f.Next, c.want) {
				t.Errorf("error %v (%+v), want %q", err, f, c.want)
			}
			if s := mustStatus(t, m); s.Installed {
				t.Errorf("left: %+v", s)
			}
			if _, err := os.Stat(m.cfg.Paths.Config()); !os.IsNotExist(err) {
				t.Errorf("settings are left: %v", err)
			}
		})
	}
	t.Run("an update", func(t *testing.T) {
		fake := newFakeLaunchctl(t)
		m := launchdManager(t, fake, shortDir(t), "h")
		if _, err := m.Install(t.Context(), map[string]string{}); err != nil {
			t.Fatal(err)
		}
		before, port := fake.loaded[launchdLabel], m.cfg.Port
		m.cfg.Port = freePort(t)
		m.cfg.Run = func(ctx context.Context, name string, args ...string) (string, error) {
			if args[0] == "bootstrap" && m.cfg.Port != port {
				m.cfg.Port = port
				return "", eio
			}
			return fake.run(ctx, name, args...)
		}
		if _, err := m.Install(t.Context(), map[string]string{}); err == nil {
			t.Fatal("no error")
		}
		if s := mustStatus(t, m); !s.Listening || s.Port != port || fake.loaded[launchdLabel] != before {
			t.Errorf("the previous agent was not restored: %+v", s)
		}
	})
}

func TestLaunchdPortTaken(t *testing.T) {
	fake := newFakeLaunchctl(t)
	m := launchdManager(t, fake, shortDir(t), "h")
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(m.cfg.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := m.Install(t.Context(), map[string]string{}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), strconv.Itoa(m.cfg.Port)) {
		t.Errorf("error %v", err)
	}
	if fake.did("bootstrap") || mustStatus(t, m).Installed {
		t.Error("it was installed anyway")
	}
}

func TestLaunchdSecondHome(t *testing.T) {
	fake := newFakeLaunchctl(t)
	user := shortDir(t)
	first := launchdManager(t, fake, user, "one")
	if _, err := first.Install(t.Context(), map[string]string{}); err != nil {
		t.Fatal(err)
	}
	second := launchdManager(t, fake, user, "two")
	if _, err := second.Install(t.Context(), map[string]string{}); err != nil {
		t.Fatal(err)
	}
	if first.Unit() != launchdLabel || !strings.HasPrefix(second.Unit(), launchdLabel+"-") || len(fake.loaded) != 2 {
		t.Fatalf("labels %q and %q, loaded %d", first.Unit(), second.Unit(), len(fake.loaded))
	}
	if _, err := second.Uninstall(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if s := mustStatus(t, first); !s.Running {
		t.Errorf("the first: %+v", s)
	}
}

func TestLaunchdWithoutSession(t *testing.T) {
	m := &Manager{cfg: Config{Run: func(context.Context, string, ...string) (string, error) {
		return "", launchctlError{125, "Domain does not support specified action"}
	}}}
	if _, err := newLaunchd(t.Context(), m, 501); !errors.Is(err, ErrNoManager) {
		t.Errorf("error %v, want ErrNoManager", err)
	}
}
