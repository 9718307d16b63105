package service

import (
	"os"
	"path/filepath"
	"testing"

	units "github.com/hostless/hostless/init"
)

// packagedManager returns a Manager for a user of a machine with the package's units, and
// with a program in place of /usr/bin/hostlessd.
func packagedManager(t *testing.T) *Manager {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "bin", "hostlessd")
	getenv := func(name string) string {
		return map[string]string{"HOME": filepath.Join(dir, "100% home"), "XDG_RUNTIME_DIR": "/run/user/7"}[name]
	}
	m := &Manager{name: Name, cfg: Config{Program: program, Port: 48282, PackageUnits: filepath.Join(dir, "units"), Getenv: getenv}}
	m.cfg.Paths.Home, m.cfg.Paths.Socket = filepath.Join(getenv("HOME"), ".hostless"), "/run/user/7/hostless/control.sock"
	values := units.Packaged(48282)
	values.Program, values.IPv6 = quote(program), hasIPv6()
	for _, name := range units.Names() {
		text, err := units.Render(name, values)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(m.cfg.PackageUnits, name), text)
	}
	put(t, program, "")
	return m
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestPackagedFits: the package's units are used only if they have exactly the requested
// values.
func TestPackagedFits(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Manager)
		want   bool
	}{
		{"as packaged", func(*Manager) {}, true},
		{"another port", func(m *Manager) { m.cfg.Port = 8080 }, false},
		{"another home", func(m *Manager) { m.cfg.Paths.Home = "/srv/hostless" }, false},
		{"another control socket", func(m *Manager) { m.cfg.Paths.Socket = "/srv/control.sock" }, false},
		{"another program", func(m *Manager) { m.cfg.Program = "/bin/sh" }, false},
		{"a second home's units", func(m *Manager) { m.name = Name + "-1a2b3c4d" }, false},
		{"a link to the program", func(m *Manager) {
			link := filepath.Join(t.TempDir(), "hostlessd")
			os.Symlink(m.cfg.Program, link)
			m.cfg.Program = link
		}, true},
		{"a missing unit", func(m *Manager) { os.Remove(filepath.Join(m.cfg.PackageUnits, m.httpSocket())) }, false},
		{"a unit of another version", func(m *Manager) { put(t, filepath.Join(m.cfg.PackageUnits, m.httpSocket()), "[Socket]\n") }, false},
	} {
		m := packagedManager(t)
		test.change(m)
		if texts, ok := m.packaged(); ok != test.want || ok != (len(texts) == 3) {
			t.Errorf("%s: packaged() = %d units, %v, want %v", test.name, len(texts), ok, test.want)
		}
	}
}

// TestPackagedInstalled: the package's units count as installed if the user has enabled
// them; the user's own files take precedence.
func TestPackagedInstalled(t *testing.T) {
	m := packagedManager(t)
	if got := m.installedHome() + m.installedProgram(); got != "" {
		t.Errorf("installed before an installation: %q", got)
	}
	packaged, own := filepath.Join(m.cfg.PackageUnits, m.serviceUnit()), filepath.Join(m.unitDir(), m.serviceUnit())
	wants := filepath.Join(m.unitDir(), "default.target.wants", m.serviceUnit())
	os.MkdirAll(filepath.Dir(wants), 0o755)
	if err := os.Symlink(packaged, wants); err != nil {
		t.Fatal(err)
	}
	if m.installedHome() != m.cfg.Paths.Home || m.installedProgram() != m.cfg.Program || m.unitFile(m.serviceUnit()) != packaged {
		t.Errorf("enabled: home %q, program %q, file %q", m.installedHome(), m.installedProgram(), m.unitFile(m.serviceUnit()))
	}
	if got := m.pickName(); got != Name {
		t.Errorf("the name for the home of the package's units is %q", got)
	}
	put(t, own, "[Service]\nExecStart=/opt/hostlessd\nEnvironment=HOSTLESS_HOME=/%%h/x\n")
	if m.installedHome() != "/%h/x" || m.installedProgram() != "/opt/hostlessd" || m.unitFile(m.serviceUnit()) != own {
		t.Errorf("own: home %q, program %q, file %q", m.installedHome(), m.installedProgram(), m.unitFile(m.serviceUnit()))
	}
}
