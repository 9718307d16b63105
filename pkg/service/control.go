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

// Unit is how one unit stands.
type Unit struct {
	Name    string `json:"name"`
	Active  string `json:"active"`  // systemd's word: active, inactive, failed, …
	Sub     string `json:"sub"`     // running, listening, dead, …
	Enabled string `json:"enabled"` // enabled, disabled, "" where it is not installed
}

// Status is how the service stands.
type Status struct {
	Manager   string   `json:"manager"` // systemd or launchd
	Installed bool     `json:"installed"`
	Running   bool     `json:"running"`   // the daemon's process exists
	Listening bool     `json:"listening"` // the sockets are open, daemon or not
	PID       int      `json:"pid"`       // 0 without a process
	Home      string   `json:"home"`      // of the installation
	Port      int      `json:"port"`
	Program   string   `json:"program"`
	Listen    []string `json:"listen"` // addresses and socket paths
	Units     []Unit   `json:"units"`
}

// Status asks the manager; without an installation it says just that.
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

// installedProgram reads the program out of the installed unit.
func (m *Manager) installedProgram() string {
	return programOf(m.unitText(m.serviceUnit()))
}

// programOf reads the program out of a service unit's text, "" without one.
func programOf(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if value, ok := strings.CutPrefix(line, "ExecStart="); ok {
			return unquote(value)
		}
	}
	return ""
}

// properties reads a unit's properties; one that comes several times has its
// values on lines of their own.
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

// Supervised reports whether the daemon of this home is the service's: installed
// for it, with its sockets open or its process running.
func (m *Manager) Supervised(ctx context.Context) bool {
	if m.other != nil {
		s, err := m.other.Status(ctx)
		return err == nil && s.Home == m.cfg.Paths.Home && (s.Running || s.Listening)
	}
	return m.installedHome() == m.cfg.Paths.Home &&
		(m.active(ctx, m.serviceUnit()) || m.active(ctx, m.httpSocket()) || m.active(ctx, m.controlSocket()))
}

// Start opens the sockets and starts the daemon. Where one runs by hand it is
// refused: systemd would take its control socket away.
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

// Stop closes the sockets first, so that no connection brings the daemon back,
// then ends the daemon. It returns at the next login or with Start.
func (m *Manager) Stop(ctx context.Context) error {
	if m.other != nil {
		return m.other.Stop(ctx)
	}
	if err := m.needInstalled(); err != nil {
		return err
	}
	return m.stopAll(ctx)
}

// Restart ends the daemon and starts it again; connections wait in the sockets.
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
	// A package's upgrade cannot tell the managers of all users.
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

// replace has the running daemon hand its sockets, and what it knows, to a
// successor inside the unit, and stay for what it still answers. One that cannot,
// being of an earlier version or stuck, is restarted by the manager.
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
		// A socket unit cannot start under a daemon that runs without it.
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

// fileGone reports whether somebody removed the file of a socket that its unit
// takes for open: nobody can reach it any more.
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

// explain adds to a failed start what is wrong: a port that another program has,
// else the end of the units' log.
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
	return &fault.Error{Kind: fault.Internal, Message: "the service does not start: " + reason, Next: "hostless service status", Err: err}
}

// portTaken says whose a port is.
func (m *Manager) portTaken(port int, cause error) error {
	return &fault.Error{
		Kind: fault.Conflict, Message: fmt.Sprintf("the service does not start: port %d is taken by %s", port, cmp.Or(listen.Holder(port), "another program")),
		Next: "hostless service install --port PORT, with another one", Err: cause,
	}
}

// takenPort is the installed port where its socket unit is down and somebody else
// holds one of its addresses, else 0. The log tells it too, but not soon.
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
