// Package certs owns the local certificate authority: its key, the leaves that
// it signs for the names that Hostless serves, the certificate bundle for child
// processes, and the trust stores that learn of it.
//
// The authority can vouch for `localhost` and names below it and for loopback
// addresses, and for nothing else: the constraint is in its own certificate
// (RFC 5280 §4.2.1.10), so its key is worthless elsewhere. Which names are
// served is the caller's business.
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

// How long certificates last. Browsers put no limit on a locally trusted
// authority; its leaves are cheap, so they are short.
const (
	authorityLife = 5 * 365 * 24 * time.Hour
	leafLife      = 7 * 24 * time.Hour
	leafRenew     = leafLife / 3 // renewed when this much is left
	backdate      = time.Hour    // for clocks that are behind
	maxLeaves     = 1024
)

// Config configures an Authority.
type Config struct {
	Dir    string                 // required: where ca.crt and ca.key live
	Serves func(host string) bool // whether a leaf may be made for a name below localhost or Domains; nil: none
	// Domains are names besides localhost that the authority vouches for what is below
	// them. One that was made for others is replaced.
	Domains []string
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none
}

// Authority signs leaves. It is safe for concurrent use.
type Authority struct {
	cfg  Config
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*leaf
}

// New opens the authority in cfg.Dir, or makes one where there is none. Files
// that cannot be used are kept aside and reported; an expired authority is
// replaced likewise.
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
		cfg.Logger.Warn("certificate authority cannot be used and is replaced: run `hostless trust` again", "err", err)
		for _, path := range []string{CertPath(cfg.Dir), keyPath(cfg.Dir)} {
			if _, err := config.KeepAside(path, cfg.Now()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return a, a.create()
}

// CertPath is where the authority's certificate is kept.
func CertPath(dir string) string { return filepath.Join(dir, "ca.crt") }

func keyPath(dir string) string { return filepath.Join(dir, "ca.key") }

// Fingerprint is the SHA-256 of the authority's certificate, in hex.
func (a *Authority) Fingerprint() string { return Fingerprint(a.cert) }

// Fingerprint is the SHA-256 of a certificate, in hex.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Expires is when the authority itself ends.
func (a *Authority) Expires() time.Time { return a.cert.NotAfter }

// Load reads the authority's certificate without its key, for who only wants to
// trust it. Without one it is fs.ErrNotExist.
func Load(dir string) (*x509.Certificate, error) {
	data, err := os.ReadFile(CertPath(dir))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate", CertPath(dir))
	}
	return x509.ParseCertificate(block.Bytes)
}

func (a *Authority) load() error {
	cert, err := Load(a.cfg.Dir)
	if err != nil {
		return err
	}
	data, _, err := config.ReadPrivate(keyPath(a.cfg.Dir))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the certificate's private key is missing")
		}
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%s holds no key", keyPath(a.cfg.Dir))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("read %s: %w", keyPath(a.cfg.Dir), err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return fmt.Errorf("key and certificate do not belong together")
	}
	if a.cfg.Now().Add(leafLife).After(cert.NotAfter) {
		return fmt.Errorf("the certificate ends at %s", cert.NotAfter.Format(time.RFC3339))
	}
	if want := a.permitted(); !slices.Equal(cert.PermittedDNSDomains, want) {
		return fmt.Errorf("it vouches for names below %s, and not for those below %s", strings.Join(cert.PermittedDNSDomains, ", "), strings.Join(want, ", "))
	}
	a.cert, a.key = cert, key
	return nil
}

// permitted are the names below which the authority may vouch for any.
func (a *Authority) permitted() []string {
	return append([]string{localhostName}, a.cfg.Domains...)
}

func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := a.cfg.Now()
	host, _ := os.Hostname()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"Hostless local CA"}, CommonName: "Hostless local CA " + host + " " + now.Format("2006-01-02")},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		// A dNSName constraint holds the name itself and all below it.
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         a.permitted(),
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
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
	if err := config.WritePrivate(keyPath(a.cfg.Dir), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})); err != nil {
		return err
	}
	// The certificate comes last: where it is, the key is.
	return config.WritePrivate(CertPath(a.cfg.Dir), encode(der))
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serial is 128 random bits, positive.
func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}
