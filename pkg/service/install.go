package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	kardianos "github.com/kardianos/service"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
)

// Installed is the result of Install.
type Installed struct {
	Units            []string `json:"units"`             // paths of the units
	Packaged         bool     `json:"packaged"`          // the units belong to a package; they were enabled, not written
	Changed          bool     `json:"changed"`           // false if everything was in place
	Port             int      `json:"port"`              //
	Home             string   `json:"home"`              //
	Socket           string   `json:"socket"`            //
	Program          string   `json:"program"`           //
	TLS              bool     `json:"tls"`               // this and the following settings as they are now
	Web              bool     `json:"web"`               // ports 80 and, with TLS, 443
	Sandbox          bool     `json:"sandbox"`           // everything but the home is read-only for the daemon
	IdleTimeout      string   `json:"idle_timeout"`      // a duration, or off
	TokenPersistence string   `json:"token_persistence"` //
}

// Install writes the units, enables them and opens the sockets; the daemon starts with
// the first connection. If a package's units have the requested values, it enables those
// instead. A repeated Install updates the installation and restarts a running daemon, so
// that it runs the installed program. It returns an error if a daemon that was started by
// hand is running. The service of another home is installed next to it, under another
// name.
func (m *Manager) Install(ctx context.Context, settings map[string]string) (out Installed, err error) {
	if m.other != nil {
		return m.other.Install(ctx, settings)
	}
	if err := m.refuseProgram(); err != nil {
		return Installed{}, err
	}
	if err := m.refuseOthers(ctx); err != nil {
		return Installed{}, err
	}
	if err := config.EnsureDir(m.cfg.Paths.Home); err != nil {
		return Installed{}, err
	}
	if err := m.refuseTakenPort(ctx); err != nil {
		return Installed{}, err
	}
	out = Installed{Port: m.cfg.Port, Home: m.cfg.Paths.Home, Socket: m.cfg.Paths.Socket, Program: m.cfg.Program}
	if err := m.cfg.Paths.Point(); err != nil {
		return out, err
	}
	restore, err := m.choose(settings, &out)
	if err != nil {
		return out, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, restore())
		}
	}()
	texts, packaged := m.packaged()
	if !packaged {
		if texts, err = m.render(); err != nil {
			return out, err
		}
	}
	out.Packaged = packaged
	socketsChanged := false
	wasInstalled, serviceBefore := m.installedHome() != "", m.unitText(m.serviceUnit())
	before := map[string][]byte{} // files of the user, not of a package
	for _, name := range m.allUnits() {
		path, want := filepath.Join(m.unitDir(), name), filepath.Join(m.unitDir(), name)
		if packaged {
			want = filepath.Join(m.cfg.PackageUnits, name)
		}
		out.Units = append(out.Units, want)
		if old, err := os.ReadFile(path); err == nil {
			before[name] = old
		}
		same := m.unitText(name) == texts[name]
		if same && m.unitFile(name) == want {
			continue
		}
		if texts[name] == "" {
			out.Units = out.Units[:len(out.Units)-1]
			out.Changed = true
			if err := m.dropWeb(ctx); err != nil {
				return out, err
			}
			continue
		}
		out.Changed = true
		// Ports 80 and 443 can be added while the other sockets stay open.
		socketsChanged = socketsChanged || !same && name != m.serviceUnit() && (name != m.webSocket() || before[name] != nil)
		if packaged {
			err = removeFile(path)
		} else {
			err = m.write(name, texts[name])
		}
		if err != nil {
			return out, errors.Join(err, m.putBack(before))
		}
	}
	if err := m.verify(ctx, out.Units); err != nil {
		return out, errors.Join(err, m.putBack(before))
	}
	if err := m.bringUp(ctx, socketsChanged, serviceBefore != texts[m.serviceUnit()]); err != nil {
		return out, errors.Join(err, m.putBack(before), m.resume(ctx, wasInstalled))
	}
	return out, nil
}

