package apps

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// upstream is the connections to one route's app.
type upstream struct {
	transport *http.Transport
	family    atomic.Pointer[string] // the loopback address that answered last
}

// newUpstream makes the transport of one route. Compression, proxies and
// redirects are the app's and the client's business; the default of two idle
// connections to a host would cost most of the throughput.
func newUpstream(insecure bool) *upstream {
	u := &upstream{}
	u.transport = &http.Transport{
		DisableCompression:    true,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       60 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: 0, // long polls may think for hours
		ForceAttemptHTTP2:     false,
		WriteBufferSize:       32 << 10,
		ReadBufferSize:        32 << 10,
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: insecure}, // by the user's word, for this one target
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return u.dial(ctx, targetOf(ctx))
		},
	}
	return u
}

// targetKey carries a request's target to the dialler.
type targetKey struct{}

func withTarget(ctx context.Context, t Target) context.Context {
	return context.WithValue(ctx, targetKey{}, t)
}

func targetOf(ctx context.Context) Target {
	t, _ := ctx.Value(targetKey{}).(Target)
	return t
}

// dial connects to a target. `localhost` is tried on both families, the one that
// answered last first: a dev server listens on either.
func (u *upstream) dial(ctx context.Context, t Target) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
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
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(first, port))
	if err == nil {
		u.answered(first)
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	if conn, other := d.DialContext(ctx, "tcp", net.JoinHostPort(second, port)); other == nil {
		u.answered(second)
		return conn, nil
	}
	return nil, err
}

func (u *upstream) answered(family string) {
	if known := u.family.Load(); known == nil || *known != family {
		u.family.Store(&family)
	}
}

// forget drops what was known of the app's place.
func (u *upstream) forget() {
	u.family.Store(nil)
	u.transport.CloseIdleConnections()
}

func (u *upstream) close() { u.transport.CloseIdleConnections() }

// refused reports whether nothing listens at the other end.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
