package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
)

// upstreams reaches providers: two pools of connections, one whose dialer keeps
// out of private networks, one for base URLs that were added with leave.
type upstreams struct {
	guarded, open *http.Transport
	endpoints     sync.Map // endpointKey → *upstreamEndpoint
}

// refusedError says that a name led to an address that may not be reached.
type refusedError struct{ host, why string }

func (e *refusedError) Error() string { return fmt.Sprintf("%s leads to %s", e.host, e.why) }

func newUpstreams(cfg *Config) *upstreams {
	dial := dialer(cfg)
	u := &upstreams{}
	for _, pool := range []struct {
		to           **http.Transport
		allowPrivate bool
	}{{&u.guarded, false}, {&u.open, true}} {
		*pool.to = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           guardedDial(cfg, dial, refusal(pool.allowPrivate)),
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

func dialer(cfg *Config) func(context.Context, string, string) (net.Conn, error) {
	if cfg.Dial != nil {
		return cfg.Dial
	}
	return (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
}

// refusal says why an address may not be reached, "" where it may.
func refusal(allowPrivate bool) func(host string, addr netip.Addr) string {
	return func(host string, addr netip.Addr) string {
		if allowPrivate || isProxy(host) {
			return ""
		}
		return provider.Refused(addr.WithZone(""))
	}
}

// guardedDial resolves a name itself and connects only to addresses that may be
// reached, so that a name cannot lead elsewhere between the check and the use.
// A proxy that the environment names is the user's own word: it may be private.
func guardedDial(cfg *Config, dial func(context.Context, string, string) (net.Conn, error), refuse func(string, netip.Addr) string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
		defer cancel()
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		addrs, err := resolve(ctx, cfg, host)
		if err != nil {
			return nil, err
		}
		var last error
		for i, addr := range addrs {
			if why := refuse(host, addr); why != "" {
				last = &refusedError{host, why}
				continue
			}
			one, stop := ctx, context.CancelFunc(func() {})
			if i < len(addrs)-1 {
				one, stop = context.WithTimeout(ctx, cfg.ConnectTimeout/3) // leave time for the others
			}
			conn, err := dial(one, network, net.JoinHostPort(addr.String(), port))
			stop()
			if err == nil {
				return conn, nil
			}
			if last = err; ctx.Err() != nil {
				break
			}
		}
		return nil, last
	}
}

func resolve(ctx context.Context, cfg *Config, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if name := strings.TrimSuffix(strings.ToLower(host), "."); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		// Never asked of a name server (RFC 6761, section 6.3).
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	found, err := cfg.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var v4, v6 []netip.Addr
	for _, ip := range found {
		addr, ok := netip.AddrFromSlice(ip.IP)
		if !ok {
			continue
		}
		if addr = addr.Unmap(); addr.Is4() {
			v4 = append(v4, addr)
		} else {
			v6 = append(v6, addr.WithZone(ip.Zone))
		}
	}
	if len(v4)+len(v6) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return append(v4, v6...), nil
}

// isProxy reports whether a host is the proxy that the environment names.
func isProxy(host string) bool {
	for _, scheme := range []string{"https", "http"} {
		probe := &http.Request{URL: &url.URL{Scheme: scheme, Host: "provider.invalid"}}
		if proxy, err := http.ProxyFromEnvironment(probe); err == nil && proxy != nil && proxy.Hostname() == host {
			return true
		}
	}
	return false
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
	var refused *refusedError
	var dns *net.DNSError
	var op *net.OpError
	var timeout net.Error
	f := &fault.Error{Kind: fault.Upstream, Message: fmt.Sprintf("provider %q broke the connection before it answered", name), Err: err}
	switch {
	case errors.As(err, &refused):
		f.Kind = fault.Unconfigured
		f.Message = fmt.Sprintf("the base URL of provider %q leads to %s, which is refused", name, refused.why)
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
