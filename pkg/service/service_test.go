package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/config"
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
	return &Manager{cfg: Config{
		Paths: config.Paths{Home: filepath.Join(home, "state dir"), Socket: "/run/user/7/hostless/control.sock"}, Program: "/opt/h 1/hostlessd", Port: 4567,
		Getenv: func(name string) string {
			return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": "/run/user/7/"}[name]
		},
	}}
}

func TestRender(t *testing.T) {
	m := testManager(t)
	texts, err := m.render()
	if err != nil {
		t.Fatal(err)
	}
	for unit, lines := range map[string][]string{
		serviceUnit:   {`ExecStart="/opt/h 1/hostlessd"`, `Environment="HOSTLESS_HOME=` + m.cfg.Paths.Home + `"`, "StartLimitIntervalSec=0", "Type=notify"},
		httpSocket:    {"ListenStream=127.0.0.1:4567", "FileDescriptorName=http", "Service=hostlessd.service"},
		controlSocket: {"ListenStream=%t/hostless/control.sock", "FileDescriptorName=control", "SocketMode=0600", "DirectoryMode=0700", "RemoveOnStop=yes"},
	} {
		for _, line := range lines {
			if !strings.Contains(texts[unit], "\n"+line+"\n") {
				t.Errorf("%s lacks %q:\n%s", unit, line, texts[unit])
			}
		}
	}
	os.MkdirAll(m.unitDir(), 0o755)
	os.WriteFile(filepath.Join(m.unitDir(), serviceUnit), []byte(texts[serviceUnit]), 0o644)
	if got := m.installedHome(); got != m.cfg.Paths.Home {
		t.Errorf("installedHome = %q, want %q", got, m.cfg.Paths.Home)
	}
	if got := m.installedProgram(); got != m.cfg.Program {
		t.Errorf("installedProgram = %q, want %q", got, m.cfg.Program)
	}
	m.cfg.Paths.Socket = "/evil\nExecStart=/bin/x"
	if _, err := m.render(); err == nil {
		t.Error("a newline went into a unit")
	}
}
