package token

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

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
// ports are all ports that the daemon serves: an app has one origin for each.
func originMatches(bound, presented string, ports []int) bool {
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
	if err1 != nil || err2 != nil || b.Hostname() != p.Hostname() || !strings.HasSuffix(b.Hostname(), ".localhost") {
		return false
	}
	return b.Host == p.Host || slices.Contains(ports, portOf(b)) && slices.Contains(ports, portOf(p))
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
