package front

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
)

// plane is the destination of a request.
type plane int

const (
	malformed plane = iota // no authority, or an invalid one
	foreign                // a host that is not ours
	gatewayPlane
	appsPlane
	pagePlane // Hostless's own page
)

// classify parses an authority (RFC 9110 section 4.2, without user info) and returns its
// plane. normal is the authority in lower case, without the trailing dot of the name, with
// the port. Nothing is decoded or resolved: everything that is not spelled as a loopback
// name is foreign.
func classify(authority string) (p plane, normal string) {
	if authority == "" || len(authority) > 300 {
		return malformed, ""
	}
	host, port := authority, ""
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return malformed, ""
		}
		host, port = authority[:end+1], authority[end+1:]
	} else if colon := strings.IndexByte(authority, ':'); colon >= 0 {
		host, port = authority[:colon], authority[colon:]
	}
	if !validPort(port) {
		return malformed, ""
	}
	if strings.HasPrefix(host, "[") {
		addr, err := netip.ParseAddr(host[1 : len(host)-1])
		switch {
		case err != nil || !addr.Is6():
			return malformed, ""
		case addr != netip.IPv6Loopback(): // a zone or an IPv4-mapped address is another address
			return foreign, ""
		}
		return gatewayPlane, "[::1]" + port
	}
	return classifyName(strings.ToLower(host), port)
}

// validPort accepts "" or a colon and a port from 1 to 65535.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	digits := strings.TrimPrefix(s, ":")
	if len(digits) == len(s) || len(digits) == 0 || len(digits) > 5 || digits[0] < '0' || digits[0] > '9' {
		return false
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return err == nil && n > 0
}

func classifyName(host, port string) (plane, string) {
	if host == "127.0.0.1" {
		return gatewayPlane, host + port
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return malformed, ""
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return malformed, ""
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return malformed, ""
			}
		}
	}
	switch {
	case host == "localhost":
		return gatewayPlane, host + port
	case host == appname.Own+appname.Suffix:
		return pagePlane, host + port
	case strings.HasSuffix(host, appname.Suffix):
		return appsPlane, host + port
	}
	return foreign, ""
}

// appBelow reports whether an authority is below one of the configured domains for apps.
func (s *Server) appBelow(authority string) bool {
	if s.cfg.Domains == nil {
		return false
	}
	domains := s.cfg.Domains()
	if len(domains) == 0 {
		return false
	}
	host, _, _ := strings.Cut(authority, ":")
	_, ok := domains.Canonical(strings.TrimSuffix(strings.ToLower(host), "."))
	return ok
}
