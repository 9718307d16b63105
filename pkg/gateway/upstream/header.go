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

// unforwardedHeaders has the request headers that are not forwarded: the caller's
// credentials, headers that reveal the page or network of the caller, headers of one
// connection (RFC 9110 section 7.6.1), and those that Hostless sets itself.
var unforwardedHeaders = set(
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

// RequestHeader returns the headers of a caller's request that may be forwarded. The values
// are shared with that request and must not be modified.
func RequestHeader(in http.Header) http.Header {
	out := make(http.Header, len(in)+2)
	for name, values := range in {
		if _, never := unforwardedHeaders[name]; never || len(values) == 0 {
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
		out["User-Agent"] = noUserAgent // otherwise net/http would send its own
	}
	return out
}

var noUserAgent = []string{""}

// carriesToken reports whether a header contains a bridge token, which must not be sent
// upstream in any header.
func carriesToken(values []string) bool {
	for _, v := range values {
		if len(v) > len(token.Prefix) && strings.Contains(v, token.Prefix) {
			return true
		}
	}
	return false
}

// ForceIdentity asks for an uncompressed response, for responses that must be read on the
// way. For a loopback connection, compression would gain nothing anyway.
func ForceIdentity(h http.Header) {
	if _, ok := h["Accept-Encoding"]; ok {
		h["Accept-Encoding"] = identityOnly
	}
}

var identityOnly = []string{"identity"}

// LimitAcceptEncoding leaves only content codings that Hostless can decode, because it must
// be able to read the response if it turns out to be an error, JSON or an event stream.
func LimitAcceptEncoding(h http.Header) {
	accepted, ok := h["Accept-Encoding"]
	switch {
	case !ok:
	case strings.Contains(strings.ToLower(strings.Join(accepted, ",")), "gzip"):
		h["Accept-Encoding"] = gzipOnly
	default:
		h["Accept-Encoding"] = identityOnly
	}
}

var gzipOnly = []string{"gzip"}

// oauthPrefix is the prefix of Anthropic's subscription tokens, which are sent as bearer
// tokens with a beta header.
const oauthPrefix = "sk-ant-oat"

// setAuth adds the provider key. It is the last change to a request.
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

// Query returns the caller's query without the bridge token: without `key`, if dropKey is
// set, and without any parameter that contains a token. The rest keeps its bytes.
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
