package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

func TestQuoteReadsBack(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/bin/hostlessd":      "/usr/bin/hostlessd",
		"HOSTLESS_HOME=/a b":      `"HOSTLESS_HOME=/a b"`,
		"HOSTLESS_HOME=/100%":     "HOSTLESS_HOME=/100%%",
		`HOSTLESS_HOME=/q"\x`:     `"HOSTLESS_HOME=/q\"\\x"`,
		"HOSTLESS_HOME=/cash$bar": "HOSTLESS_HOME=/cash$bar",
	} {
		got := quote(in)
		if got != want || unquote(got) != in {
			t.Errorf("quote(%q) = %q, want %q; read back %q", in, got, want, unquote(got))
		}
	}
}

func testManager(t *testing.T) *Manager {
	home := t.TempDir()
	m := &Manager{name: Name, cfg: Config{
		Paths: config.Paths{Home: filepath.Join(home, "state dir"), Socket: "/run/user/7/hostless/control.sock"}, Program: "/opt/h 1/hostlessd", Port: 4567,
		Getenv: func(name string) string {
			return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": "/run/user/7/"}[name]
		},
	}}
	return m
}

// TestSecondHome: the service of a second home is installed next to the first one, and
// each keeps its name when the other is removed.
func TestSecondHome(t *testing.T) {
	first := testManager(t)
	second := &Manager{cfg: first.cfg}
	second.cfg.Paths.Home = filepath.Join(first.cfg.Getenv("HOME"), "second")
	install := func(m *Manager) {
		m.name = m.pickName()
		texts, err := m.render()
		if err != nil {
			t.Fatal(err)
		}
		os.MkdirAll(m.unitDir(), 0o755)
		for name, text := range texts {
			if strings.Count(text, m.serviceUnit()) == 0 {
				t.Errorf("%s names another service:\n%s", name, text)
			}
			os.WriteFile(filepath.Join(m.unitDir(), name), []byte(text), 0o644)
		}
	}
	install(first)
	install(second)
	if first.name != Name || !strings.HasPrefix(second.name, Name+"-") || second.installedHome() != second.cfg.Paths.Home {
		t.Fatalf("names %q and %q", first.name, second.name)
	}
	os.Remove(filepath.Join(first.unitDir(), first.serviceUnit()))
	if got := second.pickName(); got != second.name {
		t.Errorf("without the first, the second has the name %q, before %q", got, second.name)
	}
	if got := first.pickName(); got != Name {
		t.Errorf("the first is reinstalled as %q", got)
	}
}

func TestRender(t *testing.T) {
	m := testManager(t)
	texts, err := m.render()
	if err != nil {
		t.Fatal(err)
	}
	for unit, lines := range map[string][]string{
		m.serviceUnit():   {`ExecStart="/opt/h 1/hostlessd"`, `Environment="HOSTLESS_HOME=` + m.cfg.Paths.Home + `"`, "StartLimitIntervalSec=0", "Type=notify"},
		m.httpSocket():    {"ListenStream=127.0.0.1:4567", "FileDescriptorName=http", "Service=hostlessd.service"},
		m.controlSocket(): {"ListenStream=%t/hostless/control.sock", "FileDescriptorName=control", "SocketMode=0600", "DirectoryMode=0700", "RemoveOnStop=yes"},
	} {
		for _, line := range lines {
			if !strings.Contains(texts[unit], "\n"+line+"\n") {
				t.Errorf("%s does not contain %q:\n%s", unit, line, texts[unit])
			}
		}
	}
	os.MkdirAll(m.unitDir(), 0o755)
	os.WriteFile(filepath.Join(m.unitDir(), m.serviceUnit()), []byte(texts[m.serviceUnit()]), 0o644)
	if got := m.installedHome(); got != m.cfg.Paths.Home {
		t.Errorf("installedHome = %q, want %q", got, m.cfg.Paths.Home)
	}
	if got := m.installedProgram(); got != m.cfg.Program {
		t.Errorf("installedProgram = %q, want %q", got, m.cfg.Program)
	}
	m.cfg.Paths.Socket = "/evil\nExecStart=/bin/x"
	if _, err := m.render(); err == nil {
		t.Error("a newline was written to a unit")
	}
}

// TestLowPorts: ports 80 and 443 are refused on a system that reserves them for root.
func TestLowPorts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "start")
	for _, c := range []struct {
		start   string
		uid     int
		refused bool
	}{{"1024\n", 1000, true}, {"81\n", 1000, true}, {"80\n", 1000, false}, {"0\n", 1000, false}, {"1024\n", 0, false}} {
		if err := os.WriteFile(file, []byte(c.start), 0o600); err != nil {
			t.Fatal(err)
		}
		err := refusePrivileged(file, c.uid)
		if (err != nil) != c.refused || err != nil && !strings.Contains(fault.From(err).Next, "sudo sysctl") {
			t.Errorf("start %q, uid %d: %v", c.start, c.uid, err)
		}
	}
	if err := refusePrivileged(filepath.Join(t.TempDir(), "none"), 1000); err != nil {
		t.Errorf("a system without the limit: %v", err)
	}
}
