package proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/routes"
)

// Served describes one request to an app, for Config.Observe.
type Served struct {
	Time     time.Time     // time of arrival
	App      string        // NAME of its route; without a route, the requested name
	Known    bool          // there is a route
	Method   string        // as sent
	Path     string        // as sent, without the query
	Status   int           // status sent to the client; 0 without a response
	Duration time.Duration // until the response was sent, or the protocol was switched
	Upgrade  string        // the new protocol, or ""
}

// serving collects the data for Observe during a request.
type serving struct {
	Served
	h        *Handler
	reported bool
}

// begin records what is known before the response.
func (h *Handler) begin(r *http.Request, host string) serving {
	path := r.RequestURI
	if !strings.HasPrefix(path, "/") { // absolute-form, or empty
		path = r.URL.EscapedPath()
	}
	if query := strings.IndexByte(path, '?'); query >= 0 {
		path = path[:query]
	}
	return serving{h: h, Served: Served{Time: h.cfg.Now(), App: strings.TrimSuffix(host, appname.Suffix), Method: r.Method, Path: path}}
}

// setRoute records the route.
func (s *serving) setRoute(rt *routes.Entry) { s.App, s.Known = rt.Name, true }

// switched reports an upgrade as soon as it has happened, because the connection may last
// for hours.
func (s *serving) switched(protocol string) {
	s.Status, s.Upgrade = http.StatusSwitchingProtocols, protocol
	s.report()
}

// report calls Observe. It is deferred, so that it also reports responses that were cut
// off.
func (s *serving) report() {
	if s.reported || s.h.cfg.Observe == nil {
		return
	}
	s.reported = true
	s.Duration = s.h.cfg.Now().Sub(s.Time)
	s.h.cfg.Observe(s.Served)
}
