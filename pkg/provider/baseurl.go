package provider

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

// ParseBaseURL reads a base URL as a person types it: http or https, a host, no
// user, query or fragment; a trailing slash, or a whole endpoint's tail such as
// /chat/completions, is dropped. The error is fault.Invalid.
func ParseBaseURL(text string) (*url.URL, error) {
	bad := func(why string) error {
		return &fault.Error{Kind: fault.Invalid, Message: "base URL " + why, Param: "base_url"}
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, bad("is malformed")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, bad("has no host")
	case u.User != nil:
		return nil, bad("must not hold a user or password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, bad("must not have a query or fragment")
	case u.RawPath != "":
		return nil, bad("must not have an escaped path")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	for _, tail := range []string{"/chat/completions", "/completions", "/responses", "/messages", "/models"} {
		if strings.HasSuffix(u.Path, tail) {
			u.Path = strings.TrimSuffix(u.Path, tail)
			break
		}
	}
	return u, nil
}

// isVersion reports whether a path segment is a version: v1, v4, v1beta, v1beta2.
func isVersion(segment string) bool {
	rest, ok := strings.CutPrefix(segment, "v")
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if !ok || digits == 0 {
		return false
	}
	word := strings.TrimRight(rest[digits:], "0123456789")
	return word == "" || word == "beta" || word == "alpha"
}

func versionOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	if isVersion(last) {
		return last
	}
	return ""
}

// Base resolves where a provider speaks a dialect. own is the user's base URL,
// "" for the catalogue's; it may end with or without its version path, both
// reach the same place. ok is false where the provider does not speak that
// dialect there. An error is fault.Invalid (the base URL) or fault.Unconfigured
// (there is none).
func (p *Provider) Base(own string, speaks dialect.Name) (base *url.URL, auth Auth, ok bool, err error) {
	endpoint, ok := p.Dialects[speaks]
	if !ok {
		return nil, "", false, nil
	}
	auth = endpoint.Auth
	if auth == "" {
		auth = p.Auth
	}
	base, isDefault, err := p.root(own)
	if err != nil {
		return nil, "", false, err
	}
	switch {
	case endpoint.Path == "":
	case strings.HasPrefix(endpoint.Path, "/"):
		base.Path += endpoint.Path
	case isDefault:
		if base, err = ParseBaseURL(endpoint.Path); err != nil {
			return nil, "", false, err
		}
	default:
		return nil, "", false, nil
	}
	return base, auth, true, nil
}

// root is the base URL with its version path.
func (p *Provider) root(own string) (base *url.URL, isDefault bool, err error) {
	if own == "" {
		own = p.BaseURL
	}
	if own == "" {
		form := p.BaseURLForm
		if form == "" {
			form = "URL"
		}
		return nil, false, &fault.Error{
			Kind:    fault.Unconfigured,
			Message: fmt.Sprintf("provider %q has no base URL", p.Name),
			Next:    fmt.Sprintf("hostless keys add %s --base-url %s", p.Name, form),
		}
	}
	base, err = ParseBaseURL(own)
	if err != nil {
		return nil, false, err
	}
	if p.BaseURL != "" {
		theirs, err := ParseBaseURL(p.BaseURL)
		if err != nil {
			return nil, false, err
		}
		if strings.EqualFold(base.Host, theirs.Host) && base.Scheme == theirs.Scheme {
			short := strings.TrimSuffix(theirs.Path, "/"+p.Version)
			if base.Path == "" || base.Path == theirs.Path || base.Path == short {
				return theirs, true, nil
			}
		}
	}
	// The compatibility layer of a provider that has one is no place of its own.
	for _, e := range p.Dialects {
		if len(e.Path) > 1 && e.Path[0] == '/' && strings.HasSuffix(base.Path, "/"+p.Version+e.Path) {
			base.Path = strings.TrimSuffix(base.Path, e.Path)
		}
	}
	for segment := range strings.SplitSeq(base.Path, "/") {
		if isVersion(segment) {
			return base, false, nil
		}
	}
	if p.Version != "" {
		base.Path += "/" + p.Version
	}
	return base, false, nil
}

// Refused says why an address may not be reached for a user's own base URL that
// was added without leave for private ones, or "" where it may. Loopback is
// always allowed; link-local (the metadata services of clouds), private, shared
// (RFC 6598), unspecified, multicast and otherwise unroutable addresses are not.
func Refused(addr netip.Addr) string {
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		// What a network without IPv4 reaches the public one by (RFC 6052): the
		// address within is judged, which is never this machine's own.
		b := addr.As16()
		if addr = netip.AddrFrom4([4]byte(b[12:])); addr.IsLoopback() {
			return "a reserved address"
		}
	}
	switch {
	case !addr.IsValid():
		return "no address"
	case addr.IsLoopback():
		return ""
	case addr.IsLinkLocalUnicast(), addr.IsLinkLocalMulticast(), addr.IsInterfaceLocalMulticast():
		return "a link-local address"
	case addr.IsPrivate():
		return "a private address"
	case addr.IsUnspecified():
		return "the unspecified address"
	case addr.IsMulticast():
		return "a multicast address"
	}
	for _, reserved := range reservedRanges {
		if reserved.Contains(addr) {
			return "a reserved address"
		}
	}
	return ""
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// reservedRanges are what net/netip does not name: shared address space, "this
// network", protocol assignments, benchmarking, reserved, and the IPv6 forms
// that carry an IPv4 address (local NAT64 and 6to4) past the checks above.
var reservedRanges = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// CheckBaseURL holds a user's base URL against the rules that can be checked
// before anything is dialled: its form, and an address written in it. The error
// is fault.Invalid.
func CheckBaseURL(text string, allowPrivate bool) error {
	u, err := ParseBaseURL(text)
	if err != nil {
		return err
	}
	if allowPrivate {
		return nil
	}
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if ip := net.ParseIP(host); ip == nil {
			return nil // a name: judged by what it resolves to, when it is dialled
		}
	}
	if why := Refused(addr.WithZone("")); why != "" {
		return &fault.Error{Kind: fault.Invalid, Message: "base URL points at " + why, Next: "--allow-private lets it", Param: "base_url"}
	}
	return nil
}
