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

// sandboxFile is the drop-in that mounts all but the home and the runtime directory
// read-only for the daemon.
const sandboxFile = "hostlessd-sandbox.conf"

func (m *Manager) sandboxPath() string {
	return filepath.Join(m.unitDir(), m.serviceUnit()+".d", sandboxFile)
}

// Sandboxed reports whether the drop-in is in place.
func (m *Manager) Sandboxed() bool {
	if m.other != nil {
		return false
	}
	_, err := os.Stat(m.sandboxPath())
	return err == nil
}

// sandbox is the drop-in's text. A home elsewhere than in the user's stays writable.
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

// ProbeSandbox tries what the drop-in says on a program that ends at once: the daemon
// must start in it, and what it forbids must fail there that does not fail here. The
// error is fault.Forbidden and says what this system does instead; nothing is changed.
// On macOS there is no such sandbox.
func (m *Manager) ProbeSandbox(ctx context.Context) error {
	refuse := func(reason string, err error) error {
		return &fault.Error{
			Kind: fault.Forbidden, Message: "this system cannot sandbox a user's service: " + reason + "; nothing was changed",
			Next: "hostless service install, without --sandbox", Err: err,
		}
	}
	if m.other != nil {
		return refuse("launchd has no such setting", nil)
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
		return refuse("there is no folder to try it on", err)
	}
	defer remove()
	// systemd takes the mount options of a user's service without a word where it cannot apply them.
	probe := filepath.Join(dir, "probe")
	if _, err := m.runWith(ctx, text, "/bin/sh", "-c", `: >"$0" && exit 0; exit 42`, probe); err == nil {
		return refuse("it was accepted and forbids nothing", nil)
	}
	if _, err := m.runWith(ctx, "", "/bin/sh", "-c", `: >"$0"`, probe); err != nil {
		return refuse("it could not be tried", err)
	}
	return nil
}

// runWith runs a program under the manager with the settings of a drop-in and waits.
func (m *Manager) runWith(ctx context.Context, dropIn string, argv ...string) (string, error) {
	args := []string{"--user", "--quiet", "--wait", "--collect", "--pipe", "--service-type=exec"}
	in := bufio.NewScanner(strings.NewReader(dropIn))
	for in.Scan() {
		if name, value, ok := strings.Cut(in.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			// A transient unit's paths have no specifiers (systemd-run(1)).
			value = strings.NewReplacer("%h", m.cfg.Getenv("HOME"), "%t", m.cfg.Getenv("XDG_RUNTIME_DIR")).Replace(value)
			args = append(args, "--property="+name+"="+value)
		}
	}
	return m.cfg.Run(ctx, "systemd-run", append(append(args, "--"), argv...)...)
}

// outside makes a folder that the user may write to and the sandboxed daemon may not.
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
	return "", nil, errors.Join(errors.New("neither /var/tmp nor /tmp can be written to"), err)
}

// SetSandbox puts the drop-in in place or takes it away, and restarts a daemon that
// runs. A daemon that does not come back in it takes it away again, and is an error.
// changed tells whether anything was. Probe first (ProbeSandbox).
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
		return false, errors.Join(fmt.Errorf("the daemon does not start in the sandbox, which is taken away again: %w", err), m.removeSandbox(), m.reloadService(ctx))
	}
	return true, nil
}

// reloadService has the manager read the drop-in. A process that runs gets it only by a
// start of the manager's own.
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

// removeSandbox removes the drop-in, and its folder where nothing else is in it.
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

// lastLine is the last line of what a command printed, else its error.
func lastLine(out string, err error) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return last
	}
	return err.Error()
}
