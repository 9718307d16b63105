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

// The states of a trust store.
const (
	Trusted     = "trusted"     // the authority is in it
	Untrusted   = "untrusted"   // it is not
	Unavailable = "unavailable" // the store exists, the tool that changes it does not
	Failed      = "failed"      // the tool refused
)

// StoreResult is how the authority stands in one trust store.
type StoreResult struct {
	Store  string `json:"store"` // system, nss, java
	Path   string `json:"path"`
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"` // why, or the command that mends it
}

// Trust installs the authority in trust stores and takes it out again. It runs
// the stores' own tools: update-ca-certificates and its kin, security(1) on
// macOS, certutil for NSS, keytool for Java.
type Trust struct {
	Dir    string                            // the authority's directory
	Getenv func(string) string               // nil: os.Getenv
	Run    Runner                            // nil: runs the command
	Look   func(name string) (string, error) // nil: exec.LookPath
	Root   string                            // prefix of the system's paths, for tests
	Sudo   bool                              // system stores may be changed through sudo
}

// Runner runs a command with standard input and gives its combined output.
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

// store is one place that certificates are trusted from.
type store interface {
	name() string
	path() string
	// has reports whether the certificate is in the store.
	has(ctx context.Context, cert *x509.Certificate) (bool, error)
	add(ctx context.Context, cert *x509.Certificate) error
	remove(ctx context.Context, cert *x509.Certificate) error
}

// errNoTool says that a store exists whose tool does not.
type errNoTool struct{ tool, install string }

func (e errNoTool) Error() string { return e.tool + " is not installed: " + e.install }

// Status tells how each store that was found stands.
func (t Trust) Status(ctx context.Context) ([]StoreResult, error) {
	return t.each(ctx, func(store, *x509.Certificate, bool) error { return nil })
}

// Install puts the authority into each store that was found and does not have
// it. One store's failure is in its result and keeps no other from being done.
func (t Trust) Install(ctx context.Context) ([]StoreResult, error) {
	return t.each(ctx, func(s store, cert *x509.Certificate, has bool) error {
		if has {
			return nil
		}
		return s.add(ctx, cert)
	})
}

// Uninstall takes the authority out of each store that has it.
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
			has, err = s.has(ctx, cert) // the report is of what was seen
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

// nickname is what NSS and Java know the authority by; the fingerprint keeps
// two homes apart.
func nickname(cert *x509.Certificate) string { return "hostless-" + Fingerprint(cert)[:16] }

func pemOf(cert *x509.Certificate) []byte { return encode(cert.Raw) }

// command runs a tool and puts its output into the error.
func (t *Trust) command(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	out, err := t.Run(ctx, stdin, name, args...)
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(out)))
	}
	return out, nil
}

// privileged runs a command that changes the system, through sudo where that
// was allowed and is needed.
func (t *Trust) privileged(ctx context.Context, stdin []byte, name string, args ...string) error {
	if os.Geteuid() != 0 && t.Root == "" {
		if !t.Sudo {
			return fmt.Errorf("needs root: run `hostless trust` on a terminal, where it can ask sudo")
		}
		args = append([]string{"--prompt=hostless: password for sudo, to change the system's trust store: ", "--", name}, args...)
		name = "sudo"
	}
	_, err := t.command(ctx, stdin, name, args...)
	return err
}

// sameCertificate reports whether PEM data holds the certificate.
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
