package certs_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/certs"
)

// TestOwnCertificate: the user's certificate is served for the names in it, and the local
// authority's for all others. Unusable files are reported and change nothing.
func TestOwnCertificate(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a := open(t, dir, &now)
	if _, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: "localhost"}); err != nil { // stores its files
		t.Fatal(err)
	}
	other := t.TempDir()
	b := open(t, other, &now)
	if _, err := b.GetCertificate(&tls.ClientHelloInfo{ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	var failed error
	own := &certs.Own{CertFile: filepath.Join(other, "localhost.crt"), KeyFile: filepath.Join(other, "localhost.key"), Failed: func(err error) { failed = err }}
	get := own.Before(a.GetCertificate)
	for name, issuer := range map[string]string{"localhost": other, "": other, "app.localhost": dir} {
		cert, err := get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if name == "" {
			name = "localhost"
		}
		if err := verify(t, issuer, cert, name, now); err != nil {
			t.Errorf("%q is not of %s: %v", name, issuer, err)
		}
	}
	if failed != nil {
		t.Errorf("reported: %v", failed)
	}
	os.Remove(filepath.Join(other, "localhost.key"))
	broken := &certs.Own{CertFile: own.CertFile, KeyFile: own.KeyFile, Failed: func(err error) { failed = err }}
	cert, err := broken.Before(a.GetCertificate)(&tls.ClientHelloInfo{ServerName: "localhost"})
	if err != nil || verify(t, dir, cert, "localhost", now) != nil || failed == nil {
		t.Errorf("without the key: %v, reported %v", err, failed)
	}
}
