package certs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// States of a trust store.
const (
	Trusted     = "trusted"     // the store contains the authority
	Untrusted   = "untrusted"   // the store does not contain it
	Unavailable = "unavailable" // the store exists, but the tool to change it is not installed
	Failed      = "failed"      // the tool failed
)

// StoreResult is the state of one trust store.
type StoreResult struct {
	Store  string `json:"store"` // system, nss, java
	Path   string `json:"path"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"` // the reason, or the command that fixes it
}

// Trust installs the authority in trust stores and removes it. It runs the stores' own
// tools: update-ca-certificates and its equivalents, security(1) on macOS, certutil for
// NSS, and keytool for Java.
type Trust struct {
	Dir    string                            // the authority's directory
	Getenv func(string) string               // nil: os.Getenv
	Run    Runner                            // nil: runs the command with os/exec
	Look   func(name string) (string, error) // nil: exec.LookPath
	Root   string                            // prefix of the system's paths, for tests
	Sudo   bool                              // allows sudo for changing system stores
}

// Runner runs a command with the given standard input and returns its combined output.
type Runner func(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error)

func (t *Trust) defaults() {
	if t.Getenv == nil {
		t.Getenv = os.Getenv
	}
	if t.Look == nil {
		t.Look = exec.LookPath
	}
	if t.Run == nil {
		t.Run = func(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
			cmd := exec.CommandContext(ctx, name, args...)
			cmd.Stdin = strings.NewReader(string(stdin))
			return cmd.CombinedOutput()
		}
	}
}

// store is one trust store.
type store interface {
	name() string
	path() string
	// has reports whether the certificate is in the store.
	has(ctx context.Context, cert *x509.Certificate) (bool, error)
	add(ctx context.Context, cert *x509.Certificate) error
	remove(ctx context.Context, cert *x509.Certificate) error
}

// errNoTool means that a store exists but the tool to change it is not installed.
type errNoTool struct{ tool, install string }

func (e errNoTool) Error() string { return e.tool + " is not installed: " + e.install }

// Status returns the state of each store that was found.
func (t Trust) Status(ctx context.Context) ([]StoreResult, error) {
	return t.each(ctx, func(store, *x509.Certificate, bool) error { return nil })
}

// Install adds the authority to each store that does not have it. A failure is reported
// in the store's result and does not stop the others.
func (t Trust) Install(ctx context.Context) ([]StoreResult, error) {
	return t.each(ctx, func(s store, cert *x509.Certificate, has bool) error {
		if has {
			return nil
		}
		return s.add(ctx, cert)
	})
}

// Uninstall removes the authority from each store that has it.
func (t Trust) Uninstall(ctx context.Context) ([]StoreResult, error) {
	return t.each(ctx, func(s store, cert *x509.Certificate, has bool) error {
		if !has {
			return nil
		}
		return s.remove(ctx, cert)
	})
}

func (t Trust) each(ctx context.Context, do func(store, *x509.Certificate, bool) error) ([]StoreResult, error) {
	t.defaults()
	cert, err := Load(t.Dir)
	if err != nil {
		return nil, err
	}
	results := []StoreResult{}
	for _, s := range t.stores() {
		results = append(results, t.one(ctx, s, cert, do))
	}
	return results, nil
}

func (t *Trust) one(ctx context.Context, s store, cert *x509.Certificate, do func(store, *x509.Certificate, bool) error) StoreResult {
	r := StoreResult{Store: s.name(), Path: s.path()}
	has, err := s.has(ctx, cert)
	if err == nil {
		if err = do(s, cert, has); err == nil {
			has, err = s.has(ctx, cert) // report the state as it is, not as it should be
		}
	}
	var noTool errNoTool
	switch {
	case errors.As(err, &noTool):
		r.State, r.Detail = Unavailable, err.Error()
	case err != nil:
		r.State, r.Detail = Failed, err.Error()
	case has:
		r.State = Trusted
	default:
		r.State = Untrusted
	}
	return r
}

// nickname names the authority in NSS and Java stores. The fingerprint distinguishes the
// authorities of several homes.
func nickname(cert *x509.Certificate) string { return "hostless-" + Fingerprint(cert)[:16] }

func pemOf(cert *x509.Certificate) []byte { return encode(cert.Raw) }

// command runs a tool and includes its output in the error.
func (t *Trust) command(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	out, err := t.Run(ctx, stdin, name, args...)
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(out)))
	}
	return out, nil
}

// privileged runs a command that changes the system, through sudo if that is needed and
// allowed.
func (t *Trust) privileged(ctx context.Context, stdin []byte, name string, args ...string) error {
	if os.Geteuid() != 0 && t.Root == "" {
		if !t.Sudo {
			return fmt.Errorf("needs root: run `hostless trust` in a terminal, where it can use sudo")
		}
		args = append([]string{"--prompt=hostless: password for sudo, to change the system's trust store: ", "--", name}, args...)
		name = "sudo"
	}
	_, err := t.command(ctx, stdin, name, args...)
	return err
}

// sameCertificate reports whether PEM data contains the certificate.
func sameCertificate(data []byte, cert *x509.Certificate) bool {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return false
		}
		if string(block.Bytes) == string(cert.Raw) {
			return true
		}
	}
}

// exists reports whether there is a file at path, also one that cannot be accessed. There
// is none below a file that is no directory.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil || errors.Is(err, fs.ErrPermission)
}
