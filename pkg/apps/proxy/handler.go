package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/apps/errpage"
	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/h2upgrade"
	"github.com/hostless/hostless/pkg/httpx"
)

// Config is what New needs.
type Config struct {
	Table *routes.Table // required
	// URL gives the address of an app for people, by its host name; required.
	URL func(hostname string) string
	// Domains are names below which apps are served besides localhost; nil is none.
	Domains func() appname.Domains
	// TrustedProxies are the peers whose forwarding headers are believed; nil is
	// nobody.
	TrustedProxies func() []netip.Prefix
	// Hold is how long a request waits for an app that is starting, or that refuses
	// connections though its run lives, as while it restarts: 30 s when zero. An app
	// that took longer to start before is given twice that time. A page that a
	// browser asks for waits a second at most, and then shows that the app starts.
	Hold time.Duration
	// Observe is called once for each request, in its goroutine, after its answer: it
	// must not block. Nil is nobody.
	Observe func(Served)
	Logger  *slog.Logger     // discards when nil
	Now     func() time.Time // time.Now when nil
}

// Handler proxies requests to the apps of a table. It is safe for concurrent use.
type Handler struct {
	cfg     Config
	log     *slog.Logger
	closing context.Context // ends upgraded connections
	end     context.CancelFunc
}

var (
	_ http.Handler = (*Handler)(nil)
	_ io.Closer    = (*Handler)(nil)
)

// New makes a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Table == nil || cfg.URL == nil {
		return nil, errors.New("proxy: Table and URL are required")
	}
	if cfg.TrustedProxies == nil {
		cfg.TrustedProxies = func() []netip.Prefix { return nil }
	}
	if cfg.Hold == 0 {
		cfg.Hold = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h := &Handler{cfg: cfg, log: cfg.Logger}
	h.closing, h.end = context.WithCancel(context.Background())
	return h, nil
}

// Close ends upgraded connections and requests that wait for an app to start.
func (h *Handler) Close() error {
	h.end()
	return nil
}

// ServeHTTP takes a request to the app of its host, or answers with a page that
// says what is wrong.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h2upgrade.Protocol(r) != "" {
		w, r = h2upgrade.Request(w, r)
	}
	host, ok := h.hostOf(r.Host)
	if !ok {
		h.Misdirected(w, r)
		return
	}
	s := h.begin(r, host)
	defer s.tell()
	if hops(r.Header) >= maxHops {
		h.fail(&s, w, r, &proxyError{status: http.StatusLoopDetected, host: host, route: h.cfg.Table.Lookup(host, r.URL.Path)})
		return
	}
	rt := h.cfg.Table.Lookup(host, r.URL.Path)
	if rt == nil {
		h.cfg.Table.AwaitReturn(r.Context(), host)
		rt = h.cfg.Table.Lookup(host, r.URL.Path)
	}
	if rt == nil {
		h.fail(&s, w, r, &proxyError{status: http.StatusNotFound, host: host})
		return
	}
	s.of(rt)
	switch rt.CurrentState() {
	case routes.StateIdle:
		rt.Start()
	case routes.StateExited: // its port may be another's by now
		if rt.StartAgain(h.cfg.Now()) {
			break
		}
		h.fail(&s, w, r, &proxyError{status: http.StatusBadGateway, host: host, route: rt, err: &http1.DialError{Err: errExited}})
		return
	}
	if protocol := upgradeOf(r); protocol != "" {
		h.upgrade(&s, w, r, rt, host, protocol)
		return
	}
	h.forward(&s, w, r, rt, host)
}

// hostOf gives the host name below localhost that an authority stands for, and whether
// it is one that an app may have.
func (h *Handler) hostOf(authority string) (string, bool) {
	host, ok := routes.HostOf(authority)
	if !ok && h.cfg.Domains != nil {
		return h.cfg.Domains().Canonical(host)
	}
	return host, ok
}

