package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/certs"
)

func open(t *testing.T, dir string, now *time.Time) *certs.Authority {
	t.Helper()
	a, err := certs.New(certs.Config{
		Dir:    dir,
		Serves: func(host string) bool { return host == "app.localhost" || host == "api.app.localhost" },
		Now:    func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verify(t *testing.T, dir string, cert *tls.Certificate, name string, now time.Time) error {
	t.Helper()
	ca, err := certs.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: now})
	return err
}

func TestLeavesBySNI(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a := open(t, dir, &now)
	tests := []struct {
		sni    string
		verify []string
		fails  bool
	}{
		{sni: "", verify: []string{"localhost", "127.0.0.1", "[::1]"}},
		{sni: "localhost", verify: []string{"localhost"}},
		{sni: "app.localhost", verify: []string{"app.localhost"}},
		{sni: "APP.localhost.", verify: []string{"app.localhost"}},
		{sni: "api.app.localhost", verify: []string{"api.app.localhost"}},
		{sni: "other.localhost", fails: true},
		{sni: "example.com", fails: true},
		{sni: "localhost.example.com", fails: true},
	}
	for _, tt := range tests {
		cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: tt.sni})
		if (err != nil) != tt.fails {
			t.Errorf("%q: %v", tt.sni, err)
		}
		for _, name := range tt.verify {
			if err := verify(t, dir, cert, name, now); err != nil {
				t.Errorf("%q as %s: %v", tt.sni, name, err)
			}
		}
	}
}

func TestSecondStartKeepsTheAuthority(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := open(t, dir, &now).Fingerprint()
	if second := open(t, dir, &now).Fingerprint(); second != first {
		t.Error("the second start made another authority")
	}
	for _, name := range []string{"ca.key", "ca.crt"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	os.WriteFile(filepath.Join(dir, "ca.key"), []byte("broken"), 0o600)
	if third := open(t, dir, &now).Fingerprint(); third == first {
		t.Error("a broken key was used")
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "ca.key.corrupt-*")); len(kept) != 1 {
		t.Errorf("the broken key was not kept aside: %v", kept)
	}
	now = now.Add(6 * 365 * 24 * time.Hour)
	fourth := open(t, dir, &now)
	if fourth.Expires().Before(now) {
		t.Error("an expired authority is in use")
	}
}

// TestDomains: the authority signs names below other domains only if it was made for
// them, and is replaced when the domains change.
func TestDomains(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := open(t, dir, &now).Fingerprint()
	wider := func(domains ...string) *certs.Authority {
		a, err := certs.New(certs.Config{Dir: dir, Now: func() time.Time { return now }, Domains: domains, Serves: func(string) bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := wider("dev.example.com", "test")
	if a.Fingerprint() == first {
		t.Error("the authority for localhost alone is in use")
	}
	for name, ok := range map[string]bool{"shop.localhost": true, "shop.test": true, "api.shop.dev.example.com": true, "example.com": false, "shop.example.com": false, "test": false} {
		cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		if ok != (err == nil) || ok && verify(t, dir, cert, name, now) != nil {
			t.Errorf("%s: %v, want ok %v", name, err, ok)
		}
	}
	if again := wider("dev.example.com", "test").Fingerprint(); again != a.Fingerprint() {
		t.Error("the next start made another authority")
	}
	open(t, dir, &now)
	if narrow, err := certs.Load(dir); err != nil || len(narrow.PermittedDNSDomains) != 1 || narrow.PermittedDNSDomains[0] != "localhost" {
		t.Errorf("without domains the authority vouches for %q, %v", narrow.PermittedDNSDomains, err)
	}
}

func TestRenewal(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a := open(t, dir, &now)
	get := func() *tls.Certificate {
		cert, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: "app.localhost"})
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	first := get()
	if get() != first {
		t.Error("a fresh leaf was made again")
	}
	now = now.Add(5 * 24 * time.Hour)
	if second := get(); second == first || verify(t, dir, second, "app.localhost", now.Add(3*24*time.Hour)) != nil {
		t.Error("the leaf was not renewed in time")
	}
}

func TestManyAtOnceGetOneLeaf(t *testing.T) {
	now := time.Now()
	a := open(t, t.TempDir(), &now)
	var wg sync.WaitGroup
	var got [20]*tls.Certificate
	for i := range got {
		wg.Go(func() { got[i], _ = a.GetCertificate(&tls.ClientHelloInfo{ServerName: "app.localhost"}) })
	}
	wg.Wait()
	for _, cert := range got {
		if cert == nil || cert != got[0] {
			t.Fatal("more than one leaf was made")
		}
	}
}

// TestConstraint: clients reject a certificate that the authority's key signed for any
// other name.
func TestConstraint(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	open(t, dir, &now)
	ca, err := certs.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.PermittedDNSDomainsCritical || len(ca.PermittedDNSDomains) != 1 || ca.PermittedDNSDomains[0] != "localhost" || len(ca.PermittedIPRanges) != 2 {
		t.Errorf("constraints: %v, %v", ca.PermittedDNSDomains, ca.PermittedIPRanges)
	}
}

func TestBundle(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if _, _, err := certs.Bundle(dir, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without an authority: %v", err)
	}
	open(t, dir, &now)
	other := t.TempDir()
	open(t, other, &now)
	base := filepath.Join(other, "ca.crt") // a bundle of the user with one certificate
	path, ok, err := certs.Bundle(dir, base)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	content, _ := os.ReadFile(path)
	if n := strings.Count(string(content), "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("the bundle contains %d certificates, want 2", n)
	}
	if _, ok, _ := certs.Bundle(dir, filepath.Join(other, "missing")); ok {
		t.Error("a bundle with only our certificate was written")
	}
}

// TestLAN opens one authority again and again. It signs names below .local and private
// addresses, and a certificate that it signs for anything else is not accepted.
func TestLAN(t *testing.T) {
	dir := t.TempDir()
	a, err := certs.NewLAN(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := certs.NewLAN(dir)
	if err != nil || again.Fingerprint() != a.Fingerprint() {
		t.Fatalf("another authority: %v", err)
	}
	data, err := os.ReadFile(certs.LANCertPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	if _, err := certs.Load(dir); err == nil {
		t.Error("it is taken for this machine's own authority")
	}
	for _, tt := range []struct {
		name, addr, check string
		ok                bool
	}{
		{"shop.local", "192.168.1.4", "shop.local", true}, {"api.shop.local", "fd00::4", "fd00::4", true}, {"shop.local", "192.168.1.4", "192.168.1.4", true},
		{"shop.localhost", "192.168.1.4", "shop.localhost", false}, {"example.com", "192.168.1.4", "example.com", false}, {"shop.local", "8.8.8.8", "shop.local", false},
	} {
		config := a.For(func() (string, []netip.Addr) { return tt.name, []netip.Addr{netip.MustParseAddr(tt.addr)} })
		cert, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: tt.check})
		if (err == nil) != tt.ok {
			t.Errorf("%s with %s, checked as %s: %v", tt.name, tt.addr, tt.check, err)
		}
		if same, _ := config.GetCertificate(nil); same != cert {
			t.Error("each client gets a new certificate")
		}
	}
}
