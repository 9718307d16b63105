package front

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/h2upgrade"
	"github.com/hostless/hostless/pkg/httpx"
)

// refusal is an answer of the gate itself.
type refusal struct {
	status  int
	kind    string
	message string
	allow   string
	close   bool // the connection is not worth keeping
}

var (
	refuseMethod  = &refusal{http.StatusMethodNotAllowed, "invalid_request_error", "this method is not served here", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", true}
	refuseVersion = &refusal{http.StatusHTTPVersionNotSupported, "invalid_request_error", "this version of HTTP is not served here", "", true}
	refuseTarget  = &refusal{http.StatusBadRequest, "invalid_request_error", "the request target cannot be read", "", true}
	refuseHost    = &refusal{http.StatusBadRequest, "invalid_request_error", "the request must name exactly one host", "", true}
	refuseForeign = &refusal{http.StatusMisdirectedRequest, "invalid_request_error", "this host is not served here: use localhost, or NAME.localhost", "", true}
)

// refusePeer is the answer to another user's process: it names the user, and the
// setting that would let that one reach apps.
func refusePeer(uid int) *refusal {
	message := "this daemon serves another user of this machine, and who sends this request cannot be determined"
	if uid != UnknownUID {
		message = fmt.Sprintf("this daemon serves another user of this machine: the request is uid %d's (hostless config set allowed-uids %[1]d lets that user reach apps, not the gateway)", uid)
	}
	return &refusal{http.StatusForbidden, "permission_error", message, "", true}
}

// gate checks a request before anything else sees it, in this order: method,
// Host, peer. On success the request has an origin-form target and one
// authority, which for the gateway and the page is in normal form.
func (s *Server) gate(r *http.Request) (plane, *refusal) {
	protocol := h2upgrade.Protocol(r)
	if r.Method == http.MethodConnect && protocol == "" || r.Method == http.MethodTrace {
		return 0, refuseMethod
	}
	if r.Method == "PRI" || r.ProtoMajor < 1 || r.ProtoMajor > 2 {
		return 0, refuseVersion
	}
	if r.ProtoMajor == 2 && !fitsLine(r) {
		return 0, refuseTarget
	}
	authority, no := authorityOf(r)
	if no != nil {
		return 0, no
	}
	p, normal := classify(authority)
	if p == foreign && s.appBelow(authority) {
		p = appsPlane
	}
	switch p {
	case malformed:
		return 0, refuseHost
	case foreign:
		return 0, refuseForeign
	case gatewayPlane, pagePlane:
		if protocol != "" && !strings.EqualFold(protocol, "websocket") {
			return 0, refuseMethod
		}
		r.Host = normal
	case appsPlane:
		r.Host = authority // an app gets it as it was written
	}
	if c := connOf(r.Context()); c != nil {
		if c.admitted() != nil && !(p == appsPlane && c.guest()) {
			return 0, refusePeer(c.uid)
		}
	}
	return p, nil
}

// authorityOf finds the authority that a request is for. An absolute-form target
// is judged by its own, as it was written, and its Host header is then ignored
// (RFC 9112 section 3.2.2): the target is brought into origin-form, so that
// nothing behind the gate sees two.
func authorityOf(r *http.Request) (string, *refusal) {
	// HTTP/2 has :authority; a Host field beside it must say the same
	// (RFC 9113 section 8.3.1). HTTP/1's Host never shows in Header.
	if hosts, ok := r.Header["Host"]; ok {
		if len(hosts) != 1 || !strings.EqualFold(hosts[0], r.Host) {
			return "", refuseHost
		}
		delete(r.Header, "Host")
	}
	target := r.RequestURI
	switch {
	case target == "*":
		if r.Method != http.MethodOptions {
			return "", refuseTarget
		}
		return r.Host, nil
	case strings.HasPrefix(target, "/"):
		return r.Host, nil
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", refuseTarget
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if r.URL.User != nil || strings.ContainsAny(authority, "@\\%") {
		return "", refuseTarget
	}
	r.URL.Scheme, r.URL.Host, r.URL.Opaque = "", "", ""
	path := rest[len(authority):] // byte for byte: URL.RequestURI would encode anew
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
		r.URL.Path = "/" + r.URL.Path
	}
	r.RequestURI = path
	return authority, nil
}

// fitsLine reports whether an HTTP/2 request's method and path can stand on a
// request line, as an app gets them. A space in either, which net/http lets pass
// on HTTP/2 alone, would have the app read another target than was judged here;
// :path has no absolute form (RFC 9113 section 8.3.1).
func fitsLine(r *http.Request) bool {
	if !httpx.IsToken(r.Method) {
		return false
	}
	target := r.RequestURI
	if target != "*" && !strings.HasPrefix(target, "/") {
		return false
	}
	return !strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// refuse writes a refusal.
func refuse(w http.ResponseWriter, no *refusal) {
	h := w.Header()
	if no.close {
		h.Set("Connection", "close")
	}
	if no.allow != "" {
		h.Set("Allow", no.allow)
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(no.status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"message": no.message, "type": no.kind, "code": nil, "param": nil,
	}})
}
