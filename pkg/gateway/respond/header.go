package respond

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/redact"
)

// neverDown are the response headers that stay here: cookies, what belongs to
// one connection, and what would speak for the provider's origin on this one.
var neverDown = set(
	"Set-Cookie", "Set-Cookie2",
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Content-Length", "Alt-Svc", "Strict-Transport-Security", "Public-Key-Pins", "Clear-Site-Data", "Nel", "Report-To", "Reporting-Endpoints",
)

func set(names ...string) map[string]struct{} {
	m := make(map[string]struct{}, len(names))
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

// CopyHeader copies what comes down of the provider's headers, with the key's
// own text taken out.
func CopyHeader(out, in http.Header, key redact.Redactor) {
	for name, values := range in {
		if _, never := neverDown[name]; never || strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, "X-Hostless-") {
			continue
		}
		for i, v := range values {
			if key.Contains(v) {
				values[i] = key.String(v)
			}
		}
		if name == "Vary" {
			out[name] = append(out[name], values...)
			continue
		}
		out[name] = values
	}
	for _, list := range in["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name != "" {
				delete(out, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
}

// nameRequest gives the provider's name of a request where the caller's SDK looks
// for it too.
func nameRequest(h http.Header, caller dialect.Name) {
	from, to := "Request-Id", "X-Request-Id"
	if caller == dialect.Anthropic {
		from, to = to, from
	}
	if id := h[from]; len(id) > 0 && len(h[to]) == 0 {
		h[to] = id
	}
}

// ownUploads leads the second step of a Gemini upload back here: at the address
// that Google names, the caller would send its bridge token to Google.
func (a *Answer) ownUploads(h http.Header) {
	values := h["X-Goog-Upload-Url"]
	if !a.Upload || len(values) != 1 {
		return
	}
	u, err := url.Parse(values[0])
	if err != nil {
		return
	}
	i := strings.Index(u.Path, "/upload/v1")
	if i < 0 {
		return
	}
	scheme := "http"
	if a.Request.TLS != nil {
		scheme = "https"
	}
	own := url.URL{Scheme: scheme, Host: a.Request.Host, Path: u.Path[i:], RawQuery: u.RawQuery}
	h["X-Goog-Upload-Url"] = []string{own.String()}
}

// SetHeaders names who answered.
func (a *Answer) SetHeaders(h http.Header) {
	if a.Provider != "" {
		h["X-Hostless-Provider"] = []string{a.Provider}
	}
	if a.Model != "" {
		h["X-Hostless-Model"] = []string{HeaderSafe(a.Model)}
	}
	if len(a.Ignored) > 0 {
		h["X-Hostless-Ignored"] = []string{HeaderSafe(namesOf(a.Ignored))}
	}
	if a.Attempts > 1 {
		h["X-Hostless-Attempts"] = []string{strconv.Itoa(a.Attempts)}
	}
}

// maxIgnored bounds the header that names what was dropped: the names are the
// caller's, and clients give up on long headers.
const maxIgnored = 2 << 10

// namesOf lists names up to that bound.
func namesOf(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if b.Len()+len(name) > maxIgnored {
			b.WriteString("...")
			break
		}
		b.WriteString(name)
		if i < len(names)-1 {
			b.WriteString(", ")
		}
	}
	return b.String()
}

// HeaderSafe keeps a caller's text from being more than one header value.
func HeaderSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
