package certs

import (
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
)

// localDomain is where multicast DNS has its names (RFC 6762).
const localDomain = "local"

// LANCertPath is where the certificate of NewLAN's authority is kept.
func LANCertPath(dir string) string { return filepath.Join(dir, "lan-ca.crt") }

// NewLAN opens the authority for what is shown on the local network, or makes one. It
// vouches for names below .local and private addresses alone, and is apart from the
// authority that this machine trusts: other machines that trust it learn nothing of
// localhost, and this machine does not trust it.
func NewLAN(dir string) (*Authority, error) { return New(Config{Dir: dir, lan: true}) }

// For is the server side of TLS for a name and addresses, as current gives them when a
// client connects, whichever of them the client asks for. Its certificate is renewed in
// time.
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

// covers reports whether a certificate has the name and every one of the addresses.
func covers(cert *tls.Certificate, name string, addrs []netip.Addr) bool {
	for _, addr := range addrs {
		if cert.Leaf.VerifyHostname("["+addr.String()+"]") != nil {
			return false
		}
	}
	return cert.Leaf.VerifyHostname(name) == nil
}
