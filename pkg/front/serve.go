package front

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/hostless/hostless/pkg/h2upgrade"
)

// ServeHTTP checks a request with the gate and passes it to its plane.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s.inFlight.Add(1)
	s.served.Add(1)
	defer s.inFlight.Add(-1)
	w := &response{ResponseWriter: rw}
	c := connOf(r.Context())
	if c != nil {
		c.handled.Store(true)
	}
	var started time.Time
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		started = time.Now()
	}
	defer s.finish(w, r, started, r.Method)

	// Close the connection after a chunked request. It may have had a Content-Length too,
	// which net/http drops silently; another server that reads the same bytes could find a
	// second request in them (RFC 9112 section 6.1).
	chunked := r.ProtoMajor == 1 && len(r.TransferEncoding) > 0
	if (s.draining.Load() || chunked) && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
	p, no := s.gate(r)
	switch {
	case no == refuseForeign && s.cfg.Foreign != nil:
		w.Header().Set("Connection", "close")
		s.cfg.Foreign.ServeHTTP(w, r)
	case no != nil:
		refuse(w, no)
	case r.RequestURI == "*":
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	case p != gatewayPlane && r.TLS == nil && s.tls != nil && s.cfg.RedirectHTTPS != nil && redirectable(r) && s.cfg.RedirectHTTPS():
		w.Header().Set("Location", "https://"+r.Host+r.RequestURI)
		if r.ProtoMajor == 1 && r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // the request body is not read
		}
		w.WriteHeader(http.StatusPermanentRedirect)
	case p == gatewayPlane && h2upgrade.Protocol(r) != "":
		s.cfg.Gateway.ServeHTTP(h2upgrade.Request(w, r))
	case p == gatewayPlane, p == pagePlane:
		if _, inLane := rw.(*laneWriter); inLane {
			// The context of a lane is that of the connection. As in net/http, the context
			// of a request must be cancelled at its end. Package proxy does not need that.
			ctx, end := context.WithCancel(r.Context())
			defer end()
			r = r.WithContext(ctx)
		}
		handler := s.cfg.Gateway
		if p == pagePlane {
			handler = s.cfg.Page
		}
		handler.ServeHTTP(w, r)
	default:
		if r.ProtoMajor == 1 {
			w.conn = c
		}
		s.cfg.Apps.ServeHTTP(w, r)
	}
	s.markEarlyResponse(w, r)
}

// redirectable reports whether a client can follow a redirect. Clients that upgrade a
// connection do not, and browsers fail a CORS preflight that is redirected.
func redirectable(r *http.Request) bool {
	return r.Header.Get("Upgrade") == "" && (r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "")
}

// finish logs the request and converts a panic to a 500, or aborts the connection if the
// response has started. It re-panics http.ErrAbortHandler.
func (s *Server) finish(w *response, r *http.Request, started time.Time, method string) {
	caught := recover()
	if w.endless {
		s.remove(s.endless, w.conn)
	}
	if caught != nil && caught != http.ErrAbortHandler {
		s.log.Error("panic in a request handler", "method", method, "path", r.URL.Path, "panic", caught, "stack", string(debug.Stack()))
		if w.status != 0 {
			caught = http.ErrAbortHandler
		} else {
			caught = nil
			refuse(w, &refusal{status: http.StatusInternalServerError, kind: "internal_error", message: "internal error", close: true})
		}
	}
	if !started.IsZero() {
		// Query strings may contain keys, so only the path is logged.
		s.log.Debug("request", "method", method, "host", r.Host, "path", r.URL.Path, "status", w.status,
			"bytes", w.bytes, "duration", time.Since(started).Round(time.Microsecond))
	}
	if caught != nil {
		if c := connOf(r.Context()); c != nil && r.ProtoMajor == 1 && r.ProtoMinor == 0 {
			c.SetLinger(0) // in HTTP/1.0, only a reset shows that a body is incomplete
		}
		panic(caught)
	}
}
