package provider

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/netguard"
)

// ParseBaseURL reads a base URL as a person types it: http or https, with a host,
// and without user, query or fragment. It drops a trailing slash and the tail of an
// endpoint, such as /chat/completions. The error is fault.Invalid.
func ParseBaseURL(text string) (*url.URL, error) {
	bad := func(why string) error {
		return &fault.Error{Kind: fault.Invalid, Message: "base URL " + why, Param: "base_url"}
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme != "" && u.Host == "" && u.Opaque != "" { // 127.0.0.1:9100, localhost:9100
		if withScheme, err := url.Parse("http://" + strings.TrimSpace(text)); err == nil && withScheme.Port() != "" && !strings.Contains(text, "://") {
			return nil, bad("must begin with http:// or https://: http://" + strings.TrimSpace(text))
		}
	}
	if err != nil {
		return nil, bad("is malformed")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, bad("has no host")
	case u.User != nil:
		return nil, bad("must not contain a user or password")
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

// Base resolves the base URL at which a provider speaks a dialect, and how to
// authenticate there. own is the user's base URL, or "" for the catalogue's. It may
// end with or without the version path: both lead to the same place. ok is false if
// the provider does not speak that dialect there. The error is fault.Invalid (for
// the base URL) or fault.Unconfigured (there is none).
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
	case endpoint.Path == "/..":
		base.Path = strings.TrimSuffix(base.Path, "/"+p.Version)
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

// root returns the base URL with its version path.
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
	// A base URL that points at the provider's own compatibility layer means the
	// provider itself.
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

// CheckBaseURL checks the rules for a user's base URL that can be checked without
// dialing: its form, and an IP address in it. The error is fault.Invalid.
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
			return nil // a host name: its addresses are checked when it is dialed
		}
	}
	if why := netguard.Refused(addr.WithZone("")); why != "" {
		return &fault.Error{Kind: fault.Invalid, Message: "base URL points at " + why, Next: "add --allow-private to permit it", Param: "base_url"}
	}
	return nil
}
