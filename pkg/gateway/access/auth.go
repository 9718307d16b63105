package access

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// SubprotocolPrefix is the prefix of the WebSocket subprotocol that carries the key of a
// browser, which cannot set the Authorization header of a WebSocket.
const SubprotocolPrefix = "openai-insecure-api-key."

// presentedToken returns the bridge token of a request. Some clients send the key in several
// places, or another key beside it, so a value with the prefix of a bridge token takes
// precedence; otherwise it is the first value found. The query parameter key counts only if
// gemini is set.
func presentedToken(r *http.Request, gemini bool) secret.String {
	first := ""
	for _, candidate := range [...]string{
		bearer(r.Header.Get("Authorization")),
		r.Header.Get("X-Api-Key"),
		r.Header.Get("X-Goog-Api-Key"),
		queryKey(r.URL.RawQuery, gemini),
		subprotocolKey(r.Header["Sec-Websocket-Protocol"]),
	} {
		if strings.HasPrefix(candidate, token.Prefix) {
			return secret.New(candidate)
		}
		if first == "" {
			first = candidate
		}
	}
	return secret.New(first)
}

// bearer returns the credentials of an Authorization header with the Bearer scheme, in any
// letter case (RFC 9110 section 11.1).
func bearer(header string) string {
	scheme, rest, ok := strings.Cut(strings.TrimLeft(header, " "), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(rest)
}

func queryKey(raw string, gemini bool) string {
	if !gemini || raw == "" {
		return ""
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return ""
	}
	return values.Get("key")
}

func subprotocolKey(headers []string) string {
	for _, h := range headers {
		for p := range strings.SplitSeq(h, ",") {
			if key, ok := strings.CutPrefix(strings.TrimSpace(p), SubprotocolPrefix); ok {
				return key
			}
		}
	}
	return ""
}

// Authenticate verifies the bridge token of a request. The grant is nil if dev mode allows
// the request without one. gemini enables ?key=. The errors are faults.
func (a *Access) Authenticate(r *http.Request, gemini bool) (*token.Grant, error) {
	origin, err := originOf(r)
	if err != nil {
		return nil, err
	}
	bearer := presentedToken(r, gemini)
	if a.DevMode && !strings.HasPrefix(bearer.Reveal(), token.Prefix) && a.ownCaller(r, origin) {
		return nil, nil
	}
	if bearer.IsZero() {
		return nil, &fault.Error{
			Kind: fault.Unauthenticated, Message: token.MessageUnknown + ": none was sent", Code: "invalid_api_key",
			Next: "hostless token create",
		}
	}
	grant, err := a.Tokens.Verify(bearer, origin)
	if f := fault.From(err); f != nil {
		if f.Kind == fault.Unauthenticated && f.Code == "" {
			coded := *f
			coded.Code = "invalid_api_key"
			if coded.Message == token.MessageUnknown {
				coded.Message += ": it may have been revoked, or be from before a restart of the daemon"
				coded.Next = "hostless token create"
			}
			f = &coded
		}
		return nil, f
	}
	return grant, nil
}

// ownCaller reports whether dev mode allows the request: the peer is the user of the
// daemon, and the Origin is absent or bare localhost. A request of a browser without Origin
// (an image, a link) is allowed only if Sec-Fetch-Site shows that no other site caused it.
func (a *Access) ownCaller(r *http.Request, origin string) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case origin != "" && !bareLocalhost(origin):
		return false
	case origin == "" && site != "" && site != "none" && site != "same-origin":
		return false
	}
	return a.Owner(r)
}

// originOf returns the Origin header. More than one is an error.
func originOf(r *http.Request) (string, error) {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		return "", nil
	case 1:
		return origins[0], nil
	default:
		return "", fault.New(fault.Origin, "the request has more than one Origin header")
	}
}

// PlainOrigin returns an error unless the Origin is absent or bare localhost.
func PlainOrigin(r *http.Request) error {
	origin, err := originOf(r)
	if err != nil {
		return err
	}
	if origin != "" && !bareLocalhost(origin) {
		return fault.New(fault.Origin, "only pages of localhost itself may send this request")
	}
	return nil
}

// originHost returns the host name of an http or https origin, or "" for any other.
func originHost(origin string) string {
	rest, ok := strings.CutPrefix(origin, "http://")
	if !ok {
		if rest, ok = strings.CutPrefix(origin, "https://"); !ok {
			return ""
		}
	}
	if strings.ContainsAny(rest, "/?#@ \\") {
		return ""
	}
	host := rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		for _, c := range rest[i+1:] {
			if c < '0' || c > '9' {
				return ""
			}
		}
		host = rest[:i]
	}
	return strings.ToLower(host)
}

// bareLocalhost reports whether origin is a bare localhost origin: localhost, 127.0.0.1 or
// [::1], any port, http or https.
func bareLocalhost(origin string) bool {
	switch originHost(origin) {
	case "localhost", "127.0.0.1", "[::1]":
		return true
	}
	return false
}
