package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// NormalizeOrigin returns the canonical form in which an origin is stored and compared:
// scheme://host[:port], in lower case, without the scheme's default port (RFC 6454
// section 6.2). Any scheme is valid, because browser extensions have their own. The error
// is fault.Invalid for `*`, `null`, and anything with a path, a query, user info or no
// host.
func NormalizeOrigin(origin string) (string, error) {
	bad := func(why string) (string, error) {
		shown := origin
		if len(shown) > 128 {
			shown = shown[:128] + "…"
		}
		return "", &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("origin %q %s; an origin is scheme://host[:port]", shown, why), Param: "origin"}
	}
	if origin == "*" {
		return bad("is not a single origin")
	}
	scheme, rest, ok := strings.Cut(origin, "://")
	if !ok || !isScheme(scheme) {
		return bad("has no scheme")
	}
	scheme = strings.ToLower(scheme)
	rest = strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(rest, "/?#@\\%*, \t\r\n") {
		return bad("has more than a host and a port")
	}
	host, port, err := splitOriginHost(rest)
	if err != nil {
		return bad(err.Error())
	}
	if (scheme == "http" && port == "80") || (scheme == "https" && port == "443") {
		port = ""
	}
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host, nil
}

func isScheme(s string) bool {
	for i, r := range strings.ToLower(s) {
		letter := r >= 'a' && r <= 'z'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '+' || r == '-' || r == '.')) {
			return false
		}
	}
	return s != ""
}

// splitOriginHost normalizes the host and the port. An IPv6 host keeps its brackets.
func splitOriginHost(s string) (host, port string, err error) {
	host = s
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", fmt.Errorf("has an unclosed bracket")
		}
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", fmt.Errorf("has an invalid IPv6 address")
		}
		host, s = "["+addr.String()+"]", s[end+1:]
		if s == "" {
			return host, "", nil
		}
		if !strings.HasPrefix(s, ":") {
			return "", "", fmt.Errorf("has text after its address")
		}
		port = s[1:]
	} else if strings.Contains(s, ":") {
		host, port, err = net.SplitHostPort(s)
		if err != nil {
			return "", "", fmt.Errorf("has an invalid host")
		}
	} else {
		host, port = s, "-"
	}
	if !strings.HasPrefix(host, "[") {
		host = strings.ToLower(host)
		if host == "" || len(host) > 253 {
			return "", "", fmt.Errorf("has no host")
		}
		for _, r := range host {
			if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_') {
				return "", "", fmt.Errorf("has an invalid host")
			}
		}
	}
	if port == "-" {
		return host, "", nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '+' {
		return "", "", fmt.Errorf("has an invalid port")
	}
	return host, strconv.FormatUint(n, 10), nil
}
