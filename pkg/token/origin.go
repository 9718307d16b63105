package token

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
)

// AnyOrigin is the origin of a token that is bound to none.
const AnyOrigin = "*"

// originMatches reports whether a caller that presents an origin may use a token
// that is bound to one.
//
// A caller without Origin is let in: it is a program, not a page, since a browser
// puts Origin on every request that a page could read the answer of; and the
// token of `hostless run` must work from the app's own server. A page's Origin
// must be the bound one exactly, save that the scheme of a NAME.localhost origin
// may be http or https: the daemon serves both on one port.
//
// ports are all ports that the daemon serves: an app has one origin for each, and one
// for each of the domains that apps are served below.
func originMatches(bound, presented string, ports []int, domains appname.Domains) bool {
	if bound == AnyOrigin || presented == "" {
		return true
	}
	if presented == bound {
		return true
	}
	presented, err := config.NormalizeOrigin(presented)
	if err != nil {
		return false // "null" among others
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

// portOf is an origin's port, its scheme's own where it names none.
func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}
