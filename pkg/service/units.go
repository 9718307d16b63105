package service

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	units "github.com/hostless/hostless/init"
)

// pickName returns the beginning of the units' names for this home: Name, or if another
// home uses that, Name with a suffix made from this home. An installed service keeps its
// name.
func (m *Manager) pickName() string { return pickName(Name, m.cfg.Paths.Home, m.homeOf) }

func pickName(name, home string, homeOf func(name string) string) string {
	sum := sha256.Sum256([]byte(home))
	own := fmt.Sprintf("%s-%x", name, sum[:4])
	if homeOf(own) != "" {
		return own
	}
	if other := homeOf(name); other != "" && other != home {
		return own
	}
	return name
}

// Names of the units.
func (m *Manager) httpSocket() string    { return m.name + "-http.socket" }
func (m *Manager) controlSocket() string { return m.name + "-control.socket" }
func (m *Manager) serviceUnit() string   { return m.name + ".service" }

// Unit returns the service's name in its manager and, with systemd, in the journal.
func (m *Manager) Unit() string {
	if m.other != nil {
		return m.other.unit()
	}
	return m.serviceUnit()
}

// sockets returns the socket units. allUnits lists them first, which is the order in
// which units are stopped.
func (m *Manager) sockets() []string {
	names := []string{m.httpSocket(), m.controlSocket()}
	if len(m.webPorts) > 0 || m.webInstalled() {
		names = append(names, m.webSocket())
	}
	return names
}

func (m *Manager) webSocket() string { return m.name + "-web.socket" }

// webInstalled reports whether ports 80 and 443 are part of the installation.
func (m *Manager) webInstalled() bool {
	_, err := os.Lstat(filepath.Join(m.unitDir(), m.webSocket()))
	return err == nil
}

func (m *Manager) allUnits() []string { return append(m.sockets(), m.serviceUnit()) }

// values returns the units' values in systemd's syntax.
func (m *Manager) values() (units.Systemd, error) {
	for what, text := range map[string]string{"home": m.cfg.Paths.Home, "control socket": m.cfg.Paths.Socket, "program": m.cfg.Program} {
		if strings.ContainsAny(text, "\n\r\x00") || !filepath.IsAbs(text) {
			return units.Systemd{}, fmt.Errorf("the path of the %s cannot be used in a unit: %q", what, text)
		}
	}
	v := units.Systemd{
		Name:        m.name,
		Program:     quote(m.cfg.Program),
		Environment: []string{quote("HOSTLESS_HOME=" + m.cfg.Paths.Home)},
		Port:        m.cfg.Port,
		WebPorts:    m.webPorts,
		IPv6:        hasIPv6(),
		Control:     m.specifier(m.cfg.Paths.Socket),
	}
	v.Environment = append(v.Environment, quote("HOSTLESS_SOCKET="+m.cfg.Paths.Socket))
	return v, nil
}

// specifier replaces the runtime directory in a path with %t, which remains correct if
// the user's id changes.
func (m *Manager) specifier(path string) string {
	if dir := m.cfg.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if rest, ok := strings.CutPrefix(path, filepath.Clean(dir)+"/"); ok {
			return "%t/" + strings.ReplaceAll(rest, "%", "%%")
		}
	}
	return strings.ReplaceAll(path, "%", "%%")
}

// quote quotes a program or an assignment as one word (systemd.syntax(7),
// systemd.exec(5)) with literal percent signs. A dollar sign has no meaning in either
// place.
func quote(text string) string {
	text = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(text)
	if strings.ContainsAny(text, " \t'\"\\;#") {
		return `"` + text + `"`
	}
	return text
}

// render returns all units by file name.
func (m *Manager) render() (map[string]string, error) {
	values, err := m.values()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range m.allUnits() {
		if name == m.webSocket() && len(m.webPorts) == 0 {
			continue // it will be removed
		}
		text, err := units.Render(Name+strings.TrimPrefix(name, m.name), values)
		if err != nil {
			return nil, fmt.Errorf("fill in %s: %w", name, err)
		}
		if !strings.Contains(text, "\n[Unit]\n") || strings.Contains(text, "{{") {
			return nil, fmt.Errorf("fill in %s: the result is not a unit", name)
		}
		out[name] = text
	}
	return out, nil
}
