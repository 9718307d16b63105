//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

const bufSize = 4 << 10 // more than a response

// clientTLS returns the configuration for the handshake that every proxy is measured
// with: always a full TLS 1.3 handshake.
func clientTLS() *tls.Config {
	return &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519},
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
		InsecureSkipVerify:     true, // no authority is trusted here; only the cost of the handshake is measured
	}
}

// certificate creates the certificate and key for the proxies that have no certificate
// authority of their own.
func (b *bench) certificate() (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host, filesHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	b.write("pair.pem", string(certPEM)+string(keyPEM)) // haproxy needs both in one file
	return b.write("cert.pem", string(certPEM)), b.write("key.pem", string(keyPEM)), nil
}

// shake opens a connection, sends a request and closes the connection, with as little
// work as possible: a client that costs more than the proxy would limit the result. Without
// config, it uses plain HTTP.
func shake(addr string, config *tls.Config, buf []byte) (state tls.ConnectionState, err error) {
	tcp, err := net.Dial("tcp", addr)
	if err != nil {
		return state, err
	}
	c, secure := net.Conn(tcp), (*tls.Conn)(nil)
	if config != nil {
		secure = tls.Client(tcp, config)
		c = secure
	} else {
		_ = tcp.(*net.TCPConn).SetLinger(0) // ports in TIME-WAIT would run out
	}
	defer c.Close()
	if _, err := c.Write(request); err != nil { // which performs the handshake first
		return state, err
	}
	got := 0
	for !bytes.HasSuffix(buf[:got], bodyEnd) {
		n, err := c.Read(buf[got:])
		if got += n; err != nil {
			return state, fmt.Errorf("after %.200q: %w", buf[:got], err)
		}
	}
	if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
		return state, fmt.Errorf("not the backend's answer: %.60q", buf[:got])
	}
	if secure != nil {
		state = secure.ConnectionState()
	}
	return state, nil
}

// sameTLS checks that a proxy performs the handshake that all are measured with.
func sameTLS(addr string) error {
	state, err := shake(addr, clientTLS(), make([]byte, bufSize))
	if err != nil {
		return err
	}
	key, _ := state.PeerCertificates[0].PublicKey.(*ecdsa.PublicKey)
	if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || key == nil || key.Curve != elliptic.P256() {
		return fmt.Errorf("uses a different handshake: %s, key %T", tls.CipherSuiteName(state.CipherSuite), state.PeerCertificates[0].PublicKey)
	}
	return nil
}

// connections opens, uses and closes connections for the time each, sixteen at a time. If
// secure, each performs a TLS handshake. It prints the result as JSON.
func connections(addr string, each time.Duration, secure bool) error {
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		took    []time.Duration
		failed  error
	)
	debug.SetGCPercent(1000)
	started := time.Now()
	for range 16 {
		running.Go(func() {
			buf := make([]byte, bufSize)
			var config *tls.Config
			if secure {
				config = clientTLS()
			}
			for time.Since(started) < each {
				at := time.Now()
				_, err := shake(addr, config, buf)
				mu.Lock()
				took, failed = append(took, time.Since(at)), errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	running.Wait()
	if failed != nil {
		return failed
	}
	return json.NewEncoder(os.Stdout).Encode(made(started, took))
}

func (b *bench) handshakes(ctx context.Context, p *proxy) (s sample, err error) {
	return b.connections(ctx, p, "handshakes")
}

func (b *bench) newConnections(ctx context.Context, p *proxy) (s sample, err error) {
	return b.connections(ctx, p, "connections")
}

// connections runs the client program of that name against p and measures it.
func (b *bench) connections(ctx context.Context, p *proxy, client string) (s sample, err error) {
	m := begin(p)
	out, err := b.client(ctx, client, p.addr, b.each.String())
	if err != nil {
		return s, err
	}
	return m.end(out, time.Microsecond), nil
}
