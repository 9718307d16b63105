package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
)

// localhostName is the name of the leaf for localhost and the loopback addresses.
const localhostName = "localhost"

// leaf is the certificate of one name. Its mutex makes concurrent requests renew it only
// once.
type leaf struct {
	mu   sync.Mutex
	cert *tls.Certificate
	used time.Time // guarded by Authority.mu
}

// TLSConfig returns the server's configuration: HTTP/2 and HTTP/1.1, with the leaf
// selected by SNI.
func (a *Authority) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := a.GetCertificate(hello)
			if errors.Is(err, errNotServed) {
				return nil, nil // makes crypto/tls send the alert unrecognized_name
			}
			return cert, err
		},
	}
}

var errNotServed = errors.New("no app is served under that name")

// GetCertificate returns the leaf for the server name of the handshake; without one, as
// for an IP address, the leaf of localhost. A name that is not served is an error, and
// the handshake fails.
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" {
		name = localhostName
	}
	if name != localhostName && (!a.below(name) || !a.cfg.Serves(name)) {
		return nil, fmt.Errorf("%q: %w", name, errNotServed)
	}
	return a.leaf(name)
}

// below reports whether the authority may sign the name.
func (a *Authority) below(name string) bool {
	return slices.ContainsFunc(a.permitted(), func(domain string) bool { return strings.HasSuffix(name, "."+domain) })
}

func (a *Authority) leaf(name string) (*tls.Certificate, error) {
	now := a.cfg.Now()
	a.mu.Lock()
	l := a.leaves[name]
	if l == nil {
		a.makeRoom()
		l = &leaf{}
		a.leaves[name] = l
	}
	l.used = now
	a.mu.Unlock()

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cert != nil && now.Add(leafRenew).Before(l.cert.Leaf.NotAfter) {
		return l.cert, nil
	}
	cert, err := a.sign(name, now)
	if err != nil {
		return nil, err
	}
	l.cert = cert
	return cert, nil
}

// makeRoom drops the least recently used leaf if there are too many. a.mu must be held.
func (a *Authority) makeRoom() {
	if len(a.leaves) < maxLeaves {
		return
	}
	oldest := ""
	for name, l := range a.leaves {
		if oldest == "" || l.used.Before(a.leaves[oldest].used) {
			oldest = name
		}
	}
	delete(a.leaves, oldest)
}

func (a *Authority) sign(name string, now time.Time) (*tls.Certificate, error) {
	var addrs []net.IP
	if name == localhostName {
		addrs = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	cert, key, err := a.signFor(name, addrs, now)
	if err == nil && name == localhostName {
		if err := a.keep(cert.Leaf.Raw, key); err != nil {
			a.cfg.Logger.Warn("cannot store the certificate of localhost", "err", err)
		}
	}
	return cert, err
}

// signFor makes a certificate for a name and addresses.
func (a *Authority) signFor(name string, addrs []net.IP, now time.Time) (*tls.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"Hostless"}},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name},
		IPAddresses:  addrs,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate of %s: %w", name, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: parsed}, key, nil
}

// keep stores the certificate of localhost on disk, for other local servers.
func (a *Authority) keep(der []byte, key *ecdsa.PrivateKey) error {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := config.WritePrivate(filepath.Join(a.cfg.Dir, "localhost.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})); err != nil {
		return err
	}
	return config.WritePrivate(filepath.Join(a.cfg.Dir, "localhost.crt"), append(encode(der), encode(a.cert.Raw)...))
}
