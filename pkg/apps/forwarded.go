package apps

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forwarding sets X-Forwarded-* and Forwarded (RFC 7239) to what is true. What a
// client says of itself is believed of trusted proxies alone: then their
// addresses are added to, and their word for host and protocol stays.
func (p *Plane) forwarding(in, out *http.Request) {
	peer, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		peer = in.RemoteAddr
	}
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	_, port, err := net.SplitHostPort(in.Host)
	if err != nil {
		port = map[string]string{"http": "80", "https": "443"}[proto]
	}
	h := out.Header
	set := func(name, value string) { h[name] = []string{value} }
	if !p.trusted(peer) {
		set("X-Forwarded-For", peer)
		set("X-Forwarded-Host", in.Host)
		set("X-Forwarded-Proto", proto)
		set("X-Forwarded-Port", port)
		set("Forwarded", forwardedElement(peer, in.Host, proto))
		return
	}
	appendTo := func(name, value, sep string) {
		if before := strings.Join(in.Header.Values(name), sep); before != "" {
			value = before + sep + value
		}
		set(name, value)
	}
	keep := func(name, value string) {
		if before := in.Header.Get(name); before != "" {
			value = before
		}
		set(name, value)
	}
	appendTo("X-Forwarded-For", peer, ", ")
	appendTo("Forwarded", forwardedElement(peer, in.Host, proto), ", ")
	keep("X-Forwarded-Host", in.Host)
	keep("X-Forwarded-Proto", proto)
	keep("X-Forwarded-Port", port)
}

func (p *Plane) trusted(peer string) bool {
	list := p.cfg.TrustedProxies()
	if len(list) == 0 {
		return false
	}
	address, err := netip.ParseAddr(peer)
	if err != nil {
		return false
	}
	for _, prefix := range list {
		if prefix.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}

// forwardedElement is one element of Forwarded; an IPv6 address and a host with
// a port are quoted (RFC 7239 §4, §6).
func forwardedElement(peer, host, proto string) string {
	if strings.Contains(peer, ":") {
		peer = `"[` + peer + `]"`
	}
	return "for=" + peer + `;host="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(host) + `";proto=` + proto
}
