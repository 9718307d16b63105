package routes

import (
	"strings"

	"github.com/hostless/hostless/pkg/appname"
)

// HostOf returns the host name of a request's authority, in lower case and without the
// port and a trailing dot. ok is true if it is below .localhost.
func HostOf(authority string) (string, bool) {
	host := authority
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		host = host[:i]
	}
	host = strings.TrimSuffix(appname.Lower(host), ".")
	name, ok := strings.CutSuffix(host, appname.Suffix)
	return host, ok && name != ""
}