// removeFile removes a file if it exists.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// refuseProgram returns an error if the program cannot be started by this user.
func (m *Manager) refuseProgram() error {
	if info, err := os.Stat(m.cfg.Program); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("hostlessd is not at %q", m.cfg.Program), Next: "make install"}
	}
	return config.RefuseForeign(m.cfg.Paths.Home, os.Geteuid(), m.cfg.Getenv)
}

// refuseTakenPort returns an error if another program listens on the port, before
// anything is changed. The installed port belongs to our own sockets.
func (m *Manager) refuseTakenPort(ctx context.Context) error {
	if s, err := m.Status(ctx); err == nil && s.Installed && s.Port == m.cfg.Port && m.active(ctx, m.httpSocket()) {
		return nil
	}
	return m.refusePort(m.cfg.Port)
}

func (m *Manager) refusePort(port int) error {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			return m.portTaken(port, err)
		}
		if err == nil {
			l.Close()
		}
	}
	return nil
}

// resume restores the previous units after a failed installation and opens their sockets
// again. If nothing was installed before, it disables the units, because a package's
// units would otherwise count as installed.
func (m *Manager) resume(ctx context.Context, installed bool) error {
	if !installed {
		m.systemctl(ctx, append([]string{"disable"}, m.allUnits()...)...) // the units' files may be gone
	}
	if _, err := m.systemctl(ctx, "daemon-reload"); err != nil || !installed {
		return err
	}
	m.systemctl(ctx, append([]string{"reenable"}, m.allUnits()...)...)     // a new unit may be gone
	m.systemctl(ctx, append([]string{"reset-failed"}, m.allUnits()...)...) // fails if nothing had failed
	return m.startSockets(ctx)
}

// dropWeb closes ports 80 and 443 and removes their unit.
func (m *Manager) dropWeb(ctx context.Context) error {
	name := m.webSocket()
	for _, verb := range []string{"stop", "disable"} {
		if _, err := m.systemctl(ctx, verb, name); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(m.unitDir(), name))
}

// lowPorts contains the first port that unprivileged programs may listen on (ip(7)).
const lowPorts = "/proc/sys/net/ipv4/ip_unprivileged_port_start"

// refusePrivileged returns an error if the service manager of uid may not open ports 80
// and 443 according to the file. The error contains the command that allows it for all
// users.
func refusePrivileged(file string, uid int) error {
	data, err := os.ReadFile(file)
	if err != nil || uid == 0 {
		return nil
	}
	text := strings.TrimSpace(string(data))
	if first, err := strconv.Atoi(text); err != nil || first <= 80 {
		return nil
	}
	return &fault.Error{
		Kind: fault.Forbidden, Message: "this system reserves ports below " + text + " for root; nothing was changed",
		Next: "echo net.ipv4.ip_unprivileged_port_start=80 | sudo tee /etc/sysctl.d/50-hostless.conf && sudo sysctl --system, then run the same command again",
	}
}

// putBack restores the units' files after a failed installation.
func (m *Manager) putBack(before map[string][]byte) error {
	var errs []error
	for _, name := range m.allUnits() {
		path := filepath.Join(m.unitDir(), name)
		if old, ok := before[name]; ok {
			errs = append(errs, os.WriteFile(path, old, 0o644))
		} else {
			errs = append(errs, removeFile(path))
		}
	}
	return errors.Join(errs...)
}

// write writes a unit's file. The service unit is written by kardianos/service, which
// does not replace files.
func (m *Manager) write(name, text string) error {
	path := filepath.Join(m.unitDir(), name)
	if err := os.MkdirAll(m.unitDir(), 0o755); err != nil {
		return err
	}
	if name != m.serviceUnit() {
		return os.WriteFile(path, []byte(text), 0o644)
	}
	if err := removeFile(path); err != nil {
		return err
	}
	svc, err := m.kardianos(text)
	if err != nil {
		return err
	}
	if err := svc.Install(); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(written) != text { // its template engine drops what it cannot parse
		os.Remove(path)
		return fmt.Errorf("install %s: the unit file has unexpected content", name)
	}
	return nil
}

