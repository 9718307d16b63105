package certs

import (
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
)

// localDomain is the domain of multicast DNS (RFC 6762).
const localDomain = "local"

// LANCertPath returns the path of the certificate of NewLAN's authority in dir.
func LANCertPath(dir string) string { return filepath.Join(dir, "lan-ca.crt") }

// NewLAN opens or creates the authority for apps that are shared on the local network. It
// can only sign for names below .local and private addresses. It is separate from the
// authority that this machine trusts: another machine that trusts it does not trust
// certificates for localhost, and this machine does not trust it.
func NewLAN(dir string) (*Authority, error) { return New(Config{Dir: dir, lan: true}) }

// For returns a server's configuration with a certificate for the name and addresses that
// current returns when a client connects, whatever name the client sends. The certificate
// is renewed in time.
func (a *Authority) For(current func() (name string, addrs []netip.Addr)) *tls.Config {
	var mu sync.Mutex
	var cert *tls.Certificate
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			name, addrs := current()
			now := a.cfg.Now()
			if cert != nil && now.Add(leafRenew).Before(cert.Leaf.NotAfter) && covers(cert, name, addrs) {
				return cert, nil
			}
			var ips []net.IP
			for _, addr := range addrs {
				ips = append(ips, addr.AsSlice())
			}
			fresh, _, err := a.signFor(name, ips, now)
			if err == nil {
				cert = fresh
			}
			return fresh, err
		},
	}
}

// covers reports whether a certificate is valid for the name and all of the addresses.
func covers(cert *tls.Certificate, name string, addrs []netip.Addr) bool {
	for _, addr := range addrs {
		if cert.Leaf.VerifyHostname("["+addr.String()+"]") != nil {
			return false
		}
	}
	return cert.Leaf.VerifyHostname(name) == nil
}
