package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/apps/http1"
)

// ownAddress rewrites what an app says of its own address to the address that the
// client knows it by: frameworks make redirects from the address that they listen
// on, and such a redirect would leave the name, with its cookies and its token.
type ownAddress struct {
	target http1.Target
	scheme string // of the client's request
	host   string // as the client has it
}

// rewrite changes the response fields Location, Content-Location, Refresh and
// Set-Cookie where they carry exactly the app's own address, and drops
// Strict-Transport-Security, which would bind a name of this machine to https,
// on every port and for other apps below it, long after the app has ended.
func (o ownAddress) rewrite(header http.Header) {
	delete(header, "Strict-Transport-Security")
	for _, name := range [...]string{"Location", "Content-Location"} {
		for i, value := range header[name] {
			header[name][i] = o.url(value)
		}
	}
	for i, value := range header["Refresh"] {
		header["Refresh"][i] = o.refresh(value)
	}
	for i, value := range header["Set-Cookie"] {
		header["Set-Cookie"][i] = o.cookie(value)
	}
}

// url rewrites an absolute URL, or one without a scheme. Its path, query and
// fragment keep their bytes.
func (o ownAddress) url(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		if rest, ok = strings.CutPrefix(text, "//"); !ok {
			return text
		}
		scheme = o.scheme
	} else if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return text
	}
	end := strings.IndexAny(rest, "/?#\\")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	parsed, err := url.Parse("//" + authority)
	if err != nil || parsed.User != nil || parsed.Host != authority || strings.HasPrefix(path, "\\") {
		return text
	}
	if strings.EqualFold(authority, o.host) { // its name, and perhaps the scheme that it sees
		if o.scheme == "https" && strings.EqualFold(scheme, "http") {
			return "https://" + authority + path
		}
		return text
	}
	port := parsed.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[strings.EqualFold(scheme, "https")]
	}
	if !o.is(parsed.Hostname(), port) {
		return text
	}
	if base := o.target.Path; base != "" {
		below, ok := strings.CutPrefix(path, base)
		if !ok || below != "" && !strings.ContainsRune("/?#", rune(below[0])) {
			return text // beside the base, which has no address here
		}
		path = below
	}
	return o.scheme + "://" + o.host + path
}

// is reports whether a host and port are the app's: as the target has them, or by
// any name of this machine's loopback address where the target is there.
func (o ownAddress) is(host, port string) bool {
	own, ownPort, err := net.SplitHostPort(o.target.Host)
	if err != nil || o.target.Socket != "" || port != ownPort {
		return false
	}
	return strings.EqualFold(host, own) || o.target.Loopback() && loopback(host)
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}

// refresh rewrites the URL in `5; url=http://127.0.0.1:4123/`.
func (o ownAddress) refresh(value string) string {
	seconds, rest, ok := strings.Cut(value, ";")
	if !ok {
		return value
	}
	trimmed := strings.TrimLeft(rest, " \t")
	if len(trimmed) < 4 || !strings.EqualFold(trimmed[:3], "url") {
		return value
	}
	target, ok := strings.CutPrefix(strings.TrimLeft(trimmed[3:], " \t"), "=")
	if !ok {
		return value
	}
	target = strings.TrimLeft(target, " \t")
	quote := ""
	if len(target) > 1 && (target[0] == '\'' || target[0] == '"') && target[len(target)-1] == target[0] {
		quote, target = target[:1], target[1:len(target)-1]
	}
	moved := o.url(target)
	if moved == target {
		return value
	}
	return seconds + "; url=" + quote + moved + quote
}

// cookie drops the attribute Domain where it is the app's own address, which no
// browser takes from a page of another host: without it the cookie is the name's.
func (o ownAddress) cookie(value string) string {
	parts := strings.Split(value, ";")
	for i, part := range parts[1:] {
		name, domain, _ := strings.Cut(part, "=")
		if !strings.EqualFold(textproto.TrimString(name), "Domain") {
			continue
		}
		domain = strings.TrimPrefix(textproto.TrimString(domain), ".")
		host := domain
		if h, _, err := net.SplitHostPort(domain); err == nil {
			host = h
		}
		own, _, _ := net.SplitHostPort(o.target.Host)
		if host = strings.Trim(host, "[]"); host != "" && (strings.EqualFold(host, own) || o.target.Loopback() && loopback(host)) {
			kept := append(append([]string{}, parts[:i+1]...), parts[i+2:]...)
			return strings.Join(kept, ";")
		}
	}
	return value
}