func (m *Manager) kardianos(script string) (kardianos.Service, error) {
	return kardianos.New(program{}, &kardianos.Config{
		Name: m.name, DisplayName: "Hostless", Executable: m.cfg.Program,
		Option: kardianos.KeyValue{"UserService": true, "SystemdScript": script},
	})
}

// program is a placeholder for what kardianos/service would run. The daemon runs itself
// (pkg/daemon).
type program struct{}

func (program) Start(kardianos.Service) error { return nil }
func (program) Stop(kardianos.Service) error  { return nil }

// verify checks the units with systemd's own checker, if that is installed.
func (m *Manager) verify(ctx context.Context, paths []string) error {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return nil
	}
	out, err := m.cfg.Run(ctx, "systemd-analyze", append([]string{"--user", "verify"}, paths...)...)
	if err != nil {
		return fmt.Errorf("systemd rejects the units: %w", err)
	}
	for line := range strings.SplitSeq(out, "\n") {
		if strings.Contains(line, Name) && (strings.Contains(line, "Unknown") || strings.Contains(line, "Failed to parse")) {
			return fmt.Errorf("systemd rejects the units: %s", line)
		}
	}
	return nil
}

// bringUp enables the units and opens the sockets. It restarts a running daemon; the
// sockets stay open unless they have changed.
func (m *Manager) bringUp(ctx context.Context, socketsChanged, serviceChanged bool) error {
	if _, err := m.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	// Needed even if they are enabled: the links may lead to a package's units instead of
	// the user's own.
	if _, err := m.systemctl(ctx, append([]string{"reenable"}, m.allUnits()...)...); err != nil {
		return err
	}
	running := m.active(ctx, m.serviceUnit())
	if socketsChanged && (m.active(ctx, m.httpSocket()) || m.active(ctx, m.controlSocket()) || running) {
		if err := m.stopAll(ctx); err != nil {
			return err
		}
	}
	m.systemctl(ctx, append([]string{"reset-failed"}, m.allUnits()...)...) // fails if nothing had failed
	if err := m.startSockets(ctx); err != nil {
		return err
	}
	switch {
	case running && serviceChanged: // a changed unit only affects a process that the manager starts
		_, err := m.systemctl(ctx, "restart", m.serviceUnit())
		return m.explain(ctx, err)
	case running:
		return m.replace(ctx)
	}
	return nil
}

// DefaultIdleTimeout is the idle timeout that an installation sets unless the user has
// set one. The manager holds the sockets, so the daemon can stop while it is not used.
const DefaultIdleTimeout = "30m"

// choose stores the requested settings and the defaults of an installation in
// config.json, and reports them in out. The returned function restores config.json.
func (m *Manager) choose(asked map[string]string, out *Installed) (restore func() error, err error) {
	path := m.cfg.Paths.Config()
	before, readErr := os.ReadFile(path)
	restore = func() error {
		if errors.Is(readErr, fs.ErrNotExist) {
			return os.Remove(path)
		}
		return config.WritePrivate(path, before)
	}
	settings, _, err := config.OpenSettings(config.SettingsConfig{Path: path})
	if err != nil {
		return nil, err
	}
	for name, fallback := range map[string]string{config.TokenPersistence: config.PersistFile, config.IdleTimeout: DefaultIdleTimeout} {
		if _, ok := asked[name]; !ok && !settings.Chosen(name) {
			asked[name] = fallback
		}
	}
	for name, value := range asked {
		was, err := settings.Get(name)
		if err == nil {
			err = settings.Set(name, value)
		}
		if err != nil {
			return nil, err
		}
		now, _ := settings.Get(name) // it was just set
		out.Changed = out.Changed || was != now
	}
	out.TLS, out.Web, out.TokenPersistence = settings.TLS(), settings.Web(), settings.TokenPersistence()
	m.webPorts = nil
	if out.Web {
		m.webPorts = []int{80}
		if out.TLS {
			m.webPorts = append(m.webPorts, 443)
		}
		if err := refusePrivileged(lowPorts, os.Geteuid()); err != nil {
			return restore, errors.Join(err, restore())
		}
	}
	out.IdleTimeout, err = settings.Get(config.IdleTimeout)
	return restore, err
}

