package service

import (
	"os"
	"path/filepath"
	"strings"

	units "github.com/hostless/hostless/init"
	"github.com/hostless/hostless/pkg/config"
)

// packageUnits is the directory in which packages install units for all users
// (systemd.unit(5)).
const packageUnits = "/usr/lib/systemd/user"

// packaged returns the package's units by file name, if they have the values to install:
// this program, home, control socket and port. ok is false if there are none or they
// differ. Ports 80 and 443 always need units of the user.
func (m *Manager) packaged() (texts map[string]string, ok bool) {
	service, err := os.ReadFile(filepath.Join(m.cfg.PackageUnits, m.serviceUnit()))
	if err != nil || m.name != Name || len(m.webPorts) > 0 {
		return nil, false
	}
	program := programOf(string(service))
	runtimeDir, user := m.cfg.Getenv("XDG_RUNTIME_DIR"), m.cfg.Getenv("HOME")
	if runtimeDir == "" || user == "" || !sameFile(program, m.cfg.Program) ||
		(m.cfg.Paths != config.Paths{Home: filepath.Join(user, ".hostless"), Socket: filepath.Join(runtimeDir, "hostless", "control.sock")}) {
		return nil, false
	}
	values := units.Packaged(m.cfg.Port)
	values.Program, values.IPv6 = quote(program), hasIPv6()
	texts = map[string]string{}
	for _, name := range units.Names() {
		text, err := units.Render(name, values)
		if err != nil {
			return nil, false
		}
		if installed, err := os.ReadFile(filepath.Join(m.cfg.PackageUnits, name)); err != nil || string(installed) != text {
			return nil, false
		}
		texts[name] = text
	}
	return texts, true
}

// unitFile returns the file of an installed unit: the user's own, or the package's if
// this user has enabled it; "" if the unit is not installed.
func (m *Manager) unitFile(name string) string {
	own := filepath.Join(m.unitDir(), name)
	if _, err := os.Lstat(own); err == nil {
		return own
	}
	file := filepath.Join(m.cfg.PackageUnits, name)
	if _, err := os.Stat(file); err == nil && len(m.links(name)) > 0 {
		return file
	}
	return ""
}

// unitText returns the text of an installed unit, "" if it is not installed.
func (m *Manager) unitText(name string) string {
	file := m.unitFile(name)
	if file == "" {
		return ""
	}
	data, _ := os.ReadFile(file) // an unreadable file counts as empty
	return string(data)
}

// links returns the symbolic links by which this user has enabled a unit.
func (m *Manager) links(name string) []string {
	found := []string{}
	for _, target := range []string{"default.target", "sockets.target"} {
		link := filepath.Join(m.unitDir(), target+".wants", name)
		if _, err := os.Lstat(link); err == nil {
			found = append(found, link)
		}
	}
	return found
}

// expandHome replaces %h in a unit's value with the user's home, as systemd does. Percent
// signs in the home are doubled, as they would be in a unit.
func (m *Manager) expandHome(value string) string {
	home := strings.ReplaceAll(m.cfg.Getenv("HOME"), "%", "%%")
	return strings.NewReplacer("%%", "%%", "%h", home).Replace(value)
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
