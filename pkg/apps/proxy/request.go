package proxy

import (
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/httpx"
)

// exchange is the request sent to an app.
type exchange struct {
	http1.Request
	route  *routes.Entry
	origin ownAddress
	form   *form          // a short body that had not arrived in time, or nil
	own    [8]http1.Field // initial storage of Add
}

// newRequest returns the request for the app.
func (h *Handler) newRequest(r *http.Request, rt *routes.Entry) *exchange {
	t := rt.CurrentTarget()
	x := &exchange{route: rt, Request: http1.Request{
		Target: t, Method: r.Method, URI: r.RequestURI, URL: r.URL, Host: r.Host, Header: r.Header, Omit: forwarding, Trailer: r.Trailer,
	}}
	x.Add = x.own[:0]
	if x.URI == "" {
		x.URI = r.URL.RequestURI()
	}
	if t.Path != "" && x.URI != "*" {
		x.URI = t.Path + x.URI
	}
	if t.URL && !rt.KeepHost {
		x.Host = t.Authority()
	}
	if len(r.Header["Connection"]) > 0 {
		x.Drop = httpx.ConnectionFields(r.Header)
	}
	if httpx.HasToken(r.Header["Te"], "trailers") {
		x.Add = append(x.Add, http1.Field{Name: "Te", Value: "trailers"})
	}
	x.origin = ownAddress{target: t}
	x.Add, x.origin.scheme, x.origin.host = forwarded(x.Add, r, h.cfg.TrustedProxies())
	x.Add = append(x.Add, http1.Field{Name: headerHops, Value: strconv.Itoa(hops(r.Header) + 1)})
	x.setBody(r)
	return x
}
