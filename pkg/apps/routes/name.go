package routes

import (
	"strings"

	"github.com/hostless/hostless/pkg/appname"
)

// HostOf gives the host name of a request's authority: lower-case, without port
// and trailing dot, and whether it is below .localhost.
func HostOf(authority string) (string, bool) {
	host := authority
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host = host[:i]
	}
	host = strings.TrimSuffix(appname.Lower(host), ".")
	name, ok := strings.CutSuffix(host, appname.Suffix)
	return host, ok && name != ""
}
