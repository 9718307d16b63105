package gateway

import (
	"net/http"
	"net/textproto"
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

// downHeader copies what comes down of the provider's headers, with the key's
// own text taken out.
func downHeader(out, in http.Header, key redact.Redactor) {
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
