package proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/routes"
)

// Served is one request to an app, for Config.Observe.
type Served struct {
	Time     time.Time     // its arrival
	App      string        // the NAME of its route; for a name that no app has, what was asked for
	Known    bool          // it has a route
	Method   string        // as sent
	Path     string        // as sent, without the query
	Status   int           // what the client got; 0 where it got no answer
	Duration time.Duration // until the answer had been sent, or until the protocol was switched
	Upgrade  string        // the protocol that was switched to, or ""
}

// serving is a request on its way: what is to be observed of it.
type serving struct {
	Served
	h    *Handler
	told bool
}

// begin notes what is known of a request before it is answered.
func (h *Handler) begin(r *http.Request, host string) serving {
	path := r.RequestURI
	if !strings.HasPrefix(path, "/") { // absolute-form, or none
		path = r.URL.EscapedPath()
	}
	if query := strings.IndexByte(path, '?'); query >= 0 {
		path = path[:query]
	}
	return serving{h: h, Served: Served{Time: h.cfg.Now(), App: strings.TrimSuffix(host, appname.Suffix), Method: r.Method, Path: path}}
}

// of notes whose request it is.
func (s *serving) of(rt *routes.Entry) { s.App, s.Known = rt.Name, true }

// switched tells of an upgrade once it has happened: its connection may last for hours.
func (s *serving) switched(protocol string) {
	s.Status, s.Upgrade = http.StatusSwitchingProtocols, protocol
	s.tell()
}

// tell is deferred, so that it hears of answers that are cut off too.
func (s *serving) tell() {
	if s.told || s.h.cfg.Observe == nil {
		return
	}
	s.told = true
	s.Duration = s.h.cfg.Now().Sub(s.Time)
	s.h.cfg.Observe(s.Served)
}
