package netguard

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// RefusedError reports that a host resolves to addresses that may not be dialled.
type RefusedError struct {
	Host string
	Why  string // "a private address" and the like
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%s leads to %s", e.Host, e.Why) }

// DialFunc connects to an address, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer connects to the addresses of a host that may be reached. It is immutable
// once used, and safe for concurrent use. The zero value of each field is a
// sensible default.
type Dialer struct {
	Timeout        time.Duration // for resolving and connecting together; 0 is 10 s
	AllowPrivate   bool          // every address may be dialled
	AllowProxy     bool          // the proxy that the environment names may be private: the user chose it
	RefuseLoopback bool          // this machine is refused as well

	// Dial connects to an address that has been resolved and checked; nil is a
	// net.Dialer's. Resolve looks a name up; nil is the system's resolver.
	Dial    DialFunc
	Resolve func(ctx context.Context, host string) ([]net.IPAddr, error)
}

// DialContext resolves the host of address and connects to the first of its
// addresses that may be dialled and answers, IPv4 first. The error is a
// *RefusedError where none may be.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	dial := d.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var last error
	for i, addr := range addrs {
		if why := d.refused(host, addr); why != "" {
			last = &RefusedError{Host: host, Why: why}
			continue
		}
		attempt, stop := ctx, context.CancelFunc(func() {})
		if i < len(addrs)-1 {
			attempt, stop = context.WithTimeout(ctx, timeout/3) // leave time for the others
		}
		conn, err := dial(attempt, network, net.JoinHostPort(addr.String(), port))
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

// refused gives the reason why an address of a host may not be dialled, or "".
func (d *Dialer) refused(host string, addr netip.Addr) string {
	switch {
	case d.RefuseLoopback && addr.Unmap().IsLoopback():
		return "this machine"
	case d.AllowPrivate, d.AllowProxy && isProxy(host):
		return ""
	}
	return Refused(addr.WithZone(""))
}

func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if name := strings.TrimSuffix(strings.ToLower(host), "."); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		// Never asked of a name server (RFC 6761, section 6.3).
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	lookup := d.Resolve
	if lookup == nil {
		lookup = net.DefaultResolver.LookupIPAddr
	}
	found, err := lookup(ctx, host)
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
