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
	"github.com/hostless/hostless/pkg/apps/http1"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/h2upgrade"
	"github.com/hostless/hostless/pkg/httpx"
)

// Config configures a Handler.
type Config struct {
	Table *routes.Table // required
	// URL returns the URL of an app to show to people, by its host name; required.
	URL func(hostname string) string
	// Domains returns the domains under which apps are served besides localhost; it may
	// be nil.
	Domains func() appname.Domains
	// TrustedProxies returns the peers whose forwarding headers are trusted; nil means
	// none.
	TrustedProxies func() []netip.Prefix
	// Hold limits how long a request waits for an app that is starting, or whose run is
	// alive but refuses connections, for example during a restart; 30 s when zero. If an
	// app's last start took longer, the limit is twice that time. A browser's navigation
	// waits at most one second before it gets the page for a starting app.
	Hold time.Duration
	// Observe is called once per request, after the response, in the request's goroutine.
	// It must not block. It may be nil.
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

// New returns a Handler.
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

// Close closes upgraded connections and releases requests that wait for an app.
func (h *Handler) Close() error {
	h.end()
	return nil
}

// ServeHTTP forwards a request to the app of its host, or responds with an error page.
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
	defer s.report()
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
	s.setRoute(rt)
	switch rt.CurrentState() {
	case routes.StateIdle:
		rt.Start()
	case routes.StateExited: // another program may have its port by now
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

// hostOf returns the host name below localhost for an authority, and whether an app can
// have it.
func (h *Handler) hostOf(authority string) (string, bool) {
	host, ok := routes.HostOf(authority)
	if !ok && h.cfg.Domains != nil {
		return h.cfg.Domains().Canonical(host)
	}
	return host, ok
}

// Misdirected responds to a request for a host name that is not ours.
func (h *Handler) Misdirected(w http.ResponseWriter, r *http.Request) {
	h.fail(&serving{}, w, r, &proxyError{status: http.StatusMisdirectedRequest, host: r.Host})
}

// forward sends a request to its app and the response to the client.
func (h *Handler) forward(s *serving, w http.ResponseWriter, r *http.Request, rt *routes.Entry, host string) {
	x := h.newRequest(r, rt)
	header := w.Header()
	rc := http.NewResponseController(w)
	if x.Body != nil {
		// The app may respond before it has read the whole body, and the response must
		// not wait.
		_ = rc.EnableFullDuplex() // always on for HTTP/2
		x.Body.Unblock = func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) }
		defer x.endForm()
	}
	x.OnInformational = func(status int, fields http.Header) { inform(w, r, status, fields) }
	in, err := h.roundTrip(r, x, header)
	if err != nil {
		if x.Body != nil {
			if x.Body.Failed.Load() {
				err = errBrokenBody
			}
			x.Body.Stop()
			if x.Body.Stopped.Load() { // which also ends the request's context
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
		header.Set("Connection", "close") // the rest of the body is not read
	}
	if _, has := header["Content-Type"]; !has {
		header["Content-Type"] = nil // prevents content sniffing by the server
	}
	s.Status = in.Status
	w.WriteHeader(in.Status)
	if err := relay(w, r, in); err != nil {
		h.log.Debug("response was cut off", "hostname", host, "error", err)
		panic(http.ErrAbortHandler)
	}
	if in.Trailers != nil {
		announced := header["Trailer"]
		for name, values := range in.Trailers() {
			if !httpx.HasToken(announced, name) {
				_ = rc.Flush() // otherwise a short response would get a Content-Length and no trailers
				name = http.TrailerPrefix + name
			}
			header[name] = values
		}
	}
}

// fail responds with the page for an error.
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
		w.Header().Set("Connection", "close") // the request body is not read
	}
	s.Status = status
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// settle ends an exchange: when it returns, no goroutine reads the request body.
func settle(x *exchange, in *http1.Response) {
	if x.Body != nil {
		x.Body.Stop()
	}
	in.Body.Finish()
}

// inform forwards an interim response such as 103 Early Hints.
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

// roundTrip sends the request. If the app is expected to listen soon, it holds the request
// and retries (see hold). It sends a request again that the app has not read (see resend).
func (h *Handler) roundTrip(r *http.Request, x *exchange, header http.Header) (in *http1.Response, err error) {
	for resent := 0; ; resent++ {
		err = h.hold(r.Context(), x, func() bool { return isPage(r) }, func() error {
			in, err = x.route.Upstream().RoundTrip(r.Context(), &x.Request, header)
			return err
		})
		if err == nil || !h.resend(r.Context(), x, err, resent) {
			return in, err
		}
	}
}

var errExited = errors.New("the app has exited")
