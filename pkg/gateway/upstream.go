package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/netguard"
	"github.com/hostless/hostless/pkg/provider"
)

// upstreams reaches providers: two pools of connections, one whose dialer keeps
// out of private networks, one for base URLs that were added with leave.
type upstreams struct {
	guarded, open *http.Transport
	endpoints     sync.Map // endpointKey → *upstreamEndpoint
}

func newUpstreams(cfg *Config) *upstreams {
	u := &upstreams{}
	for _, pool := range []struct {
		to           **http.Transport
		allowPrivate bool
	}{{&u.guarded, false}, {&u.open, true}} {
		dial := dialer(cfg)
		dial.AllowPrivate = pool.allowPrivate
		*pool.to = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dial.DialContext,
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
	}
	return u
}

// dialer is the dialer of the configuration, without rules for addresses.
func dialer(cfg *Config) netguard.Dialer {
	return netguard.Dialer{Timeout: cfg.ConnectTimeout, AllowProxy: true, Dial: cfg.Dial, Resolve: cfg.Resolve}
}

// endpoint is where a provider speaks a dialect.
type upstreamEndpoint struct {
	base    url.URL
	auth    provider.Auth
	speaks  dialect.Name
	private bool
	builtin bool
}

type endpointKey struct {
	provider, own string
	said, speaks  dialect.Name
	private       bool
}

// endpoint resolves, and remembers, where a provider speaks a dialect; nil where
// it does not.
func (u *upstreams) endpoint(p *provider.Provider, cred Credential, speaks dialect.Name) (*upstreamEndpoint, error) {
	key := endpointKey{p.Name, cred.BaseURL, cred.Dialect, speaks, cred.AllowPrivate}
	if e, ok := u.endpoints.Load(key); ok {
		return e.(*upstreamEndpoint), nil
	}
	if p.Builtin {
		if _, ok := p.Dialects[speaks]; !ok {
			return nil, nil
		}
		e := &upstreamEndpoint{base: url.URL{Scheme: "http", Host: p.Name + ".invalid"}, auth: provider.NoAuth, speaks: speaks, builtin: true}
		u.endpoints.Store(key, e)
		return e, nil
	}
	base, auth, ok, err := p.Base(cred.BaseURL, speaks)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, nil
	}
	e := &upstreamEndpoint{base: *base, auth: auth, speaks: speaks, private: cred.AllowPrivate}
	u.endpoints.Store(key, e)
	return e, nil
}

// transport is the pool that an endpoint is reached through.
func (u *upstreams) transport(e *upstreamEndpoint) *http.Transport {
	if e.private {
		return u.open
	}
	return u.guarded
}

func (u *upstreams) close() {
	u.guarded.CloseIdleConnections()
	u.open.CloseIdleConnections()
}

// upstreamFault turns what kept a provider from answering into an error for the
// caller: fixed words, the cause for the log alone.
func upstreamFault(name string, err error) *fault.Error {
	var refused *netguard.RefusedError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	f := &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("provider %q broke the connection before it answered", name), Err: err}
	switch {
	case errors.As(err, &refused):
		f.Kind = fault.Unconfigured
		f.Message = fmt.Sprintf("the base URL of provider %q leads to %s, which is refused", name, refused.Why)
		f.Next = fmt.Sprintf("hostless keys add %s --base-url URL --allow-private", name)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		f.Kind = fault.UpstreamTimeout
		f.Message = fmt.Sprintf("provider %q did not answer in time", name)
	case errors.As(err, &dns):
		f.Message = fmt.Sprintf("the host of provider %q has no address", name)
	case errors.As(err, &op) && op.Op == "dial":
		f.Message = fmt.Sprintf("provider %q cannot be reached: connection refused or no route", name)
	case isCertificate(err):
		f.Message = fmt.Sprintf("the certificate of provider %q cannot be trusted", name)
	}
	return f
}
