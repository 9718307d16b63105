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

// unforwardedHeaders has the response headers that are not forwarded: cookies, headers of one
// connection, and those that would set policies for Hostless's origin.
var unforwardedHeaders = set(
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

// CopyHeader copies the provider's headers that may be forwarded, with the key redacted.
func CopyHeader(out, in http.Header, key redact.Redactor) {
	for name, values := range in {
		if _, never := unforwardedHeaders[name]; never || strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, "X-Hostless-") {
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

// copyRequestID copies the provider's request ID to the header in which the caller's SDK
// looks for it.
func copyRequestID(h http.Header, caller dialect.Name) {
	from, to := "Request-Id", "X-Request-Id"
	if caller == dialect.Anthropic {
		from, to = to, from
	}
	if id := h[from]; len(id) > 0 && len(h[to]) == 0 {
		h[to] = id
	}
}

// rewriteUploadURL redirects the second step of a Gemini upload to Hostless. Otherwise the
// caller would send its bridge token to the address that Google returned.
func (a *Answer) rewriteUploadURL(h http.Header) {
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

// SetHeaders sets the headers that name the provider and the model of the response.
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

// maxIgnored limits the length of the header with the names of dropped fields. These names
// come from the caller, and clients refuse long headers.
const maxIgnored = 2 << 10

// namesOf joins names up to that limit.
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

// HeaderSafe replaces characters of s that must not occur in a header value.
func HeaderSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
