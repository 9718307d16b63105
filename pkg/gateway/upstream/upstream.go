// Package upstream reaches the providers of the AI plane: where they are, what of a
// request goes up to them, and why no answer came.
//
// It owns the connections, the rules for request headers and queries, the key's place
// in a request, WebSockets to providers, and the provider that is built in. What a
// request says, and what becomes of the answer, is decided by its caller.
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

// Client reaches providers: two pools of connections, one whose dialer keeps
// out of private networks, one for base URLs that were added with leave.
type Client struct {
	guarded, open pool
	echo          *echo
	endpoints     sync.Map // endpointKey → *Endpoint
}

// Config is what New needs.
type Config struct {
	Dialer         netguard.Dialer // without AllowPrivate, which credentials decide
	TLS            *tls.Config     // roots for providers; nil is the system's
	ConnectTimeout time.Duration   // for the TLS handshake
	HeaderTimeout  time.Duration   // how long a provider may think before its answer begins
	Now            func() time.Time
}

// New makes a client.
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
			DisableCompression:    true, // bodies pass as they are
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: 30 * time.Second, // a dead connection does not hang a stream for ever
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

// pool keeps connections to providers: plain HTTP/1.1, as local servers speak it, is
// carried out in the request's own goroutine; TLS, HTTP/2 included, by net/http.
type pool struct {
	plain *http1.Transport
	std   *http.Transport
}

// Endpoint is where a provider speaks a dialect. It is immutable, and the same for
// the same credential: a key for what is learned about it.
type Endpoint struct {
	Dialect dialect.Name
	Builtin bool // answered inside this process

	base    url.URL
	auth    provider.Auth
	private bool
}

type endpointKey struct {
	provider, own string
	given, speaks dialect.Name
	private       bool
}

// Endpoint resolves, and remembers, where a provider speaks a dialect; nil where
// it does not.
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

// transport is what a request to an endpoint goes through. A large body leaves faster
// by net/http, which writes it from where it is while the response is read.
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

// smallBody is what http1.Transport sends without a goroutine of its own.
const smallBody = 64 << 10

func (c *Client) Close() {
	c.guarded.plain.CloseIdleConnections() // and those of its Fallback
	c.open.plain.CloseIdleConnections()
}

// Error turns what kept a provider from answering into an error for the
// caller: fixed words, the cause for the log alone.
func Error(name string, err error) *fault.Error {
	var refused *netguard.RefusedError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	f := &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("provider %q closed the connection before it answered", name), Err: err}
	switch {
	case errors.As(err, &refused):
		f.Kind = fault.Unconfigured
		f.Message = fmt.Sprintf("the base URL of provider %q leads to %s, which is refused", name, refused.Why)
		f.Next = fmt.Sprintf("hostless keys add %s --base-url URL --allow-private", name)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		f.Kind = fault.UpstreamTimeout
		f.Message = fmt.Sprintf("provider %q did not answer in time", name)
	case errors.As(err, &dns):
		f.Message = fmt.Sprintf("%s, the host of provider %q, has no address: is this machine offline, or the base URL mistyped?", dns.Name, name)
	case errors.As(err, &op) && op.Op == "dial":
		at := ""
		if op.Addr != nil {
			at = " at " + op.Addr.String()
		}
		f.Message = fmt.Sprintf("provider %q cannot be reached%s: connection refused or no route", name, at)
	case isCertificate(err):
		f.Message = fmt.Sprintf("the certificate of provider %q cannot be trusted", name)
	}
	return f
}
