package apps

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
)

// headerHops counts how often a request has passed this plane.
const headerHops = "X-Hostless-Hops"

// maxHops is how many passages are a loop.
const maxHops = 5

// field is a header field that the plane adds.
type field struct{ name, value string }

// hopByHop reports whether a field, in canonical form, is for one connection
// only (RFC 9110 section 7.6.1, with Proxy-Connection of old clients). What the
// message's framing says is written anew by each side.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length":
		return true
	}
	return false
}

// forwarding reports whether a request field, in canonical form, says who asked
// whom before us. It is believed from trusted proxies alone. With an underscore
// for a hyphen it is the same field to an app that reads it by CGI's rules.
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

// listed gives the fields that Connection names besides the usual ones.
func listed(h http.Header) (names []string) {
	for _, value := range h["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			token = textproto.TrimString(token)
			switch {
			case token == "", strings.EqualFold(token, "keep-alive"), strings.EqualFold(token, "close"), strings.EqualFold(token, "upgrade"):
			default:
				names = append(names, http.CanonicalHeaderKey(token))
			}
		}
	}
	return names
}

// hasToken reports whether a list of a field's values has a token.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for t := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}

// hops reads the loop guard's count.
func hops(h http.Header) int {
	values := h[headerHops]
	if len(values) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(textproto.TrimString(values[0]), 10, 16)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return int(n) // the most that there is, where it is more than that
}

// forwarded appends the fields that tell the app who asked, and how. What a
// client says about that is kept only from a trusted proxy.
func forwarded(add []field, r *http.Request, trusted []netip.Prefix) []field {
	peer := r.RemoteAddr
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	proto, port := "http", "80"
	if r.TLS != nil {
		proto, port = "https", "443"
	}
	host := r.Host
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
						add = append(add, field{name, v})
					}
				}
			}
		}
	}
	return append(add,
		field{"X-Forwarded-For", chain}, field{"X-Forwarded-Host", host}, field{"X-Forwarded-Proto", proto},
		field{"X-Forwarded-Port", port}, field{"Forwarded", element})
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
