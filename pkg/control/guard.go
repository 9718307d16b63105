package control

import (
	"fmt"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// guarded accepts only requests from programs of the daemon's own user or root. A browser
// cannot reach a Unix socket, but a relay could forward its requests: they have the headers
// that are refused here.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.refuse(r); err != nil {
			w.Header().Set("Connection", "close")
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) refuse(r *http.Request) error {
	caller, ok := r.Context().Value(peerKey).(peerResult)
	switch {
	case !ok || caller.err != nil:
		return &fault.Error{Kind: fault.Forbidden, Message: "the calling process cannot be determined", Err: caller.err}
	case caller.UID != s.uid && caller.UID != 0:
		return fault.New(fault.Forbidden, "this daemon belongs to another user")
	case !ownHost(r.Host):
		return fault.New(fault.Forbidden, "requests on the control socket need Host hostless")
	}
	for name := range r.Header {
		if name == "Origin" || name == "Referer" || strings.HasPrefix(name, "Sec-Fetch-") {
			return fault.New(fault.Forbidden, "the control socket refuses requests from web pages: this one has "+name)
		}
	}
	return nil
}

// ownHost reports whether a program may send this Host to the control socket.
func ownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	switch strings.ToLower(host) {
	case "hostless", "localhost", "127.0.0.1", "::1", "[::1]":
		return true
	}
	return false
}

// strict responds to requests for which the mux has no handler with an error of this API,
// and never with a redirect.
func strict(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" && path.Clean(r.URL.Path) == r.URL.Path {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &blindWriter{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			writeFault(w, fault.New(fault.Method, fmt.Sprintf("this control path does not support %.16s", r.Method)))
			return
		}
		writeFault(w, fault.New(fault.NotFound, "no such control path"))
	})
}

// blindWriter records only the status and header of a response.
type blindWriter struct {
	header http.Header
	status int
}

func (w *blindWriter) Header() http.Header         { return w.header }
func (w *blindWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *blindWriter) WriteHeader(status int)      { w.status = status }

// recovered limits a panic of a handler to its request.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				// Only the type: the value could quote the request.
				s.log.Error("control handler panicked", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
				writeFault(w, fault.From(fmt.Errorf("panic of type %T", p)))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// logged logs each request by its route, not its path, which may contain a secret: the user
// may have typed a key in place of a provider's name.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		seen := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		s.log.Debug("control request", "route", r.Pattern, "status", seen.status, "duration", time.Since(start))
	})
}

// statusWriter records the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
