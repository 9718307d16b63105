package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/listen"
)

// Unit is the state of a unit.
type Unit struct {
	Name    string `json:"name"`
	Active  string `json:"active"`  // as in systemd: active, inactive, failed, …
	Sub     string `json:"sub"`     // running, listening, dead, …
	Enabled string `json:"enabled"` // enabled, disabled, "" if it is not installed
}

// Status is the state of the service.
type Status struct {
	Manager   string   `json:"manager"` // systemd or launchd
	Installed bool     `json:"installed"`
	Running   bool     `json:"running"`   // the daemon's process exists
	Listening bool     `json:"listening"` // the sockets are open, with or without a daemon
	PID       int      `json:"pid"`       // 0 without a process
	Home      string   `json:"home"`      // home of the installation
	Port      int      `json:"port"`
	Program   string   `json:"program"`
	Listen    []string `json:"listen"` // addresses and socket paths
	Units     []Unit   `json:"units"`
}

// Status queries the service manager. Without an installation only Manager is set.
func (m *Manager) Status(ctx context.Context) (Status, error) {
	if m.other != nil {
		return m.other.Status(ctx)
	}
	s := Status{Manager: "systemd", Home: m.installedHome(), Listen: []string{}, Units: []Unit{}, Listening: true}
	s.Installed = s.Home != ""
	for _, name := range m.allUnits() {
		p, err := m.properties(ctx, name, "ActiveState", "SubState", "UnitFileState", "Listen", "MainPID", "ExecStart")
		if err != nil {
			return s, err
		}
		s.Units = append(s.Units, Unit{Name: name, Active: p["ActiveState"], Sub: p["SubState"], Enabled: p["UnitFileState"]})
		if name == m.serviceUnit() {
			s.PID, _ = strconv.Atoi(p["MainPID"])
			s.Running = s.PID != 0
			continue
		}
		s.Listening = s.Listening && p["ActiveState"] == "active"
		for line := range strings.SplitSeq(p["Listen"], "\n") {
			if address, _, ok := strings.Cut(line, " ("); ok {
				s.Listen = append(s.Listen, address)
				if _, port, ok := strings.Cut(address, "127.0.0.1:"); ok && name == m.httpSocket() {
					s.Port, _ = strconv.Atoi(port)
				}
			}
		}
	}
	if s.Installed {
		s.Program = m.installedProgram()
	}
	return s, nil
}

// installedProgram returns the program in the installed unit.
func (m *Manager) installedProgram() string {
	return programOf(m.unitText(m.serviceUnit()))
}

// programOf returns the program in the text of a service unit, "" without one.
func programOf(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if value, ok := strings.CutPrefix(line, "ExecStart="); ok {
			return unquote(value)
		}
	}
	return ""
}

// properties returns a unit's properties. A property that occurs several times has its
// values on separate lines.
func (m *Manager) properties(ctx context.Context, unit string, names ...string) (map[string]string, error) {
	out, err := m.systemctl(ctx, "show", "--property="+strings.Join(names, ","), unit)
	if err != nil {
		return nil, err
	}
	p := map[string]string{}
	for line := range strings.SplitSeq(out, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			if p[name] != "" {
				value = p[name] + "\n" + value
			}
			p[name] = value
		}
	}
	return p, nil
}

func (m *Manager) active(ctx context.Context, unit string) bool {
	p, err := m.properties(ctx, unit, "ActiveState")
	return err == nil && (p["ActiveState"] == "active" || p["ActiveState"] == "activating" || p["ActiveState"] == "reloading")
}

// Supervised reports whether the service manager runs the daemon of this home: the
// service is installed for it, and its sockets are open or its process is running.
func (m *Manager) Supervised(ctx context.Context) bool {
	if m.other != nil {
		s, err := m.other.Status(ctx)
		return err == nil && s.Home == m.cfg.Paths.Home && (s.Running || s.Listening)
	}
	return m.installedHome() == m.cfg.Paths.Home &&
		(m.active(ctx, m.serviceUnit()) || m.active(ctx, m.httpSocket()) || m.active(ctx, m.controlSocket()))
}

// Start opens the sockets and starts the daemon. It returns an error if a daemon that was
// started by hand is running, because systemd would take over its control socket.
func (m *Manager) Start(ctx context.Context) error {
	if m.other != nil {
		return m.other.Start(ctx)
	}
	if err := m.needInstalled(); err != nil {
		return err
	}
	if err := m.refuseOthers(ctx); err != nil {
		return err
	}
	if err := m.startSockets(ctx); err != nil {
		return err
	}
	_, err := m.systemctl(ctx, "start", m.serviceUnit())
	return m.explain(ctx, err)
}

