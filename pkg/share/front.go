// Package share makes one app reachable from outside of this machine for the length of a
// session. It owns the tunnel tools that the user has installed, which it starts and stops, a
// listener on the local network, and the front that forwards to that app and to nothing else.
//
// The caller chooses the app. The daemon lists what is shared.
package share

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/peer"
)

// Front forwards all requests to one app, whatever their Host. It is safe for concurrent use.
type Front struct {
	app    atomic.Pointer[place]
	public atomic.Pointer[url.URL]
	proxy  httputil.ReverseProxy
}

// place is an app's URL on this machine, and the daemon (host:port) that serves it.
type place struct {
	url    *url.URL
	daemon string
}

// publicKey is the context key of a request's public URL, for a front with several.
type publicKey struct{}

// NewFront returns the front of the app at appURL, which daemon (host:port) serves. If
// appURL is https, transport must trust the daemon's certificate.
func NewFront(appURL *url.URL, daemon string, transport http.RoundTripper) *Front {
	f := &Front{}
	f.SetApp(appURL, daemon)
	f.proxy = httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			app := f.app.Load()
			r.Out.URL.Scheme, r.Out.URL.Host = app.url.Scheme, app.daemon
			r.Out.Host = app.url.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery // unchanged, even if it does not parse
			f.inbound(r.Out.Header, f.publicOf(r.In.Context()))
		},
		ModifyResponse: func(resp *http.Response) error {
			f.outbound(resp.Header, f.publicOf(resp.Request.Context()))
			return nil
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      silent,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			if r.Context().Err() == nil {
				http.Error(w, "The app cannot be reached: Hostless's daemon does not answer.", http.StatusBadGateway)
			}
		},
	}
	return f
}

// silent discards the log of servers for clients on a network, whose errors are not the
// user's.
var silent = log.New(io.Discard, "", 0)

// SetApp sets where the app is, after a restart of the daemon on another port.
func (f *Front) SetApp(appURL *url.URL, daemon string) { f.app.Store(&place{appURL, daemon}) }

// SetPublic sets the public URL of the front when it is known.
func (f *Front) SetPublic(u *url.URL) { f.public.Store(u) }

// publicOf returns the public URL of a request, nil if it is not known.
func (f *Front) publicOf(ctx context.Context) *url.URL {
	if u, ok := ctx.Value(publicKey{}).(*url.URL); ok {
		return u
	}
	return f.public.Load()
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.proxy.ServeHTTP(w, r) }

// inbound replaces the public origin in request headers with the app's own, since servers
// compare it with their Host.
func (f *Front) inbound(h http.Header, public *url.URL) {
	if public == nil {
		return
	}
	from, to := origin(public), origin(f.app.Load().url)
	if h.Get("Origin") == from {
		h.Set("Origin", to)
	}
	if rest, ok := strings.CutPrefix(h.Get("Referer"), from); ok && (rest == "" || rest[0] == '/') {
		h.Set("Referer", to+rest)
	}
}

// outbound replaces the app's own origin in redirects with the public one, and the app's
// host in the domains of cookies with the public host.
func (f *Front) outbound(h http.Header, public *url.URL) {
	if public == nil {
		return
	}
	app := f.app.Load().url
	if rest, ok := strings.CutPrefix(h.Get("Location"), origin(app)); ok && (rest == "" || rest[0] == '/') {
		h.Set("Location", origin(public)+rest)
	}
	cookies := h["Set-Cookie"]
	for i, cookie := range cookies {
		parts := strings.Split(cookie, ";")
		kept := parts[:1]
		for _, part := range parts[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if strings.EqualFold(name, "domain") && strings.EqualFold(strings.TrimPrefix(value, "."), app.Hostname()) {
				continue
			}
			kept = append(kept, part)
		}
		cookies[i] = strings.Join(kept, ";")
	}
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// Listen listens on a free loopback port that accepts connections only of processes of the
// user uid and of root, such as the tunnel tools.
func Listen(uid int) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &ownListener{l, uid}, nil
}

type ownListener struct {
	net.Listener
	uid int
}

// Accept implements net.Listener.
func (l *ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peer.TCPOwner(c)
		if err == nil && (uid == l.uid || uid == 0) || errors.Is(err, peer.ErrUnsupported) {
			return c, nil
		}
		c.Close()
	}
}

// Serve serves a listener until it is closed.
func (f *Front) Serve(l net.Listener) error {
	server := newServer(f)
	return server.Serve(l)
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headLimit, IdleTimeout: 2 * time.Minute, ErrorLog: silent}
}

// headLimit is the timeout for the header of a request.
const headLimit = 15 * time.Second
