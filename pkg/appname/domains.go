package appname

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Domains are the domains under which apps are served, the preferred one first: the app
// shop is shop.test under "test", and shop.dev.example.com under "dev.example.com". Apps
// are always served under localhost too, listed or not.
type Domains []string

// CheckDomains validates and normalizes a list of domains for apps: DNS names, in lower
// case and without a dot at either end in the result, without duplicates. A domain that
// cannot be used is a fault.Invalid.
func CheckDomains(list []string) (Domains, error) {
	out := Domains{}
	for _, name := range list {
		bad := func(why string) error {
			return &fault.Error{Kind: fault.Invalid, Param: "tld", Message: fmt.Sprintf("%q cannot be a domain for apps: %s", name, why)}
		}
		name = strings.Trim(Lower(strings.TrimSpace(name)), ".")
		switch why := broken(name); {
		case name == "localhost":
		case why != "":
			return nil, bad(why)
		case slices.Contains([]string{"com", "net", "org", "edu", "gov", "mil", "int", "arpa"}, name):
			return nil, bad("names below it belong to others: use a domain that you own, or test")
		case name == "local" || strings.HasSuffix(name, ".local"):
			return nil, bad(".local belongs to multicast DNS (RFC 6762)")
		case strings.HasSuffix(name, Suffix):
			return nil, bad("apps are always served below localhost")
		case strings.Trim(name, "0123456789.") == "":
			return nil, bad("it is an address")
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// Canonical maps a lower-case host name to the equivalent name below localhost: shop.test
// to shop.localhost. ok is false for a host name that no app can have.
func (d Domains) Canonical(host string) (canonical string, ok bool) {
	if name, below := strings.CutSuffix(host, Suffix); below {
		return host, name != ""
	}
	longest := ""
	for _, domain := range d {
		if len(domain) > len(longest) && len(host) > len(domain)+1 && strings.HasSuffix(host, "."+domain) {
			longest = domain
		}
	}
	if longest == "" {
		return host, false
	}
	return strings.TrimSuffix(host, "."+longest) + Suffix, true
}

// Shown maps a host name below localhost to the one shown to people: the same app under
// the preferred domain.
func (d Domains) Shown(hostname string) string {
	if len(d) == 0 {
		return hostname
	}
	return strings.TrimSuffix(hostname, Suffix) + "." + d[0]
}

// All lists every host name that is equivalent to a host name below localhost, that one
// first.
func (d Domains) All(hostname string) []string {
	all := []string{hostname}
	for _, domain := range d {
		if host := strings.TrimSuffix(hostname, Suffix) + "." + domain; host != hostname {
			all = append(all, host)
		}
	}
	return all
}

// Custom lists the domains other than localhost, sorted.
func (d Domains) Custom() []string {
	custom := []string{}
	for _, domain := range d {
		if domain != "localhost" {
			custom = append(custom, domain)
		}
	}
	slices.Sort(custom)
	return custom
}
