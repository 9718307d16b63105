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

// RefusedError means that a host resolves only to addresses that must not be dialed.
type RefusedError struct {
	Host string
	Why  string // the reason, as returned by Refused
}

// Error implements the error interface.
func (e *RefusedError) Error() string { return fmt.Sprintf("%s leads to %s", e.Host, e.Why) }

// DialFunc connects to an address, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer connects to hosts whose addresses are allowed. It must not be changed after its
// first use and is then safe for concurrent use. The zero value is valid.
type Dialer struct {
	Timeout        time.Duration // for resolving and connecting together; 10 s when 0
	AllowPrivate   bool          // allow every address
	AllowProxy     bool          // allow a private address for the proxy in the environment, which the user chose
	RefuseLoopback bool          // refuse this machine's addresses as well

	// Dial connects to a checked address; nil means net.Dialer. Resolve resolves a name;
	// nil means the system's resolver.
	Dial    DialFunc
	Resolve func(ctx context.Context, host string) ([]net.IPAddr, error)
}

// DialContext resolves the host of address and connects to the first allowed address that
// accepts, trying IPv4 first. If no address is allowed, the error is a *RefusedError.
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
			attempt, stop = context.WithTimeout(ctx, timeout/3) // leaves time for the other addresses
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

// refused returns the reason why an address of a host must not be dialed, or "".
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
		// localhost must not be looked up in the DNS (RFC 6761, section 6.3).
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

// isProxy reports whether host is the proxy in the environment.
func isProxy(host string) bool {
	for _, scheme := range []string{"https", "http"} {
		probe := &http.Request{URL: &url.URL{Scheme: scheme, Host: "provider.invalid"}}
		if proxy, err := http.ProxyFromEnvironment(probe); err == nil && proxy != nil && proxy.Hostname() == host {
			return true
		}
	}
	return false
}
