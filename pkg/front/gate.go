package front

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/hostless/hostless/pkg/h2upgrade"
	"github.com/hostless/hostless/pkg/httpx"
)

// refusal is an error response of the gate.
type refusal struct {
	status  int
	kind    string
	message string
	allow   string
	close   bool // close the connection
}

var (
	refuseMethod  = &refusal{http.StatusMethodNotAllowed, "invalid_request_error", "this method is not supported", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", true}
	refuseVersion = &refusal{http.StatusHTTPVersionNotSupported, "invalid_request_error", "this version of HTTP is not supported", "", true}
	refuseTarget  = &refusal{http.StatusBadRequest, "invalid_request_error", "the request target is malformed", "", true}
	refuseHost    = &refusal{http.StatusBadRequest, "invalid_request_error", "the request must name exactly one host", "", true}
	refuseForeign = &refusal{http.StatusMisdirectedRequest, "invalid_request_error", "this host is not served here: use localhost, or NAME.localhost", "", true}
)

// refusePeer returns the refusal of a process of another user. It names the user and the
// setting that would let that user reach apps.
func refusePeer(uid int) *refusal {
	message := "this daemon serves another user of this machine, and the user that sent this request cannot be determined"
	if uid != UnknownUID {
		message = fmt.Sprintf("this daemon serves another user of this machine: the request comes from uid %d (hostless config set allowed-uids %[1]d lets that user reach apps, not the gateway)", uid)
	}
	return &refusal{http.StatusForbidden, "permission_error", message, "", true}
}

// gate checks the method, the Host and the peer of a request, in this order, before
// anything else uses it. On success the request has an origin-form target and one
// authority, which is normalised for the gateway and the page.
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
		r.Host = authority // an app gets it as it was sent
	}
	if c := connOf(r.Context()); c != nil {
		if c.admitted() != nil && !(p == appsPlane && c.guest()) {
			return 0, refusePeer(c.uid)
		}
	}
	return p, nil
}

// authorityOf returns the authority of a request. An absolute-form target has precedence
// over the Host header, which is ignored then (RFC 9112 section 3.2.2). The target is
// converted to origin-form, so that no handler sees two authorities.
func authorityOf(r *http.Request) (string, *refusal) {
	// HTTP/2 has :authority; a Host field beside it must be equal (RFC 9113 section 8.3.1).
	// For HTTP/1, net/http removes Host from Header.
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
	path := rest[len(authority):] // unchanged, because URL.RequestURI would escape it again
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
		r.URL.Path = "/" + r.URL.Path
	}
	r.RequestURI = path
	return authority, nil
}

// fitsLine reports whether the method and path of an HTTP/2 request are valid on a request
// line, on which an app gets them. net/http allows spaces in them for HTTP/2 only; with
// one, the app would read another target than the gate has checked. :path has no absolute
// form (RFC 9113 section 8.3.1).
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
