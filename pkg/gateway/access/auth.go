package access

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// SubprotocolPrefix opens the WebSocket subprotocol that a browser, which can
// set no header there, puts its key in.
const SubprotocolPrefix = "openai-insecure-api-key."

// presented finds the bridge token that a request brings. Clients send the same
// key in several places, or one that is not ours beside it: what looks like a
// bridge token wins, else the first of any kind. gemini is whether `?key=` counts.
func presented(r *http.Request, gemini bool) secret.String {
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

// bearer takes the credentials out of an Authorization header; the scheme's case
// does not matter (RFC 9110, section 11.1).
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

// Authenticate lets the caller in. The grant is nil for one that dev mode lets
// in without a token.
func (a *Access) Authenticate(r *http.Request, gemini bool) (*token.Grant, error) {
	origin, err := originOf(r)
	if err != nil {
		return nil, err
	}
	bearer := presented(r, gemini)
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

// ownCaller is dev mode's rule: the daemon's own user, and no page but one of
// bare localhost. A browser's request without Origin (an image, a link) counts
// only where the browser says that no other site caused it.
func (a *Access) ownCaller(r *http.Request, origin string) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case origin != "" && !bareLocalhost(origin):
		return false
	case origin == "" && site != "" && site != "none" && site != "same-origin":
		return false
	}
	return a.Owner(r)
}

// originOf reads the Origin header; more than one is nobody's.
func originOf(r *http.Request) (string, error) {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		return "", nil
	case 1:
		return origins[0], nil
	default:
		return "", fault.New(fault.Origin, "more than one Origin was sent")
	}
}

// PlainOrigin lets in callers without Origin and pages of bare localhost.
func PlainOrigin(r *http.Request) error {
	origin, err := originOf(r)
	if err != nil {
		return err
	}
	if origin != "" && !bareLocalhost(origin) {
		return fault.New(fault.Origin, "only pages of bare localhost may ask for this")
	}
	return nil
}

// originHost gives the host name of an http or https origin, "" for any other.
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

// bareLocalhost reports whether an origin is a page of bare localhost: localhost,
// 127.0.0.1 or [::1], any port, http or https.
func bareLocalhost(origin string) bool {
	switch originHost(origin) {
	case "localhost", "127.0.0.1", "[::1]":
		return true
	}
	return false
}
