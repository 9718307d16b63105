package http1

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
)

// Target is the address of an app.
type Target struct {
	Scheme string // http or https
	Host   string // host:port; "localhost:PORT" if only a port was given
	Path   string // base path that is prepended to the request's path, or ""
	Socket string // path of a Unix socket, used instead of Host, or ""
	URL    bool   // given as a URL, so requests get the URL's host
}

// ParseTarget parses a port, host:port, http(s)://host[:port][/base] or unix:PATH. An
// invalid target is a fault.Invalid.
func ParseTarget(text string) (Target, error) {
	bad := func(why string) (Target, error) {
		return Target{}, &fault.Error{
			Kind: fault.Invalid, Param: "target", Message: fmt.Sprintf("%q is not a valid target: %s", text, why),
			Next: "use a port, host:port, a URL, or unix:/path",
		}
	}
	if port, err := strconv.Atoi(text); err == nil {
		if port < 1 || port > 65535 {
			return bad("a port must be between 1 and 65535")
		}
		return PortTarget(port), nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if !filepath.IsAbs(path) || len(path) > 103 || strings.ContainsRune(path, 0) {
			return bad("the path of a Unix socket must be absolute and at most 103 bytes long")
		}
		return Target{Scheme: "http", Host: "localhost", Socket: filepath.Clean(path)}, nil
	}
	if !strings.Contains(text, "://") {
		host, port, err := net.SplitHostPort(text)
		n, portErr := strconv.Atoi(port)
		if err != nil || portErr != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, "/@ ?#") {
			return bad("it is neither a port nor host:port")
		}
		return Target{Scheme: "http", Host: text}, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return bad("it is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("a URL must begin with http:// or https://")
	case u.Hostname() == "":
		return bad("it has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return bad("the URL may only have a host and a path")
	}
	host := u.Host
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return bad("a port must be between 1 and 65535")
	}
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return Target{Scheme: u.Scheme, Host: host, Path: strings.TrimSuffix(u.EscapedPath(), "/"), URL: true}, nil
}

// PortTarget returns the target for a port on this machine.
func PortTarget(port int) Target {
	return Target{Scheme: "http", Host: net.JoinHostPort("localhost", strconv.Itoa(port))}
}

// String returns the target in a form that ParseTarget accepts.
func (t Target) String() string {
	switch {
	case t.Socket != "":
		return "unix:" + t.Socket
	case t.URL:
		return t.Scheme + "://" + t.Host + t.Path
	}
	return t.Host
}

// Port returns the target's TCP port, 0 for a Unix socket.
func (t Target) Port() int {
	_, port, _ := net.SplitHostPort(t.Host)
	n, _ := strconv.Atoi(port)
	return n
}

// Local reports whether the target's host is localhost, for which both address families
// are tried.
func (t Target) Local() bool {
	host, _, _ := net.SplitHostPort(t.Host)
	return strings.EqualFold(host, "localhost")
}

// Loopback reports whether the target is a TCP port on a loopback address of this
// machine.
func (t Target) Loopback() bool {
	host, _, _ := net.SplitHostPort(t.Host)
	addr, err := netip.ParseAddr(host)
	return t.Socket == "" && (t.Local() || err == nil && addr.IsLoopback())
}
