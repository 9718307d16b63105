package apps

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	keepAlive        = 30 * time.Second
)

// upstream is the way to one route's app, and the connections kept to it.
type upstream struct {
	insecure bool // the certificate is not checked
	family   atomic.Pointer[string]
	transport
}

// newUpstream makes the way to an app. Compression and redirects are the app's
// and the client's business.
func newUpstream(insecure, stock bool) *upstream {
	u := &upstream{insecure: insecure}
	if stock {
		u.transport = newStock(u)
	} else {
		u.transport = newFast(u)
	}
	return u
}

// dial connects to a target, by TLS where it says so. `localhost` is tried on
// both families, the one that answered last first: a dev server listens on
// either. The error is a *dialError.
func (u *upstream) dial(ctx context.Context, t Target) (net.Conn, error) {
	c, err := u.connect(ctx, t)
	if err == nil && t.Scheme == "https" {
		c, err = u.handshake(ctx, c, t)
	}
	if err != nil {
		return nil, &dialError{err}
	}
	return c, nil
}

func (u *upstream) connect(ctx context.Context, t Target) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	if t.Socket != "" {
		return d.DialContext(ctx, "unix", t.Socket)
	}
	if !t.local() {
		return d.DialContext(ctx, "tcp", t.Host)
	}
	_, port, _ := net.SplitHostPort(t.Host)
	first, second := "127.0.0.1", "::1"
	if known := u.family.Load(); known != nil && *known == second {
		first, second = second, first
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(first, port))
	if err == nil {
		u.answered(first)
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	c, other := d.DialContext(ctx, "tcp", net.JoinHostPort(second, port))
	if other == nil {
		u.answered(second)
		return c, nil
	}
	return nil, errors.Join(err, other)
}

// handshake makes a TLS connection of c, which it closes where it cannot.
func (u *upstream) handshake(ctx context.Context, c net.Conn, t Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	name, _, _ := net.SplitHostPort(t.Host)
	secured := tls.Client(c, &tls.Config{
		ServerName: name, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: u.insecure, // by the user's word, for this one target
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, &handshakeError{err}
	}
	return secured, nil
}

func (u *upstream) answered(family string) {
	if known := u.family.Load(); known == nil || *known != family {
		u.family.Store(&family)
	}
}

// forget drops what was known of the app's place.
func (u *upstream) forget() {
	u.family.Store(nil)
	u.closeIdle()
}

// close ends the kept connections, and those in use once they are free.
func (u *upstream) close() { u.transport.close() }

// dialError is an app that could not be reached: nothing was sent to it.
type dialError struct{ err error }

func (e *dialError) Error() string { return "reach app: " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// handshakeError is an app that accepted a connection and not TLS on it.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// authority is the Host that a URL target is sent: its own, without a default
// port.
func (t Target) authority() string {
	port := ":80"
	if t.Scheme == "https" {
		port = ":443"
	}
	return strings.TrimSuffix(t.Host, port)
}
