package upstream

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// neverUp are the request headers that stay here: the caller's credentials,
// what tells a provider of the page or the network it came from, what belongs
// to one connection (RFC 9110, section 7.6.1), and what this gateway sets itself.
var neverUp = set(
	"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key", "Cookie", "Cookie2", "Origin", "Referer",
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Content-Length", "Host", "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
	"Access-Control-Request-Method", "Access-Control-Request-Headers", "Access-Control-Request-Private-Network", "Access-Control-Request-Local-Network",
)

func set(names ...string) map[string]struct{} {
	m := make(map[string]struct{}, len(names))
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

// RequestHeader is what goes up of the caller's headers. The values are shared with
// the caller's request, which nobody changes.
func RequestHeader(in http.Header) http.Header {
	out := make(http.Header, len(in)+2)
	for name, values := range in {
		if _, never := neverUp[name]; never || len(values) == 0 {
			continue
		}
		switch name[0] {
		case 'S':
			if strings.HasPrefix(name, "Sec-") {
				continue
			}
		case 'X':
			if strings.HasPrefix(name, "X-Hostless-") || strings.HasPrefix(name, "X-Forwarded-") {
				continue
			}
		case 'P':
			if strings.HasPrefix(name, "Proxy-") {
				continue
			}
		}
		if carriesToken(values) {
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
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = noUserAgent // or net/http would name itself
	}
	return out
}

var noUserAgent = []string{""}

// carriesToken reports whether a bridge token stands in a header that has no
// business with it: it must not go upstream whatever the header is called.
func carriesToken(values []string) bool {
	for _, v := range values {
		if len(v) > len(token.Prefix) && strings.Contains(v, token.Prefix) {
			return true
		}
	}
	return false
}

// ForceIdentity replaces the caller's wish for compression where the answer must be
// read on its way: compression to loopback gains nothing and hides events,
// usage and the key's text.
func ForceIdentity(h http.Header) {
	if _, ok := h["Accept-Encoding"]; ok {
		h["Accept-Encoding"] = identityOnly
	}
}

var identityOnly = []string{"identity"}

// LimitAcceptEncoding leaves of the caller's wish for compression what can be undone here:
// an answer that turns out to be an error, JSON or events must be read.
func LimitAcceptEncoding(h http.Header) {
	wished, ok := h["Accept-Encoding"]
	switch {
	case !ok:
	case strings.Contains(strings.ToLower(strings.Join(wished, ",")), "gzip"):
		h["Accept-Encoding"] = gzipOnly
	default:
		h["Accept-Encoding"] = identityOnly
	}
}

var gzipOnly = []string{"gzip"}

// oauthPrefix is how Anthropic's subscription tokens begin; they are sent as
// bearer tokens and need a beta header.
const oauthPrefix = "sk-ant-oat"

// setAuth adds the provider's key: the last thing that is done to a request.
func setAuth(h http.Header, auth provider.Auth, key secret.String) {
	if auth == provider.XAPIKey && len(h["Anthropic-Version"]) == 0 {
		h["Anthropic-Version"] = []string{"2023-06-01"}
	}
	if key.IsZero() {
		return
	}
	switch text := key.Reveal(); auth {
	case provider.XAPIKey:
		if strings.HasPrefix(text, oauthPrefix) {
			h["Authorization"] = []string{"Bearer " + text}
			if !strings.Contains(strings.Join(h["Anthropic-Beta"], ","), "oauth-2025-04-20") {
				h["Anthropic-Beta"] = append([]string{"oauth-2025-04-20"}, h["Anthropic-Beta"]...)
			}
			return
		}
		h["X-Api-Key"] = []string{text}
	case provider.XGoogAPIKey:
		h["X-Goog-Api-Key"] = []string{text}
	case provider.APIKeyHeader:
		h["Api-Key"] = []string{text}
	case provider.Bearer:
		h["Authorization"] = []string{"Bearer " + text}
	}
}

// Query is the caller's query without the bridge token: `key` on Gemini's
// paths, and any other member that holds one. The rest keeps its bytes.
func Query(raw string, dropKey bool) string {
	if raw == "" || !dropKey && !strings.Contains(raw, token.Prefix) && !strings.Contains(raw, "%") {
		return raw
	}
	var kept []string
	for pair := range strings.SplitSeq(raw, "&") {
		plain, err := url.QueryUnescape(pair)
		if err != nil {
			plain = pair
		}
		name, _, _ := strings.Cut(plain, "=")
		if dropKey && name == "key" || strings.Contains(plain, token.Prefix) {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}
