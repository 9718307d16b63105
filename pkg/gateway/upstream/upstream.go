// Package upstream connects to the providers of the AI plane: their endpoints, the
// forwarded part of a request, and the errors of requests without a response.
//
// It has the connection pools, the rules for request headers and queries, the
// authentication with the provider key, WebSockets to providers, and the built-in provider.
// Its callers decide what to send and what to do with the response.
package upstream

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/netguard"
	"github.com/hostless/hostless/pkg/provider"
)

// Client sends requests to providers. It has two connection pools: one whose dialer refuses
// private networks, and one for base URLs that may lead there. It is safe for concurrent
// use.
type Client struct {
	guarded, open pool
	echo          *echo
	endpoints     sync.Map // endpointKey → *Endpoint
}

// Config is the configuration for New.
type Config struct {
	Dialer         netguard.Dialer // AllowPrivate is ignored; each credential decides
	TLS            *tls.Config     // root certificates for providers; nil uses the system's
	ConnectTimeout time.Duration   // for the TLS handshake
	HeaderTimeout  time.Duration   // how long to wait for the response header
	Now            func() time.Time
}

// New returns a Client.
func New(cfg Config) *Client {
	c := &Client{echo: &echo{now: cfg.Now, wait: sleep, id: rand.Text}}
	for _, pool := range []struct {
		to           *pool
		allowPrivate bool
	}{{&c.guarded, false}, {&c.open, true}} {
		dial := cfg.Dialer
		dial.AllowPrivate = pool.allowPrivate
		pool.to.std = &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return body.Conn(c), nil
			},
			TLSClientConfig:       cfg.TLS.Clone(),
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          1024,
			MaxIdleConnsPerHost:   256,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   cfg.ConnectTimeout,
			ResponseHeaderTimeout: cfg.HeaderTimeout,
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true, // bodies are forwarded unchanged
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: 30 * time.Second, // detects a dead connection, so that streams do not hang
				PingTimeout:     15 * time.Second,
			},
		}
		pool.to.plain = &http1.Transport{
			Config: http1.Config{
				DialContext: dial.DialContext, HeaderTimeout: cfg.HeaderTimeout, IdleTimeout: 90 * time.Second, MaxIdle: 256,
			},
			Proxy: http.ProxyFromEnvironment, Fallback: pool.to.std,
		}
	}
	return c
}

// pool keeps connections to providers. Requests over plain HTTP/1.1, as for local servers,
// are done in the goroutine of the request; TLS and HTTP/2 by net/http.
type pool struct {
	plain *http1.Transport
	std   *http.Transport
}

// Endpoint is the address of a provider's API in one dialect. It is immutable. The same
// credential always has the same *Endpoint, so it can be used as a key for what is learnt
// about it.
type Endpoint struct {
	Dialect dialect.Name
	Builtin bool // served inside this process

	base    url.URL
	auth    provider.Auth
	private bool
}

type endpointKey struct {
	provider, own string
	given, speaks dialect.Name
	private       bool
}

// Endpoint returns the endpoint of a provider for a dialect, or nil if it has none. The
// result is cached.
func (c *Client) Endpoint(p *provider.Provider, cred pipeline.Credential, speaks dialect.Name) (*Endpoint, error) {
	key := endpointKey{p.Name, cred.BaseURL, cred.Dialect, speaks, cred.AllowPrivate}
	if e, ok := c.endpoints.Load(key); ok {
		return e.(*Endpoint), nil
	}
	if p.Builtin {
		if _, ok := p.Dialects[speaks]; !ok {
			return nil, nil
		}
		e := &Endpoint{base: url.URL{Scheme: "http", Host: p.Name + ".invalid"}, auth: provider.NoAuth, Dialect: speaks, Builtin: true}
		c.endpoints.Store(key, e)
		return e, nil
	}
	base, auth, ok, err := p.Base(cred.BaseURL, speaks)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, nil
	}
	e := &Endpoint{base: *base, auth: auth, Dialect: speaks, private: cred.AllowPrivate}
	c.endpoints.Store(key, e)
	return e, nil
}

// transport returns the transport for a request. net/http is faster for a large body,
// because it writes it without copying, while it reads the response.
func (c *Client) transport(r *Request) http.RoundTripper {
	p := &c.guarded
	if r.Endpoint.private {
		p = &c.open
	}
	if r.Endpoint.base.Scheme == "http" && r.Stream == nil && len(r.Body) <= smallBody {
		return p.plain
	}
	return p.std
}

// smallBody is the size up to which http1.Transport sends a body without another goroutine.
const smallBody = 64 << 10

// Close closes the idle connections.
func (c *Client) Close() {
	c.guarded.plain.CloseIdleConnections() // and those of its Fallback
	c.open.plain.CloseIdleConnections()
}

// Error converts the error of a request without a response to a fault with a fixed message.
// The cause is for the log only.
func Error(name string, err error) *fault.Error {
	var refused *netguard.RefusedError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	f := &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("provider %q closed the connection before it responded", name), Err: err}
	switch {
	case errors.As(err, &refused):
		f.Kind = fault.Unconfigured
		f.Message = fmt.Sprintf("the base URL of provider %q leads to %s, which is not allowed", name, refused.Why)
		f.Next = fmt.Sprintf("hostless keys add %s --base-url URL --allow-private", name)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		f.Kind = fault.UpstreamTimeout
		f.Message = fmt.Sprintf("provider %q did not respond in time", name)
	case errors.As(err, &dns):
		f.Message = fmt.Sprintf("cannot resolve %s, the host of provider %q: check the network connection and the base URL", dns.Name, name)
	case errors.As(err, &op) && op.Op == "dial":
		at := ""
		if op.Addr != nil {
			at = " at " + op.Addr.String()
		}
		f.Message = fmt.Sprintf("provider %q cannot be reached%s: connection refused or no route", name, at)
	case isCertificate(err):
		f.Message = fmt.Sprintf("the TLS certificate of provider %q is not trusted", name)
	}
	return f
}
