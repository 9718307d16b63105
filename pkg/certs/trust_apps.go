package certs

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"
	"strings"
)

// sha1Of returns the SHA-1 by which security(1) identifies a certificate. No security
// depends on it.
func sha1Of(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// nssStores finds the NSS databases of Chromium and of each Firefox profile.
func (t *Trust) nssStores() []store {
	home := t.Getenv("HOME")
	if home == "" {
		return nil
	}
	var out []store
	for _, pattern := range []string{
		".pki/nssdb",
		"snap/chromium/current/.pki/nssdb",
		".mozilla/firefox/*",
		"snap/firefox/common/.mozilla/firefox/*",
		".var/app/org.mozilla.firefox/.mozilla/firefox/*",
		"Library/Application Support/Firefox/Profiles/*",
	} {
		dirs, _ := filepath.Glob(filepath.Join(home, pattern))
		for _, dir := range dirs {
			if exists(filepath.Join(dir, "cert9.db")) {
				out = append(out, nssStore{t, dir})
			}
		}
	}
	return out
}

// nssStore is one NSS database (Chromium's or a Firefox profile's).
type nssStore struct {
	t   *Trust
	dir string
}

func (s nssStore) name() string { return "nss" }
func (s nssStore) path() string { return s.dir }

func (s nssStore) certutil(ctx context.Context, args ...string) ([]byte, error) {
	tool, err := s.t.Look("certutil")
	if err != nil {
		return nil, errNoTool{"certutil", "install the package libnss3-tools (Debian), nss-tools (Fedora) or nss (Homebrew)"}
	}
	return s.t.command(ctx, nil, tool, append([]string{"-d", "sql:" + s.dir}, args...)...)
}

func (s nssStore) has(ctx context.Context, cert *x509.Certificate) (bool, error) {
	out, err := s.certutil(ctx, "-L", "-a", "-n", nickname(cert))
	if noTool, ok := err.(errNoTool); ok {
		return false, noTool
	}
	return err == nil && sameCertificate(out, cert), nil
}

func (s nssStore) add(ctx context.Context, cert *x509.Certificate) error {
	_, err := s.certutil(ctx, "-A", "-t", "C,,", "-n", nickname(cert), "-i", CertPath(s.t.Dir))
	return err
}

func (s nssStore) remove(ctx context.Context, cert *x509.Certificate) error {
	_, err := s.certutil(ctx, "-D", "-n", nickname(cert))
	return err
}

// javaStores finds the store of the Java installation in JAVA_HOME.
func (t *Trust) javaStores() []store {
	home := t.Getenv("JAVA_HOME")
	if home == "" {
		return nil
	}
	for _, path := range []string{"lib/security/cacerts", "jre/lib/security/cacerts"} {
		if p := filepath.Join(home, path); exists(p) {
			return []store{javaStore{t, home, p}}
		}
	}
	return nil
}

// javaStore is a Java installation's cacerts.
type javaStore struct {
	t          *Trust
	home, file string
}

func (s javaStore) name() string { return "java" }
func (s javaStore) path() string { return s.file }

func (s javaStore) args(more ...string) []string {
	return append(more, "-keystore", s.file, "-storepass", "changeit", "-noprompt")
}

func (s javaStore) keytool() string { return filepath.Join(s.home, "bin", "keytool") }

func (s javaStore) has(ctx context.Context, cert *x509.Certificate) (bool, error) {
	if !exists(s.keytool()) {
		return false, errNoTool{"keytool", "it comes with a JDK"}
	}
	out, err := s.t.command(ctx, nil, s.keytool(), "-exportcert", "-rfc", "-alias", nickname(cert), "-keystore", s.file, "-storepass", "changeit")
	return err == nil && sameCertificate(out, cert), nil
}

func (s javaStore) add(ctx context.Context, cert *x509.Certificate) error {
	return s.t.privileged(ctx, nil, s.keytool(), s.args("-importcert", "-alias", nickname(cert), "-file", CertPath(s.t.Dir))...)
}

func (s javaStore) remove(ctx context.Context, cert *x509.Certificate) error {
	return s.t.privileged(ctx, nil, s.keytool(), s.args("-delete", "-alias", nickname(cert))...)
}
