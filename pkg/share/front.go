// Package share owns what makes one app reachable from outside of this machine for as long as
// somebody asks for it: the tunnel tools that a person has installed, started and
// ended here, and the front that leads to the one app and to nothing else.
//
// Which app that is, and the telling of it, are the caller's business.
package share

import (
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/peer"
)

// Front leads requests to one app, whatever host they name. It is safe for concurrent
// use.
type Front struct {
	app    *url.URL // the app's URL, as people see it here
	public atomic.Pointer[url.URL]
	proxy  httputil.ReverseProxy
}

// NewFront makes the front of the app at appURL, which daemon (host:port) serves.
// transport is used as it is; it must trust the daemon's certificate where appURL is https.
func NewFront(appURL *url.URL, daemon string, transport http.RoundTripper) *Front {
	f := &Front{app: appURL}
	f.proxy = httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = appURL.Scheme, daemon
			r.Out.Host = appURL.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery // also what does not parse
			f.inbound(r.Out.Header)
		},
		ModifyResponse: func(resp *http.Response) error { f.outbound(resp.Header); return nil },
		Transport:      transport,
		FlushInterval:  -1,
	}
	return f
}

// SetPublic says at which URL the front is seen from outside, once that is known.
func (f *Front) SetPublic(u *url.URL) { f.public.Store(u) }

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.proxy.ServeHTTP(w, r) }

// inbound has the app see its own origin where a page of its public one asks: servers
// compare it with the host that they have.
func (f *Front) inbound(h http.Header) {
	public := f.public.Load()
	if public == nil {
		return
	}
	from, to := origin(public), origin(f.app)
	if h.Get("Origin") == from {
		h.Set("Origin", to)
	}
	if rest, ok := strings.CutPrefix(h.Get("Referer"), from); ok && (rest == "" || rest[0] == '/') {
		h.Set("Referer", to+rest)
	}
}

// outbound has redirects to the app's own origin stay at the public one, and cookies for
// the app's host be the public host's.
func (f *Front) outbound(h http.Header) {
	public := f.public.Load()
	if public == nil {
		return
	}
	if rest, ok := strings.CutPrefix(h.Get("Location"), origin(f.app)); ok && (rest == "" || rest[0] == '/') {
		h.Set("Location", origin(public)+rest)
	}
	cookies := h["Set-Cookie"]
	for i, cookie := range cookies {
		parts := strings.Split(cookie, ";")
		kept := parts[:1]
		for _, part := range parts[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if strings.EqualFold(name, "domain") && strings.EqualFold(strings.TrimPrefix(value, "."), f.app.Hostname()) {
				continue
			}
			kept = append(kept, part)
		}
		cookies[i] = strings.Join(kept, ";")
	}
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// Listen opens a port of loopback that only this user's processes, and root's, reach: those
// of the tunnel tools.
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

// Serve answers on a listener until it is closed.
func (f *Front) Serve(l net.Listener) error {
	server := &http.Server{Handler: f, ReadHeaderTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute}
	return server.Serve(l)
}
