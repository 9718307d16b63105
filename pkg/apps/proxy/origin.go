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

// ownAddress rewrites the app's own address in responses to the address that the client
// uses. Frameworks build redirects from the address that they listen on; without the
// rewrite, such a redirect would leave the app's host name, with its cookies and its
// token.
type ownAddress struct {
	target http1.Target
	scheme string // of the client's request
	host   string // as sent by the client
}

// rewrite changes the response fields Location, Content-Location, Link, Refresh and Set-Cookie
// if they contain exactly the app's own address. It drops Strict-Transport-Security,
// which would force https for a local name on every port, and for apps below it, long
// after the app has stopped.
func (o ownAddress) rewrite(header http.Header) {
	delete(header, "Strict-Transport-Security")
	for _, name := range [...]string{"Location", "Content-Location"} {
		for i, value := range header[name] {
			header[name][i] = o.url(value)
		}
	}
	for i, value := range header["Link"] {
		header["Link"][i] = o.link(value)
	}
	for i, value := range header["Refresh"] {
		header["Refresh"][i] = o.refresh(value)
	}
	for i, value := range header["Set-Cookie"] {
		header["Set-Cookie"][i] = o.cookie(value)
	}
}

// url rewrites an absolute or scheme-relative URL. It keeps the bytes of the path, query
// and fragment.
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
	if strings.EqualFold(authority, o.host) { // the app knows its name, but may see another scheme
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
			return text // outside the target's base path: there is no address for it here
		}
		path = below
	}
	return o.scheme + "://" + o.host + path
}

// is reports whether a host and port are the app's: as in the target, or any name of this
// machine's loopback address if the target is there.
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

// link rewrites the targets in `<http://127.0.0.1:4123/items?page=2>; rel="next"`
// (RFC 8288), by which APIs lead to their next page.
func (o ownAddress) link(value string) string {
	var b strings.Builder
	for rest := value; ; {
		before, after, ok := strings.Cut(rest, "<")
		target, behind, closed := strings.Cut(after, ">")
		if !ok || !closed {
			return b.String() + rest
		}
		b.WriteString(before + "<" + o.url(target) + ">")
		rest = behind
	}
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

// cookie drops the Domain attribute if it is the app's own address. Browsers reject such
// a cookie from another host; without the attribute it belongs to the app's host name.
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
