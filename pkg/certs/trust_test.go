package certs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/test/harness"
)

func states(results []certs.StoreResult) []string {
	var out []string
	for _, r := range results {
		out = append(out, r.Store+" "+r.State)
	}
	return out
}

// TestTrustSystem drives a system store like Debian's below its own root directory.
func TestTrustSystem(t *testing.T) {
	root, dir, now := t.TempDir(), t.TempDir(), time.Now()
	a := open(t, dir, &now)
	anchors := filepath.Join(root, "usr/local/share/ca-certificates")
	if err := os.MkdirAll(anchors, 0o755); err != nil {
		t.Fatal(err)
	}
	var ran []string
	trust := certs.Trust{
		Dir: dir, Root: root,
		Getenv: func(string) string { return "" },
		Look:   func(name string) (string, error) { return name, nil },
		Run: func(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
			ran = append(ran, name)
			if !strings.HasPrefix(name, "/bin/") {
				return nil, nil // the rebuild itself belongs to the system
			}
			cmd := exec.CommandContext(ctx, name, args...)
			cmd.Stdin = strings.NewReader(string(stdin))
			return cmd.CombinedOutput()
		},
	}
	check := func(what string, results []certs.StoreResult, err error, want string) {
		t.Helper()
		if err != nil || !slices.Equal(states(results), []string{want}) {
			t.Fatalf("%s: %+v, %v; want %s", what, results, err, want)
		}
	}
	ctx := t.Context()
	results, err := trust.Status(ctx)
	check("before", results, err, "system untrusted")
	results, err = trust.Install(ctx)
	check("install", results, err, "system trusted")
	files, _ := filepath.Glob(filepath.Join(anchors, "hostless-"+a.Fingerprint()[:16]+".crt"))
	if len(files) != 1 || !slices.Contains(ran, "update-ca-certificates") {
		t.Errorf("files %v, ran %v", files, ran)
	}
	ran = nil
	results, err = trust.Install(ctx)
	check("again", results, err, "system trusted")
	if len(ran) != 0 {
		t.Errorf("the second install ran %v", ran)
	}
	results, err = trust.Uninstall(ctx)
	check("uninstall", results, err, "system untrusted")
}

// TestTrustNSS runs the real certutil on an empty database like Chromium's.
func TestTrustNSS(t *testing.T) {
	certutil := harness.Need(t, "certutil")
	home, dir, now := t.TempDir(), t.TempDir(), time.Now()
	open(t, dir, &now)
	db := filepath.Join(home, ".pki/nssdb")
	os.MkdirAll(db, 0o700)
	if out, err := exec.Command(certutil, "-d", "sql:"+db, "-N", "--empty-password").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	getenv := func(name string) string {
		if name == "HOME" {
			return home
		}
		return ""
	}
	trust := certs.Trust{Dir: dir, Root: t.TempDir(), Getenv: getenv}
	for _, step := range []struct {
		name string
		do   func(context.Context) ([]certs.StoreResult, error)
		want string
	}{
		{"status", trust.Status, "nss untrusted"}, {"install", trust.Install, "nss trusted"}, {"again", trust.Install, "nss trusted"},
		{"uninstall", trust.Uninstall, "nss untrusted"}, {"uninstall again", trust.Uninstall, "nss untrusted"},
	} {
		results, err := step.do(t.Context())
		if err != nil || !slices.Equal(states(results), []string{step.want}) {
			t.Fatalf("%s: %+v, %v; want %s", step.name, results, err, step.want)
		}
	}
	trust.Look = func(string) (string, error) { return "", exec.ErrNotFound }
	results, err := trust.Install(t.Context())
	if err != nil || !slices.Equal(states(results), []string{"nss unavailable"}) || !strings.Contains(results[0].Detail, "libnss3-tools") {
		t.Errorf("without certutil: %+v, %v", results, err)
	}
}

