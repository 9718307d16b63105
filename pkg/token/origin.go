package token

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
)

// AnyOrigin is the origin of a token that is not bound to one.
const AnyOrigin = "*"

// originMatches reports whether a client that presents an Origin may use a token bound to
// an origin.
//
// A request without Origin is accepted. It comes from a program, not from a page:
// browsers send Origin with every request whose response a page can read. And the token
// of `hostless run` must work in the app's own server. Otherwise the Origin must equal
// the bound one, except that the scheme of a NAME.localhost origin may be http or https,
// because the daemon serves both on one port.
//
// ports are all ports that the daemon serves: an app has an origin on each of them, and
// for each of the domains.
func originMatches(bound, presented string, ports []int, domains appname.Domains) bool {
	if bound == AnyOrigin || presented == "" {
		return true
	}
	if presented == bound {
		return true
	}
	presented, err := config.NormalizeOrigin(presented)
	if err != nil {
		return false // for example "null"
	}
	if presented == bound {
		return true
	}
	b, err1 := url.Parse(bound)
	p, err2 := url.Parse(presented)
	if err1 != nil || err2 != nil {
		return false
	}
	app, ok := domains.Canonical(b.Hostname())
	if same, _ := domains.Canonical(p.Hostname()); !ok || same != app {
		return false
	}
	return b.Port() == p.Port() || slices.Contains(ports, portOf(b)) && slices.Contains(ports, portOf(p))
}

// portOf returns an origin's port, or the default port of its scheme.
func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}
