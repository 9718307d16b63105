package service

import (
	"fmt"
	"path/filepath"
	"strings"

	units "github.com/hostless/hostless/init"
)

// The units, sockets first: the order in which they are stopped.
const (
	httpSocket    = Name + "-http.socket"
	controlSocket = Name + "-control.socket"
	serviceUnit   = Name + ".service"
)

var (
	sockets  = []string{httpSocket, controlSocket}
	allUnits = []string{httpSocket, controlSocket, serviceUnit}
)

// values gives the units' values in systemd's own syntax.
func (m *Manager) values() (units.Systemd, error) {
	for what, text := range map[string]string{"home": m.cfg.Paths.Home, "control socket": m.cfg.Paths.Socket, "program": m.cfg.Program} {
		if strings.ContainsAny(text, "\n\r\x00") || !filepath.IsAbs(text) {
			return units.Systemd{}, fmt.Errorf("the path of the %s cannot go into a unit: %q", what, text)
		}
	}
	v := units.Systemd{
		Program:     quote(m.cfg.Program),
		Environment: []string{quote("HOSTLESS_HOME=" + m.cfg.Paths.Home)},
		Port:        m.cfg.Port,
		IPv6:        hasIPv6(),
		Control:     m.specifier(m.cfg.Paths.Socket),
	}
	v.Environment = append(v.Environment, quote("HOSTLESS_SOCKET="+m.cfg.Paths.Socket))
	return v, nil
}

// specifier writes a path below the runtime directory with %t, which outlives a
// change of the user's id.
func (m *Manager) specifier(path string) string {
	if dir := m.cfg.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if rest, ok := strings.CutPrefix(path, filepath.Clean(dir)+"/"); ok {
			return "%t/" + strings.ReplaceAll(rest, "%", "%%")
		}
	}
	return strings.ReplaceAll(path, "%", "%%")
}

// quote makes one word of a program or an assignment (systemd.syntax(7),
// systemd.exec(5)): quoted, with specifiers taken literally. A dollar means
// nothing in either place.
func quote(text string) string {
	text = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(text)
	if strings.ContainsAny(text, " \t'\"\\;#") {
		return `"` + text + `"`
	}
	return text
}

// render gives all units by file name.
func (m *Manager) render() (map[string]string, error) {
	values, err := m.values()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range allUnits {
		text, err := units.Render(name, values)
		if err != nil {
			return nil, fmt.Errorf("fill in %s: %w", name, err)
		}
		if !strings.Contains(text, "\n[Unit]\n") || strings.Contains(text, "{{") {
			return nil, fmt.Errorf("fill in %s: the result is no unit", name)
		}
		out[name] = text
	}
	return out, nil
}
