package certs

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"

	"github.com/hostless/hostless/pkg/config"
)

// systemBundles are the single-file bundles of trusted certificates of common systems.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Gentoo
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
	"/etc/ssl/cert.pem",                                 // Alpine, macOS
}

// Bundle writes a file with the system's trusted certificates and the authority's own,
// and returns its path. It is for programs that take one file instead of the system's
// store (SSL_CERT_FILE, REQUESTS_CA_BUNDLE). base is the bundle that the user has
// configured, "" for the system's. The result is false if there is no bundle to extend:
// one with only our certificate would break all TLS connections to the internet.
func Bundle(dir, base string) (string, bool, error) {
	cert, err := Load(dir)
	if err != nil {
		return "", false, err
	}
	candidates := systemBundles
	if base != "" {
		candidates = []string{base}
	}
	var content []byte
	for _, path := range candidates {
		if content, err = os.ReadFile(path); err == nil {
			break
		}
	}
	if !holdsCertificate(content) {
		return "", false, nil
	}
	if content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	content = append(content, encode(cert.Raw)...)
	path := filepath.Join(dir, "ca-bundle.crt")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return path, true, nil
	}
	return path, true, config.WritePrivate(path, content)
}

func holdsCertificate(content []byte) bool {
	return len(content) > 0 && x509.NewCertPool().AppendCertsFromPEM(content)
}
