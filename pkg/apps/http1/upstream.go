package http1

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	keepAlive        = 30 * time.Second
)

// Config configures an Upstream. The zero value is valid.
type Config struct {
	// Insecure accepts any certificate.
	Insecure bool
	// Detect detects whether an http target speaks TLS, or only HTTP/2, and then uses
	// that. Certificates are not verified: it is meant for targets on this machine's
	// loopback addresses.
	Detect bool
	// Std uses net/http's Transport instead of this package's own, for comparison.
	Std bool
	// DialContext opens TCP connections. If nil, a net.Dialer is used, and both addresses
	// of localhost are tried.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is cloned for connections to https targets; it may be nil.
	TLS *tls.Config
	// HandshakeTimeout limits a TLS handshake; 10 s when zero.
	HandshakeTimeout time.Duration
	// HeaderTimeout limits the time from the end of a request's head to the response's
	// head; unlimited when zero.
	HeaderTimeout time.Duration
	// IdleTimeout is how long an idle connection is kept, unless the server asks for
	// less; 30 s when zero.
	IdleTimeout time.Duration
	// MaxIdle limits the number of idle connections; 512 when zero.
	MaxIdle int
}

// Upstream sends requests to one app and pools the connections to it. It is safe for
// concurrent use. It neither decompresses responses nor follows redirects.
type Upstream struct {
	cfg       Config
	family    atomic.Pointer[string] // address of localhost that accepted the last connection
	transport roundTripper
	speaks    atomic.Int32                   // detected protocol
	frames    atomic.Pointer[http.Transport] // for a target that speaks only HTTP/2
}

// New returns an Upstream.
func New(cfg Config) *Upstream {
	cfg.HandshakeTimeout = cmp.Or(cfg.HandshakeTimeout, handshakeTimeout)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, idleTimeout)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, maxIdle)
	u := &Upstream{cfg: cfg}
	if cfg.Std {
		u.transport = newStd(u)
	} else {
		u.transport = newDirect(u)
	}
	return u
}

// RoundTrip sends x and reads the head of the response. It adds the end-to-end fields to
// header, which may contain fields already; on an error header is unchanged. A *DialError
// means that nothing of the request was sent. When ctx ends before the response body's
// Finish, the connection is aborted. The caller must call Finish.
func (u *Upstream) RoundTrip(ctx context.Context, x *Request, header http.Header) (*Response, error) {
	if !u.cfg.Detect || x.Target.Scheme != "http" {
		return u.transport.roundTrip(ctx, x, header)
	}
	switch u.speaks.Load() {
	case speaksUnknown:
		return u.roundTripDetected(ctx, x, header)
	case speaksTLS:
		x.Target.Scheme = "https"
	case speaksHTTP2:
		return u.http2().roundTrip(ctx, x, header)
	}
	return u.transport.roundTrip(ctx, x, header)
}

// http2 returns a transport that uses net/http's HTTP/2 without TLS.
func (u *Upstream) http2() *stdTransport {
	if u.frames.Load() == nil {
		s := newStd(u)
		s.http.Protocols = new(http.Protocols)
		s.http.Protocols.SetUnencryptedHTTP2(true)
		u.frames.CompareAndSwap(nil, s.http)
	}
	return &stdTransport{http: u.frames.Load()}
}

// Connect opens a new connection to a target for a request that changes protocols. The
// caller must close it. The error is a *DialError.
func (u *Upstream) Connect(ctx context.Context, t Target) (*Conn, error) {
	if u.cfg.Detect && t.Scheme == "http" && u.speaks.Load() == speaksTLS {
		t.Scheme = "https"
	}
	c, err := u.dial(ctx, t)
	if err != nil {
		return nil, err
	}
	return NewConn(c, t), nil
}