// TestTrustBrowsers finds the databases of browsers in their old and new places, and takes
// no other file beside a profile for one.
func TestTrustBrowsers(t *testing.T) {
	certutil := harness.Need(t, "certutil")
	dir, now := t.TempDir(), time.Now()
	open(t, dir, &now)
	empty := t.TempDir()
	if out, err := exec.Command(certutil, "-d", "sql:"+empty, "-N", "--empty-password").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, tt := range []struct {
		dirs     []string // databases, in the home or, with a leading slash, in XDG_DATA_HOME or XDG_CONFIG_HOME
		chromium bool
	}{
		{[]string{".local/share/pki/nssdb"}, true},
		{[]string{".pki/nssdb", ".local/share/pki/nssdb"}, true},
		{[]string{"/data/pki/nssdb"}, true},
		{[]string{"snap/chromium/current/.local/share/pki/nssdb", ".var/app/com.google.Chrome/data/pki/nssdb"}, true},
		{[]string{".config/mozilla/firefox/abc.default"}, false},
		{[]string{"/config/mozilla/firefox/abc.default"}, false},
		{[]string{".mozilla/firefox/abc.default-release"}, false},
	} {
		home := t.TempDir()
		for _, name := range tt.dirs {
			at := filepath.Join(home, name)
			if err := os.MkdirAll(at, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(at, os.DirFS(empty)); err != nil {
				t.Fatal(err)
			}
			for _, other := range []string{"profiles.ini", "installs.ini"} {
				if err := os.WriteFile(filepath.Join(filepath.Dir(at), other), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		trust := certs.Trust{Dir: dir, Root: t.TempDir(), Getenv: func(name string) string {
			return map[string]string{"HOME": home, "XDG_DATA_HOME": filepath.Join(home, "data"), "XDG_CONFIG_HOME": filepath.Join(home, "config")}[name]
		}}
		results, err := trust.Install(t.Context())
		if err != nil || len(results) != len(tt.dirs) || trust.CoversChromium() != tt.chromium {
			t.Errorf("%q: %+v, %v; Chromium is covered: %v", tt.dirs, results, err, trust.CoversChromium())
		}
		for _, r := range results {
			out, err := exec.Command(certutil, "-L", "-d", "sql:"+r.Path).CombinedOutput()
			if r.State != certs.Trusted || err != nil || !strings.Contains(string(out), "C,,") {
				t.Errorf("%q: %+v, %s", tt.dirs, r, out)
			}
		}
	}
}

// TestTrustJava runs the real keytool on its own store.
func TestTrustJava(t *testing.T) {
	if testing.Short() {
		t.Skip("keytool starts slowly")
	}
	keytool, err := filepath.EvalSymlinks(harness.Need(t, "keytool"))
	if err != nil {
		t.Fatal(err)
	}
	home, dir, now := t.TempDir(), t.TempDir(), time.Now()
	open(t, dir, &now)
	for _, sub := range []string{"bin", "lib/security"} {
		os.MkdirAll(filepath.Join(home, sub), 0o755)
	}
	script := "#!/bin/sh\nexec " + keytool + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(home, "bin/keytool"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(home, "lib/security/cacerts")
	if out, err := exec.Command(keytool, "-genkeypair", "-alias", "other", "-keyalg", "EC", "-dname", "CN=other", "-keystore", store, "-storepass", "changeit").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	trust := certs.Trust{Dir: dir, Root: t.TempDir(), Getenv: func(name string) string {
		return map[string]string{"JAVA_HOME": home}[name]
	}}
	for _, step := range []struct {
		do   func(context.Context) ([]certs.StoreResult, error)
		want string
	}{{trust.Install, "java trusted"}, {trust.Uninstall, "java untrusted"}} {
		results, err := step.do(t.Context())
		if err != nil || !slices.Equal(states(results), []string{step.want}) {
			t.Fatalf("%+v, %v; want %s", results, err, step.want)
		}
	}
}