// Misdirected answers a request for a host that is not ours.
func (h *Handler) Misdirected(w http.ResponseWriter, r *http.Request) {
	h.fail(&serving{}, w, r, &proxyError{status: http.StatusMisdirectedRequest, host: r.Host})
}

// forward takes a request to its app and the answer back.
func (h *Handler) forward(s *serving, w http.ResponseWriter, r *http.Request, rt *routes.Entry, host string) {
	x := h.newRequest(r, rt)
	header := w.Header()
	rc := http.NewResponseController(w)
	if x.Body != nil {
		// An app may answer before it has read all; the answer must not wait.
		_ = rc.EnableFullDuplex() // HTTP/2 always does
		x.Body.Unblock = func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) }
	}
	x.OnInformational = func(status int, fields http.Header) { inform(w, r, status, fields) }
	in, err := h.roundTrip(r, x, header)
	if err != nil {
		if x.Body != nil {
			if x.Body.Failed.Load() {
				err = errBrokenBody
			}
			x.Body.Stop()
			if x.Body.Stopped.Load() { // which ends the request's context too
				h.fail(s, w, r, h.diagnose(rt, host, err))
				return
			}
		}
		h.unreachable(s, w, r, rt, host, err)
		return
	}
	defer settle(x, in)
	x.origin.rewrite(header)
	if x.Body != nil && !x.Body.Complete.Load() && r.ProtoMajor == 1 {
		header.Set("Connection", "close") // what is left of the body is not read
	}
	if _, has := header["Content-Type"]; !has {
		header["Content-Type"] = nil // or the server guesses one
	}
	s.Status = in.Status
	w.WriteHeader(in.Status)
	if err := relay(w, r, in); err != nil {
		h.log.Debug("answer was cut", "hostname", host, "error", err)
		panic(http.ErrAbortHandler)
	}
	if in.Trailers != nil {
		announced := header["Trailer"]
		for name, values := range in.Trailers() {
			if !httpx.HasToken(announced, name) {
				_ = rc.Flush() // a short answer that waits whole would get a length, and no trailers
				name = http.TrailerPrefix + name
			}
			header[name] = values
		}
	}
}

// fail answers with the page of an error.
func (h *Handler) fail(s *serving, w http.ResponseWriter, r *http.Request, e *proxyError) {
	status, header, body := h.page(e).Render(r)
	if h.shareWith(r, header) && preflight(r) {
		allowPreflight(r, header)
		status, body = http.StatusNoContent, nil
	}
	maps.Copy(w.Header(), header)
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // the request's body is not read
	}
	s.Status = status
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// settle ends an exchange: no goroutine of it reads the request's body any more
// when the handler returns.
func settle(x *exchange, in *http1.Response) {
	if x.Body != nil {
		x.Body.Stop()
	}
	in.Body.Finish()
}

// inform passes an interim answer on, such as 103 Early Hints.
func inform(w http.ResponseWriter, r *http.Request, status int, h http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	header := w.Header()
	for name, values := range h {
		if !httpx.HopByHop(name) {
			header[name] = values
		}
	}
	w.WriteHeader(status)
	for name := range h {
		delete(header, name)
	}
}

// roundTrip sends the request. While its app is expected to listen soon, the
// request is held and tried again: nothing of it was sent.
func (h *Handler) roundTrip(r *http.Request, x *exchange, header http.Header) (in *http1.Response, err error) {
	limit := h.cfg.Hold
	if (x.Method == http.MethodGet || x.Method == http.MethodHead) && errpage.WantsHTML(r) {
		limit = min(limit, pageAfter) // the page looks again by itself; a form that was sent could not
	}
	err = h.hold(r.Context(), x, limit, func() error {
		in, err = x.route.Upstream().RoundTrip(r.Context(), &x.Request, header)
		return err
	})
	return in, err
}

var errExited = errors.New("the app has ended")
