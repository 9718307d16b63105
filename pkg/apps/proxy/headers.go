package proxy

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/apps/http1"
)

// headerHops counts how often a request has passed this proxy.
const headerHops = "X-Hostless-Hops"

// maxHops is the number of passes that counts as a loop.
const maxHops = 5

// forwarding reports whether a request field, in canonical form, contains forwarding
// information about earlier hops. Only trusted proxies may send one. A name with
// underscores counts as well, because apps that follow CGI's rules do not distinguish it.
func forwarding(name string) bool {
	if len(name) < len("Forwarded") || name[0] != 'X' && name[0] != 'F' {
		return false
	}
	if strings.IndexByte(name, '_') >= 0 {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	switch name {
	case "Forwarded", "X-Real-Ip", headerHops:
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// hops returns the count of the loop guard.
func hops(h http.Header) int {
	values := h[headerHops]
	if len(values) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(textproto.TrimString(values[0]), 10, 16)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return int(n) // ParseUint returns the maximum on overflow
}

// forwarded appends the forwarding fields for the app and returns the scheme and the
// authority of the client's request. Such information from the client is only kept if the
// client is a trusted proxy.
func forwarded(add []http1.Field, r *http.Request, trusted []netip.Prefix) (_ []http1.Field, proto, host string) {
	peer := r.RemoteAddr
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	port := "80"
	proto = "http"
	if r.TLS != nil {
		proto, port = "https", "443"
	}
	host = r.Host
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		port = host[colon+1:]
	}
	node := peer
	if strings.IndexByte(peer, ':') >= 0 {
		node = `"[` + peer + `]"`
	}
	element := "for=" + node + `;host="` + host + `";proto=` + proto
	chain := peer
	if trusts(trusted, peer) {
		h := r.Header
		first := func(name, ours string) string {
			if v := h.Get(name); v != "" {
				return v
			}
			return ours
		}
		if prior := strings.Join(h["X-Forwarded-For"], ", "); prior != "" {
			chain = prior + ", " + peer
		}
		if prior := strings.Join(h["Forwarded"], ", "); prior != "" {
			element = prior + ", " + element
		}
		host, proto, port = first("X-Forwarded-Host", host), first("X-Forwarded-Proto", proto), first("X-Forwarded-Port", port)
		for name, values := range h {
			switch name {
			case "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "Forwarded", headerHops:
			default:
				if forwarding(name) {
					for _, v := range values {
						add = append(add, http1.Field{Name: name, Value: v})
					}
				}
			}
		}
	}
	add = append(add,
		http1.Field{Name: "X-Forwarded-For", Value: chain}, http1.Field{Name: "X-Forwarded-Host", Value: host}, http1.Field{Name: "X-Forwarded-Proto", Value: proto},
		http1.Field{Name: "X-Forwarded-Port", Value: port}, http1.Field{Name: "Forwarded", Value: element})
	return add, proto, host
}

func trusts(trusted []netip.Prefix, peer string) bool {
	if len(trusted) == 0 {
		return false
	}
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, prefix := range trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
