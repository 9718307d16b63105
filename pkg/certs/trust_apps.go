package certs

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
)

// sha1Of returns the SHA-1 by which security(1) identifies a certificate. No security
// depends on it.
func sha1Of(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// chromiumStores are the NSS databases of Chromium and browsers made from it, below the
// home directory. The first two are its own: with the older one in place it uses that, else,
// from version 146 on, the one in XDG_DATA_HOME.
var chromiumStores = []string{
	".pki/nssdb",
	".local/share/pki/nssdb",
	"snap/*/current/.pki/nssdb", "snap/*/current/.local/share/pki/nssdb",
	".var/app/*/.pki/nssdb", ".var/app/*/data/pki/nssdb",
}

// firefoxStores are the profiles of Firefox and browsers made from it, below the home
// directory. From version 147 on it uses XDG_CONFIG_HOME where ~/.mozilla does not exist.
var firefoxStores = []string{
	".mozilla/firefox/*", ".config/mozilla/firefox/*",
	"snap/firefox/common/.mozilla/firefox/*", "snap/firefox/common/.config/mozilla/firefox/*",
	".var/app/org.mozilla.firefox/.mozilla/firefox/*", ".var/app/org.mozilla.firefox/config/mozilla/firefox/*",
	".librewolf/*", ".var/app/io.gitlab.librewolf-community/.librewolf/*", ".zen/*", ".waterfox/*", ".floorp/*",
	"Library/Application Support/Firefox/Profiles/*",
}

// nssStores finds the NSS databases of Chromium and of each Firefox profile.
func (t *Trust) nssStores() []store {
	patterns := slices.Concat(t.below("XDG_DATA_HOME", "pki/nssdb"), t.below("HOME", chromiumStores...),
		t.below("HOME", firefoxStores...), t.below("XDG_CONFIG_HOME", "mozilla/firefox/*"))
	var out []store
	for _, dir := range databases(patterns) {
		out = append(out, nssStore{t, dir})
	}
	return out
}

// CoversChromium reports whether Chromium has a database that Install reaches. It makes
// one when it is first started.
func (t Trust) CoversChromium() bool {
	t.defaults()
	own := append(t.below("XDG_DATA_HOME", "pki/nssdb"), t.below("HOME", chromiumStores...)...)
	return len(databases(own)) > 0
}

// below returns patterns below the directory in a variable, or none if it is not set.
func (t *Trust) below(variable string, patterns ...string) (out []string) {
	if dir := t.Getenv(variable); dir != "" {
		for _, pattern := range patterns {
			out = append(out, filepath.Join(dir, pattern))
		}
	}
	return out
}

// databases returns the directories with an NSS database that match the patterns, each
// once.
func databases(patterns []string) (found []string) {
	for _, pattern := range patterns {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			if exists(filepath.Join(dir, "cert9.db")) && !slices.Contains(found, dir) {
				found = append(found, dir)
			}
		}
	}
	return found
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