// Stop closes the sockets first, so that no connection starts the daemon again, and then
// stops the daemon. The service starts again at the next login or with Start.
func (m *Manager) Stop(ctx context.Context) error {
	if m.other != nil {
		return m.other.Stop(ctx)
	}
	if err := m.needInstalled(); err != nil {
		return err
	}
	return m.stopAll(ctx)
}

// Restart replaces the running daemon, or starts it. Connections wait in the sockets
// meanwhile.
func (m *Manager) Restart(ctx context.Context) error {
	if m.other != nil {
		return m.other.Restart(ctx)
	}
	if err := m.needInstalled(); err != nil {
		return err
	}
	if err := m.refuseOthers(ctx); err != nil {
		return err
	}
	// The package manager cannot reload the service managers of all users after an
	// upgrade.
	if p, err := m.properties(ctx, m.serviceUnit(), "NeedDaemonReload"); err == nil && p["NeedDaemonReload"] == "yes" {
		if _, err := m.systemctl(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	if err := m.startSockets(ctx); err != nil {
		return err
	}
	return m.replace(ctx)
}

// replace makes the running daemon hand over its sockets and its state to a successor
// inside the unit; it continues to serve its open requests. If it cannot, because it is
// an earlier version or does not respond, the service manager restarts it.
func (m *Manager) replace(ctx context.Context) error {
	if m.active(ctx, m.serviceUnit()) {
		client := control.NewClient(m.cfg.Paths.Socket)
		defer client.CloseIdle()
		_, err := client.Restart(ctx)
		if err == nil {
			return nil
		}
		if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Method) && !fault.Is(err, fault.Unreachable) {
			return err
		}
	}
	_, err := m.systemctl(ctx, "restart", m.serviceUnit())
	return m.explain(ctx, err)
}

func (m *Manager) needInstalled() error {
	if m.installedHome() != "" {
		return nil
	}
	return &fault.Error{Kind: fault.NotFound, Message: "the service is not installed", Next: "hostless service install"}
}

func (m *Manager) startSockets(ctx context.Context) error {
	for _, name := range m.sockets() {
		if m.active(ctx, name) && !m.fileGone(ctx, name) {
			continue
		}
		// A socket unit cannot start while the daemon is running without it.
		if m.active(ctx, m.serviceUnit()) {
			if _, err := m.systemctl(ctx, "stop", m.serviceUnit()); err != nil {
				return err
			}
		}
		if _, err := m.systemctl(ctx, "restart", name); err != nil {
			return m.explain(ctx, err)
		}
	}
	return nil
}

// fileGone reports whether the socket file of a unit that is active has been removed.
// Nobody can connect to it then.
func (m *Manager) fileGone(ctx context.Context, unit string) bool {
	p, err := m.properties(ctx, unit, "Listen")
	if err != nil {
		return false
	}
	path, _, _ := strings.Cut(p["Listen"], " (")
	if !filepath.IsAbs(path) {
		return false
	}
	_, err = os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func (m *Manager) stopAll(ctx context.Context) error {
	if _, err := m.systemctl(ctx, append([]string{"stop"}, m.sockets()...)...); err != nil {
		return err
	}
	_, err := m.systemctl(ctx, "stop", m.serviceUnit())
	return err
}

// explain adds the reason to the error of a failed start: a port that another program
// uses, or else the end of the units' log.
func (m *Manager) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if port := m.takenPort(ctx); port != 0 {
		return m.portTaken(port, err)
	}
	reason := err.Error()
	if log, logErr := m.cfg.Run(ctx, "journalctl", "--user", "--quiet", "--no-pager", "--output=cat", "--lines=3",
		"--unit="+m.httpSocket(), "--unit="+m.controlSocket(), "--unit="+m.serviceUnit()); logErr == nil && log != "" {
		reason = strings.ReplaceAll(log, "\n", "; ")
	}
	return &fault.Error{Kind: fault.Internal, Message: "the service did not start: " + reason, Next: "hostless service status", Err: err}
}

// portTaken returns the error for a port that another program uses.
func (m *Manager) portTaken(port int, cause error) error {
	return &fault.Error{
		Kind: fault.Conflict, Message: fmt.Sprintf("the service did not start: port %d is taken by %s", port, cmp.Or(listen.Holder(port), "another program")),
		Next: "hostless service install --port PORT, with another port", Err: cause,
	}
}

// takenPort returns the installed port if its socket unit is inactive and another program
// uses one of its addresses, or else 0. The log has the same information, but later.
func (m *Manager) takenPort(ctx context.Context) int {
	s, err := m.Status(ctx)
	if err != nil || m.active(ctx, m.httpSocket()) {
		return 0
	}
	for _, address := range s.Listen {
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return s.Port
		}
		if err == nil {
			l.Close()
		}
	}
	return 0
}