// refuseOthers returns an error if another daemon or service is in the way.
func (m *Manager) refuseOthers(ctx context.Context) error {
	if m.active(ctx, m.controlSocket()) {
		return nil // its daemon is ours
	}
	return m.refuseByHand(ctx)
}

// refuseByHand returns an error if a daemon of this home is running that was started by
// hand.
func (m *Manager) refuseByHand(ctx context.Context) error {
	client := control.NewClient(m.cfg.Paths.Socket)
	defer client.CloseIdle()
	if status, err := client.Status(ctx); err == nil && status.Activation == "self" {
		return &fault.Error{
			Kind: fault.Conflict, Message: fmt.Sprintf("a daemon that was started by hand is running (pid %d)", status.PID),
			Next: "hostless stop",
		}
	}
	return nil
}

// installedHome returns the home of the installed service if it is this Manager's, or "".
func (m *Manager) installedHome() string { return m.homeOf(m.name) }

// homeOf returns the home in an installed service unit, "" without one.
func (m *Manager) homeOf(name string) string {
	for line := range strings.SplitSeq(m.unitText(name+".service"), "\n") {
		value, ok := strings.CutPrefix(line, "Environment=")
		if !ok {
			continue
		}
		if home, ok := strings.CutPrefix(unquote(m.expandHome(value)), "HOSTLESS_HOME="); ok {
			return home
		}
	}
	return ""
}

// unquote is the inverse of quote.
func unquote(text string) string {
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		text = text[1 : len(text)-1]
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, "%%", "%").Replace(text)
}

// Removed is the result of Uninstall.
type Removed struct {
	Units  []string `json:"units"`  // the removed files
	Purged bool     `json:"purged"` // keys, tokens and settings were removed too
	Left   string   `json:"left"`   // the home if it still contains anything, or else ""
}

// Uninstall stops everything, sockets first, and removes the units. With purge it also
// removes the keys, tokens and settings in the home for good; in that case it returns an
// error if a daemon that was started by hand is running, because that uses them. If
// nothing is installed, it removes no unit and returns no error.
func (m *Manager) Uninstall(ctx context.Context, purge bool) (Removed, error) {
	out := Removed{Units: []string{}}
	units, err := m.remove(ctx)
	out.Units = units
	if err != nil {
		return out, err
	}
	out.Left = m.cfg.Paths.Home
	os.Remove(m.cfg.Paths.Pointer()) // a daemon that was started by hand leaves its own
	if !purge {
		return out, nil
	}
	if err := m.refuseByHand(ctx); err != nil {
		return out, err
	}
	removed, err := config.Purge(m.cfg.Paths.Home)
	if err != nil {
		return out, err
	}
	out.Purged = true
	if removed {
		out.Left = ""
	}
	return out, nil
}

func (m *Manager) remove(ctx context.Context) ([]string, error) {
	if m.other != nil {
		return m.other.remove(ctx)
	}
	removed := []string{}
	var installed, files []string
	for _, name := range m.allUnits() {
		if file := m.unitFile(name); file != "" {
			installed = append(installed, name)
			if filepath.Dir(file) == m.unitDir() {
				files = append(files, file)
			} else { // the package's unit stays, but not its links
				removed = append(removed, m.links(name)...)
			}
		}
	}
	if len(installed) == 0 {
		return removed, nil
	}
	if err := m.stopAll(ctx); err != nil {
		return []string{}, err
	}
	if _, err := m.systemctl(ctx, append([]string{"disable"}, installed...)...); err != nil {
		return removed, err
	}
	for _, path := range files {
		if err := removeFile(path); err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	if m.Sandboxed() {
		if err := m.removeSandbox(); err != nil {
			return removed, err
		}
		removed = append(removed, m.sandboxPath())
	}
	if _, err := m.systemctl(ctx, "daemon-reload"); err != nil {
		return removed, err
	}
	m.systemctl(ctx, append([]string{"reset-failed"}, installed...)...) // fails if nothing had failed
	return removed, nil
}
