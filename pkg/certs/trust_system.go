package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// anchors lists the directories of additional trusted certificates on Linux systems, with
// the command that rebuilds the bundles.
var anchors = []struct {
	dir  string
	tool string
	args []string
}{
	{"/usr/local/share/ca-certificates", "update-ca-certificates", nil},                // Debian, Alpine
	{"/etc/pki/ca-trust/source/anchors", "update-ca-trust", []string{"extract"}},       // Fedora, RHEL
	{"/etc/ca-certificates/trust-source/anchors", "trust", []string{"extract-compat"}}, // Arch
	{"/usr/share/pki/trust/anchors", "update-ca-certificates", nil},                    // openSUSE
}

func (t *Trust) stores() []store {
	var out []store
	if runtime.GOOS == "darwin" && t.Root == "" {
		out = append(out, darwinStore{t})
	}
	for _, a := range anchors {
		if exists(filepath.Join(t.Root, a.dir)) {
			out = append(out, linuxStore{t, filepath.Join(t.Root, a.dir), a.tool, a.args})
			break
		}
	}
	return append(append(out, t.nssStores()...), t.javaStores()...)
}

// linuxStore is the system's trust store on Linux.
type linuxStore struct {
	t    *Trust
	dir  string
	tool string
	args []string
}

func (s linuxStore) name() string { return "system" }
func (s linuxStore) path() string { return s.dir }

func (s linuxStore) file(cert *x509.Certificate) string {
	return filepath.Join(s.dir, nickname(cert)+".crt")
}

func (s linuxStore) has(_ context.Context, cert *x509.Certificate) (bool, error) {
	data, err := os.ReadFile(s.file(cert))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && sameCertificate(data, cert), err
}

func (s linuxStore) add(ctx context.Context, cert *x509.Certificate) error {
	tool, err := s.t.Look(s.tool)
	if err != nil {
		return errNoTool{s.tool, "install the package ca-certificates"}
	}
	if err := s.t.privileged(ctx, pemOf(cert), "/bin/sh", "-c", `umask 022 && cat > "$1"`, "sh", s.file(cert)); err != nil {
		return err
	}
	return s.t.privileged(ctx, nil, tool, s.args...)
}

func (s linuxStore) remove(ctx context.Context, cert *x509.Certificate) error {
	tool, err := s.t.Look(s.tool)
	if err != nil {
		return errNoTool{s.tool, "install the package ca-certificates"}
	}
	if err := s.t.privileged(ctx, nil, "/bin/rm", "-f", s.file(cert)); err != nil {
		return err
	}
	return s.t.privileged(ctx, nil, tool, s.args...)
}

// darwinStore is the login keychain. It needs no administrator's password; macOS asks the
// user itself.
type darwinStore struct{ t *Trust }

func (s darwinStore) name() string { return "system" }

func (s darwinStore) path() string {
	return filepath.Join(s.t.Getenv("HOME"), "Library/Keychains/login.keychain-db")
}

func (s darwinStore) has(ctx context.Context, cert *x509.Certificate) (bool, error) {
	out, err := s.t.command(ctx, nil, "/usr/bin/security", "find-certificate", "-a", "-p", "-c", cert.Subject.CommonName, s.path())
	return err == nil && sameCertificate(out, cert), nil
}

func (s darwinStore) add(ctx context.Context, _ *x509.Certificate) error {
	_, err := s.t.command(ctx, nil, "/usr/bin/security", "add-trusted-cert", "-r", "trustRoot", "-k", s.path(), CertPath(s.t.Dir))
	return err
}

func (s darwinStore) remove(ctx context.Context, cert *x509.Certificate) error {
	if _, err := s.t.command(ctx, nil, "/usr/bin/security", "remove-trusted-cert", CertPath(s.t.Dir)); err != nil {
		return err
	}
	_, err := s.t.command(ctx, nil, "/usr/bin/security", "delete-certificate", "-Z", sha1Of(cert), s.path())
	return err
}
