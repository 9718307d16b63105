// Package certs owns the local certificate authority: its key, the leaves that it signs
// for the names that Hostless serves, the certificate bundle for child processes, and its
// installation in trust stores.
//
// The authority can only sign for `localhost`, names below it, the configured domains and
// loopback addresses. The name constraint is part of its own certificate (RFC 5280
// §4.2.1.10), so a stolen key is worthless for other names. The caller decides which
// names are served.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
)

// Lifetimes of certificates. Browsers do not limit the lifetime of a locally trusted
// authority. Leaves are cheap to make, so they are short-lived.
const (
	authorityLife = 5 * 365 * 24 * time.Hour
	leafLife      = 7 * 24 * time.Hour
	leafRenew     = leafLife / 3 // a leaf is renewed when this much of its life is left
	backdate      = time.Hour    // tolerates clocks that are behind
	maxLeaves     = 1024
)

// Config configures an Authority.
type Config struct {
	Dir    string                 // directory of ca.crt and ca.key; required
	Serves func(host string) bool // reports whether a leaf may be made for a name below localhost or Domains; nil means never
	// Domains are the domains besides localhost below which the authority may sign names.
	// An existing authority that was made for other domains is replaced.
	Domains []string
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none

	lan bool // made by NewLAN
}

// Authority signs leaf certificates. It is safe for concurrent use.
type Authority struct {
	cfg  Config
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*leaf
}

// New opens the authority in cfg.Dir, or creates it if there is none. Files that cannot
// be used, and an expired authority, are kept aside, logged and replaced.
func New(cfg Config) (*Authority, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Serves == nil {
		cfg.Serves = func(string) bool { return false }
	}
	if err := config.EnsureDir(cfg.Dir); err != nil {
		return nil, err
	}
	a := &Authority{cfg: cfg, leaves: map[string]*leaf{}}
	err := a.load()
	if err == nil {
		return a, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		cfg.Logger.Warn("certificate authority cannot be used and is replaced; run `hostless trust` again", "err", err)
		for _, path := range []string{a.certPath(), a.keyPath()} {
			if _, err := config.KeepAside(path, cfg.Now()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return a, a.create()
}

// CertPath returns the path of the authority's certificate in dir.
func CertPath(dir string) string { return filepath.Join(dir, "ca.crt") }

func (a *Authority) certPath() string {
	if a.cfg.lan {
		return LANCertPath(a.cfg.Dir)
	}
	return CertPath(a.cfg.Dir)
}

func (a *Authority) keyPath() string { return strings.TrimSuffix(a.certPath(), ".crt") + ".key" }

// Fingerprint returns the SHA-256 of the authority's certificate, in hex.
func (a *Authority) Fingerprint() string { return Fingerprint(a.cert) }

// Fingerprint returns the SHA-256 of a certificate, in hex.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Expires returns the time when the authority's certificate expires.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// Load reads the authority's certificate without its key, for callers that only install
// or check trust. The error is fs.ErrNotExist if there is no authority.
func Load(dir string) (*x509.Certificate, error) { return loadFile(CertPath(dir)) }

func loadFile(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s contains no certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func (a *Authority) load() error {
	cert, err := loadFile(a.certPath())
	if err != nil {
		return err
	}
	data, _, err := config.ReadPrivate(a.keyPath())
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the certificate's private key is missing")
		}
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%s contains no key", a.keyPath())
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("read %s: %w", a.keyPath(), err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return fmt.Errorf("the key does not match the certificate")
	}
	if a.cfg.Now().Add(leafLife).After(cert.NotAfter) {
		return fmt.Errorf("the certificate expires at %s", cert.NotAfter.Format(time.RFC3339))
	}
	if want := a.permitted(); !slices.Equal(cert.PermittedDNSDomains, want) {
		return fmt.Errorf("it is limited to names below %s, not %s", strings.Join(cert.PermittedDNSDomains, ", "), strings.Join(want, ", "))
	}
	a.cert, a.key = cert, key
	return nil
}

// permitted lists the domains below which the authority may sign names.
func (a *Authority) permitted() []string {
	if a.cfg.lan {
		return []string{localDomain}
	}
	return append([]string{localhostName}, a.cfg.Domains...)
}

// Addresses that an authority may sign.
var (
	loopback = networks("127.0.0.0/8", "::1/128")
	private  = networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10", "127.0.0.0/8", "::1/128")
)

func networks(list ...string) (out []*net.IPNet) {
	for _, text := range list {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			panic(err) // a constant
		}
		out = append(out, network)
	}
	return out
}

func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := a.cfg.Now()
	host, _ := os.Hostname()
	title, ranges := "Hostless local CA", loopback
	if a.cfg.lan {
		title, ranges = "Hostless LAN CA", private
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{title}, CommonName: title + " " + host + " " + now.Format("2006-01-02")},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		// A dNSName constraint permits the name itself and all names below it.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         a.permitted(),
		PermittedIPRanges:           ranges,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := config.WritePrivate(a.keyPath(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})); err != nil {
		return err
	}
	// The certificate is written last, so that it never exists without its key.
	return config.WritePrivate(a.certPath(), encode(der))
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serial returns a positive random number of 128 bits.
func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}