// Reconnect is Connect after err, which occurred on a connection before any response. It
// returns nil unless the target turns out to speak TLS.
func (u *Upstream) Reconnect(ctx context.Context, t Target, err error) *Conn {
	if !u.cfg.Detect || t.Scheme != "http" || u.speaks.Load() != speaksUnknown || !mayBeAnother(err) {
		return nil
	}
	if speaks, err := u.probe(ctx, t); err != nil || speaks != speaksTLS {
		return nil
	}
	u.speaks.Store(speaksTLS)
	c, _ := u.Connect(ctx, t)
	return c
}

// CloseIdle closes the idle connections and forgets the detected protocol, because the
// target may have moved.
func (u *Upstream) CloseIdle() {
	u.family.Store(nil)
	u.speaks.Store(speaksUnknown)
	u.transport.closeIdle()
	if frames := u.frames.Load(); frames != nil {
		frames.CloseIdleConnections()
	}
}

// Close closes the idle connections, and the others once they are unused.
func (u *Upstream) Close() {
	u.transport.close()
	if frames := u.frames.Load(); frames != nil {
		frames.CloseIdleConnections()
	}
}

// dial connects to a target, with TLS if its scheme is https. For localhost it tries both
// address families, beginning with the one that accepted last, because a dev server may
// listen on either. The error is a *DialError.
func (u *Upstream) dial(ctx context.Context, t Target) (net.Conn, error) {
	c, err := u.connect(ctx, t)
	if err == nil && t.Scheme == "https" {
		c, err = u.handshake(ctx, c, t)
	}
	if err != nil {
		return nil, &DialError{err}
	}
	return c, nil
}

func (u *Upstream) connect(ctx context.Context, t Target) (net.Conn, error) {
	if u.cfg.DialContext != nil && t.Socket == "" {
		return u.cfg.DialContext(ctx, "tcp", t.Host)
	}
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	if t.Socket != "" {
		return d.DialContext(ctx, "unix", t.Socket)
	}
	if !t.Local() {
		return d.DialContext(ctx, "tcp", t.Host)
	}
	_, port, _ := net.SplitHostPort(t.Host)
	first, second := "127.0.0.1", "::1"
	if known := u.family.Load(); known != nil && *known == second {
		first, second = second, first
	}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(first, port))
	if err == nil {
		u.accepted(first)
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	c, other := d.DialContext(ctx, "tcp", net.JoinHostPort(second, port))
	if other == nil {
		u.accepted(second)
		return c, nil
	}
	return nil, errors.Join(err, other)
}

// handshake performs a TLS handshake on c. It closes c on an error.
func (u *Upstream) handshake(ctx context.Context, c net.Conn, t Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, u.cfg.HandshakeTimeout)
	defer cancel()
	name, _, _ := net.SplitHostPort(t.Host)
	cfg := u.cfg.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg.ServerName = name
	}
	cfg.NextProtos = []string{"http/1.1"}
	if u.cfg.Insecure || u.cfg.Detect && !t.URL {
		cfg.InsecureSkipVerify = true // accepted by the user for this target, or on this machine
	}
	secured := tls.Client(c, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, &HandshakeError{err}
	}
	return secured, nil
}

func (u *Upstream) accepted(family string) {
	if known := u.family.Load(); known == nil || *known != family {
		u.family.Store(&family)
	}
}

// DialError means that the upstream could not be reached and nothing was sent.
type DialError struct{ Err error }

func (e *DialError) Error() string { return "connect: " + e.Err.Error() }
func (e *DialError) Unwrap() error { return e.Err }

// HandshakeError means that the upstream accepted a connection but the TLS handshake
// failed.
type HandshakeError struct{ Err error }

func (e *HandshakeError) Error() string { return "TLS handshake: " + e.Err.Error() }
func (e *HandshakeError) Unwrap() error { return e.Err }

// Authority returns the Host value for a URL target: its own host, without a default
// port.
func (t Target) Authority() string {
	port := ":80"
	if t.Scheme == "https" {
		port = ":443"
	}
	return strings.TrimSuffix(t.Host, port)
}
