package apps

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// hopsHeader counts how often a request has passed through here: an app that
// proxies to its own name would loop.
const (
	hopsHeader = "X-Hostless-Hops"
	maxHops    = 5
)

// ServeHTTP proxies a request to the app that its Host names, or says why not.
func (p *Plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, ok := hostOf(r.Host)
	if !ok {
		p.fail(w, r, nil, &problem{status: http.StatusMisdirectedRequest, kind: fault.Invalid, title: "Not an app", text: "This address belongs to no app of Hostless."})
		return
	}
	rt := p.lookup(host, r.URL.Path)
	if rt == nil {
		p.fail(w, r, nil, unknownName(host))
		return
	}
	hops, err := strconv.Atoi(r.Header.Get(hopsHeader))
	if (err != nil && r.Header.Get(hopsHeader) != "") || hops < 0 || hops >= maxHops {
		p.fail(w, r, rt, looping(rt))
		return
	}
	if s := rt.state.Load(); s != nil && s.name != StateListening && !p.await(r, rt) {
		p.fail(w, r, rt, p.notListening(rt))
		return
	}
	p.proxy(w, r, rt, hops)
}

// await waits for an app that is starting. Where a person looks on it returns at
// once, so that the page tells him; other clients are held for a while.
func (p *Plane) await(r *http.Request, rt *route) bool {
	if s := rt.state.Load(); s.name == StateIdle {
		rt.lease.tell(Event{Kind: EventStart, Reason: "the first request"})
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.cfg.Hold)
	defer cancel()
	patient := !wantsHTML(r)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s := rt.state.Load()
		if s.name == StateListening {
			return true
		}
		if s.name == StateExited {
			return false
		}
		// The client learns of the port a moment after it opens: look oneself.
		if s.name == StateStarting && probe(ctx, rt) {
			return true
		}
		if !patient {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// probe reports whether the app takes connections.
func probe(ctx context.Context, rt *route) bool {
	conn, err := rt.upstream.dial(ctx, rt.target())
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// proxy hands the request to the app and its answer back.
func (p *Plane) proxy(w http.ResponseWriter, r *http.Request, rt *route, hops int) {
	target := rt.target()
	ctx := withTarget(r.Context(), target)
	rp := &httputil.ReverseProxy{
		Transport:     rt.upstream.transport,
		FlushInterval: -1, // each piece goes on as it comes
		ErrorLog:      nil,
		Rewrite:       func(pr *httputil.ProxyRequest) { p.rewrite(pr, rt, target, hops) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler) // the client has left
			}
			p.log.Debug("app does not answer", "host", rt.Hostname, "err", err)
			p.fail(w, r, rt, p.unreachable(rt, err))
		},
	}
	rp.ServeHTTP(w, r.WithContext(ctx))
}

// rewrite makes the request that the app gets: path and query as they came, the
// Host that was asked for (a URL target's own, unless it is to be kept), and
// forwarding headers that say who asked.
func (p *Plane) rewrite(pr *httputil.ProxyRequest, rt *route, target Target, hops int) {
	out := pr.Out
	out.URL = &url.URL{
		Scheme: target.Scheme, Host: target.Host, Path: pr.In.URL.Path, RawPath: pr.In.URL.RawPath,
		RawQuery: pr.In.URL.RawQuery, ForceQuery: pr.In.URL.ForceQuery,
	}
	if target.Path != "" {
		joined := target.Path + pr.In.URL.EscapedPath()
		out.URL.RawPath = joined
		if path, err := url.PathUnescape(joined); err == nil {
			out.URL.Path = path
		}
	}
	out.Host = pr.In.Host
	if target.URL && !rt.KeepHost {
		out.Host = hostHeader(target)
	}
	p.forwarding(pr.In, out)
	out.Header.Set(hopsHeader, strconv.Itoa(hops+1))
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // none was sent, none is made up
	}
}

// hostHeader is a URL target's authority without a default port.
func hostHeader(t Target) string {
	if host, ok := strings.CutSuffix(t.Host, map[string]string{"http": ":80", "https": ":443"}[t.Scheme]); ok {
		return host
	}
	return t.Host
}

// notListening says why an app that was started cannot be asked.
func (p *Plane) notListening(rt *route) *problem {
	s := rt.snapshot()
	if s.State == StateExited {
		return ended(s)
	}
	return starting(s)
}

// unreachable says why an app did not answer.
func (p *Plane) unreachable(rt *route, err error) *problem {
	s := rt.snapshot()
	switch {
	case s.Kind == Leased && s.State == StateExited:
		return ended(s)
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusGatewayTimeout, kind: fault.UpstreamTimeout, title: s.Name + " does not answer in time", text: "The app was reached and did not answer."}
	case refused(err):
		return nothingListens(s)
	}
	return &problem{status: http.StatusBadGateway, kind: fault.Upstream, title: s.Name + " answers nonsense", text: "The app at " + s.Target.String() + " took the request and did not answer it in HTTP, or closed the connection first."}
}
