package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	units "github.com/hostless/hostless/init"
	"github.com/hostless/hostless/pkg/fault"
)

// sandboxFile is the name of the drop-in that makes everything but the home and the
// runtime directory read-only for the daemon.
const sandboxFile = "hostlessd-sandbox.conf"

func (m *Manager) sandboxPath() string {
	return filepath.Join(m.unitDir(), m.serviceUnit()+".d", sandboxFile)
}

// Sandboxed reports whether the drop-in is installed.
func (m *Manager) Sandboxed() bool {
	if m.other != nil {
		return false
	}
	_, err := os.Stat(m.sandboxPath())
	return err == nil
}

// sandbox returns the drop-in's text. A home outside the user's home directory stays
// writable.
func (m *Manager) sandbox() (string, error) {
	text, err := units.Render(sandboxFile, units.Systemd{})
	if err != nil {
		return "", err
	}
	if home := m.cfg.Paths.Home; !strings.HasPrefix(home+"/", filepath.Clean(m.cfg.Getenv("HOME"))+"/") {
		text += "ReadWritePaths=" + quote(home) + "\n"
	}
	return text, nil
}

// ProbeSandbox tests the drop-in's settings with short programs: one must start, and one
// must fail to write to a place where the user otherwise may. The error is
// fault.Forbidden and says what went wrong on this system; nothing is changed. There is
// no such sandbox on macOS.
func (m *Manager) ProbeSandbox(ctx context.Context) error {
	refuse := func(reason string, err error) error {
		return &fault.Error{
			Kind: fault.Forbidden, Message: "this system cannot sandbox a user's service: " + reason + "; nothing was changed",
			Next: "hostless service install, without --sandbox", Err: err,
		}
	}
	if m.other != nil {
		return refuse("launchd does not support it", nil)
	}
	text, err := m.sandbox()
	if err != nil {
		return err
	}
	if out, err := m.runWith(ctx, text, m.cfg.Program, "--version"); err != nil {
		return refuse("a program does not start in it ("+lastLine(out, err)+")", err)
	}
	dir, remove, err := m.outside()
	if err != nil {
		return refuse("there is no directory to test it with", err)
	}
	defer remove()
	// For a user's service, systemd silently ignores mount options that it cannot apply.
	probe := filepath.Join(dir, "probe")
	if _, err := m.runWith(ctx, text, "/bin/sh", "-c", `: >"$0" && exit 0; exit 42`, probe); err == nil {
		return refuse("it was accepted but has no effect", nil)
	}
	if _, err := m.runWith(ctx, "", "/bin/sh", "-c", `: >"$0"`, probe); err != nil {
		return refuse("it could not be tested", err)
	}
	return nil
}

// runWith runs a program under the service manager with the settings of a drop-in and
// waits for it.
func (m *Manager) runWith(ctx context.Context, dropIn string, argv ...string) (string, error) {
	args := []string{"--user", "--quiet", "--wait", "--collect", "--pipe", "--service-type=exec"}
	in := bufio.NewScanner(strings.NewReader(dropIn))
	for in.Scan() {
		if name, value, ok := strings.Cut(in.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			// Specifiers in paths are not expanded for a transient unit (systemd-run(1)).
			value = strings.NewReplacer("%h", m.cfg.Getenv("HOME"), "%t", m.cfg.Getenv("XDG_RUNTIME_DIR")).Replace(value)
			args = append(args, "--property="+name+"="+value)
		}
	}
	return m.cfg.Run(ctx, "systemd-run", append(append(args, "--"), argv...)...)
}

// outside returns a new directory that the user can write to, but the sandboxed daemon
// cannot.
func (m *Manager) outside() (dir string, remove func(), err error) {
	for _, parent := range []string{"/var/tmp", "/tmp"} {
		writable := false
		for _, kept := range []string{m.cfg.Getenv("HOME"), m.cfg.Getenv("XDG_RUNTIME_DIR"), m.cfg.Paths.Home} {
			writable = writable || kept == parent
		}
		if writable {
			continue
		}
		if dir, err = os.MkdirTemp(parent, "hostless-sandbox-"); err == nil {
			return dir, func() { os.RemoveAll(dir) }, nil
		}
	}
	return "", nil, errors.Join(errors.New("neither /var/tmp nor /tmp is writable"), err)
}

// SetSandbox installs or removes the drop-in and restarts a running daemon. If the daemon
// does not start in the sandbox, the drop-in is removed again and an error returned.
// changed reports whether anything was changed. Call ProbeSandbox first.
func (m *Manager) SetSandbox(ctx context.Context, on bool) (changed bool, err error) {
	if m.other != nil || !on && !m.Sandboxed() {
		return false, nil
	}
	path := m.sandboxPath()
	if !on {
		if err := m.removeSandbox(); err != nil {
			return false, err
		}
		return true, m.reloadService(ctx)
	}
	text, err := m.sandbox()
	if err != nil {
		return false, err
	}
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return false, err
	}
	if err := m.reloadService(ctx); err != nil {
		return false, errors.Join(fmt.Errorf("the daemon did not start in the sandbox, which was removed again: %w", err), m.removeSandbox(), m.reloadService(ctx))
	}
	return true, nil
}

// reloadService makes the service manager read the drop-in and restarts a running daemon,
// because the settings only apply to a process that the manager starts.
func (m *Manager) reloadService(ctx context.Context) error {
	if _, err := m.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	if !m.active(ctx, m.serviceUnit()) {
		return nil
	}
	_, err := m.systemctl(ctx, "restart", m.serviceUnit())
	return m.explain(ctx, err)
}

// removeSandbox removes the drop-in, and its directory if nothing else is in it.
func (m *Manager) removeSandbox() error {
	path := m.sandboxPath()
	if err := removeFile(path); err != nil {
		return err
	}
	if err := os.Remove(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		if entries, readErr := os.ReadDir(filepath.Dir(path)); readErr != nil || len(entries) == 0 {
			return err
		}
	}
	return nil
}

// lastLine returns the last line of a command's output, or else its error.
func lastLine(out string, err error) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return err.Error()
}
