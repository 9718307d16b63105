package appname

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Domains are the names below which apps are served, the first one for people: shop is
// shop.test with "test", and shop.dev.example.com with "dev.example.com". Below
// localhost apps are served whether it is among them or not.
type Domains []string

// CheckDomains validates names that apps shall be served below: lower-case DNS names
// without a dot at either end. A bad one is fault.Invalid.
func CheckDomains(list []string) (Domains, error) {
	out := Domains{}
	for _, name := range list {
		bad := func(why string) error {
			return &fault.Error{Kind: fault.Invalid, Param: "tld", Message: fmt.Sprintf("%q cannot be the end of apps' names: %s", name, why)}
		}
		name = strings.Trim(Lower(strings.TrimSpace(name)), ".")
		switch why := broken(name); {
		case name == "localhost":
		case why != "":
			return nil, bad(why)
		case slices.Contains([]string{"com", "net", "org", "edu", "gov", "mil", "int", "arpa"}, name):
			return nil, bad("names below it are other people's: use one of your own, or test")
		case name == "local" || strings.HasSuffix(name, ".local"):
			return nil, bad(".local belongs to multicast DNS (RFC 6762)")
		case strings.HasSuffix(name, Suffix):
			return nil, bad("apps are served below localhost in any case")
		case strings.Trim(name, "0123456789.") == "":
			return nil, bad("it is an address")
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// Canonical gives the host name below localhost that a lower-case host name stands for:
// shop.localhost for shop.test. ok is false for a name that is no app's.
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

// Shown gives the host name for people of a host name below localhost.
func (d Domains) Shown(hostname string) string {
	if len(d) == 0 {
		return hostname
	}
	return strings.TrimSuffix(hostname, Suffix) + "." + d[0]
}

// All gives every host name of a host name below localhost, itself first.
func (d Domains) All(hostname string) []string {
	all := []string{hostname}
	for _, domain := range d {
		if host := strings.TrimSuffix(hostname, Suffix) + "." + domain; host != hostname {
			all = append(all, host)
		}
	}
	return all
}

// Custom are the domains beside localhost, sorted.
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
