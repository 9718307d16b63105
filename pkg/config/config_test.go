package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

func TestLocate(t *testing.T) {
	run := t.TempDir()
	tests := []struct {
		name         string
		env          map[string]string
		home, socket string
		fails        string
	}{
		{name: "home by its earlier name", env: map[string]string{"HOSTLESS_CONFIG_DIR": "/old", "HOME": "/u", "XDG_RUNTIME_DIR": run}, home: "/old", socket: "/old/control.sock"},
		{name: "both names", env: map[string]string{"HOSTLESS_HOME": "/h", "HOSTLESS_CONFIG_DIR": "/old"}, home: "/h", socket: "/h/control.sock"},
		{name: "home given", env: map[string]string{"HOSTLESS_HOME": "/h", "HOME": "/u", "XDG_RUNTIME_DIR": run}, home: "/h", socket: "/h/control.sock"},
		{name: "socket given", env: map[string]string{"HOSTLESS_SOCKET": "/s.sock", "HOME": "/u"}, home: "/u/.hostless", socket: "/s.sock"},
		{name: "no runtime directory", env: map[string]string{"HOME": "/u", "XDG_RUNTIME_DIR": "/does/not/exist"}, home: "/u/.hostless", socket: "/u/.hostless/control.sock"},
		{name: "relative home", env: map[string]string{"HOSTLESS_HOME": "h"}, fails: "absolute"},
		{name: "relative socket", env: map[string]string{"HOSTLESS_HOME": "/h", "HOSTLESS_SOCKET": "s"}, fails: "absolute"},
		{name: "nothing", env: nil, fails: "HOME"},
		{name: "long", env: map[string]string{"HOSTLESS_HOME": "/" + strings.Repeat("x", 120)}, fails: "HOSTLESS_SOCKET"},
	}
	if runtime.GOOS == "linux" {
		tests = append(tests, struct {
			name         string
			env          map[string]string
			home, socket string
			fails        string
		}{name: "runtime directory", env: map[string]string{"HOME": "/u", "XDG_RUNTIME_DIR": run}, home: "/u/.hostless", socket: run + "/hostless/control.sock"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := config.Locate(func(k string) string { return tt.env[k] })
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || !fault.Is(err, fault.Usage) {
					t.Fatalf("Locate = %+v, %v; want a usage error with %q", p, err, tt.fails)
				}
				return
			}
			if err != nil || p.Home != tt.home || p.Socket != tt.socket {
				t.Fatalf("Locate = %+v, %v; want home %q, socket %q", p, err, tt.home, tt.socket)
			}
		})
	}
}

func TestLocateFollowsALink(t *testing.T) {
	real := filepath.Join(t.TempDir(), "real")
	link := filepath.Join(filepath.Dir(real), "link")
	if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(real) // the temporary directory's path may contain links
	if err != nil {
		t.Fatal(err)
	}
	p, err := config.Locate(func(k string) string { return map[string]string{"HOSTLESS_HOME": link}[k] })
	if err != nil || p.Home != real || p.Socket != filepath.Join(real, "control.sock") {
		t.Errorf("Locate = %+v, %v; want home %s", p, err, real)
	}
}

func TestPurge(t *testing.T) {
	home := filepath.Join(t.TempDir(), "ho[me")
	fill := func(names ...string) {
		for _, name := range names {
			path := filepath.Join(home, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours := []string{"keys.env", "keys.env.corrupt-1", ".keys.env.tmp-1", "ca.key", "logs/hostlessd.log", "logs/apps/a.log", "runs/a.sock"}
	fill(ours...)
	if removed, err := config.Purge(home); err != nil || !removed {
		t.Errorf("Purge = %v, %v", removed, err)
	}
	fill(ours...)
	fill("diary.txt", "logs/mine.log")
	if removed, err := config.Purge(home); err != nil || removed {
		t.Errorf("Purge with files of the user = %v, %v", removed, err)
	}
	left, _ := filepath.Glob(strings.ReplaceAll(home, "[", `\[`) + "/*")
	if len(left) != 2 {
		t.Errorf("left: %v, want diary.txt and logs", left)
	}
	if removed, err := config.Purge(filepath.Join(home, "none")); err != nil || !removed {
		t.Errorf("Purge of nothing = %v, %v", removed, err)
	}
}

func TestWritePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, text := range []string{"one", "two"} {
		if err := config.WritePrivate(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, opened, err := config.ReadPrivate(path)
		if err != nil || opened || string(got) != text {
			t.Fatalf("ReadPrivate = %q, %v, %v; want %q", got, opened, err, text)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Fatalf("mode = %v, want 0600", info.Mode())
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := config.WritePrivate(filepath.Join(path, "below-a-file"), nil); err == nil {
		t.Error("writing below a file succeeded")
	}
}

// TestWritePrivateSaysWhy: a full or read-only disk is a public error, not an internal
// one.
func TestWritePrivateSaysWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "keys.env")
	err := config.WritePrivate(path, []byte("x"))
	var f *fault.Error
	if !errors.As(err, &f) || !strings.Contains(f.Message, path) || !strings.Contains(f.Message, "no such file or directory; nothing was changed") {
		t.Errorf("got %v, want a public message with the path and the reason", err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want its cause kept", err)
	}
}

func TestReadPrivateClosesAnOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.env")
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, opened, err := config.ReadPrivate(path)
	info, _ := os.Stat(path)
	if err != nil || !opened || info.Mode().Perm() != 0o600 {
		t.Errorf("opened %v, mode %v, %v", opened, info.Mode(), err)
	}
}

func TestKeepAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	os.WriteFile(path, []byte("{half"), 0o644)
	aside, err := config.KeepAside(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(aside); string(got) != "{half" {
		t.Errorf("aside holds %q", got)
	}
	if info, err := os.Stat(aside); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file kept aside is readable by others: %v, %v", info, err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("the original is still there")
	}
}

func TestEnsureDirClosesAnOpenDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	os.MkdirAll(dir, 0o755)
	if err := config.EnsureDir(dir); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("mode = %v, want 0700", info.Mode().Perm())
	}
	shared := filepath.Join(t.TempDir(), "shared")
	os.Mkdir(shared, 0o700)
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if err := config.EnsureDir(shared); !fault.Is(err, fault.Usage) {
		t.Errorf("a shared directory: %v", err)
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{".keys.env.tmp-1": time.Hour, ".keys.env.tmp-2": time.Second, "keys.env": time.Hour, ".other": time.Hour} {
		path := filepath.Join(dir, name)
		os.WriteFile(path, nil, 0o600)
		os.Chtimes(path, now.Add(-age), now.Add(-age))
	}
	if err := config.Sweep(dir, now); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 3 || left[0].Name() != ".keys.env.tmp-2" {
		t.Errorf("left: %v", left)
	}
}

func TestParseDays(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "1.5d": 36 * time.Hour, "12h": 12 * time.Hour, "d": -1, "1e9d": -1, "40000d": -1, "x": -1, "": -1} {
		got, err := config.ParseDays(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("ParseDays(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}
