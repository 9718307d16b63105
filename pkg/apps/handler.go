package apps

import (
	"errors"
	"net/http"
	"time"
)

// ServeHTTP takes a request to the app of its host, or answers with a page that
// says what is wrong.
func (p *Plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, ok := hostOf(r.Host)
	if !ok {
		p.Misdirected(w, r)
		return
	}
	if hops(r.Header) >= maxHops {
		p.fail(w, r, &trouble{status: http.StatusLoopDetected, host: host, route: p.lookup(host, r.URL.Path)})
		return
	}
	rt := p.lookup(host, r.URL.Path)
	if rt == nil {
		p.fail(w, r, &trouble{status: http.StatusNotFound, host: host})
		return
	}
	if s := rt.state.Load(); s != nil {
		switch s.name {
		case StateIdle:
			rt.lease.tell(Event{Kind: EventStart, Reason: "it was asked for"})
		case StateExited: // its port may be another's by now
			p.fail(w, r, &trouble{status: http.StatusBadGateway, host: host, route: rt, err: &dialError{errExited}})
			return
		}
	}
	if protocol := upgradeOf(r); protocol != "" {
		p.upgrade(w, r, rt, host, protocol)
		return
	}
	p.forward(w, r, rt, host)
}

// Misdirected answers a request for a host that is not ours.
func (p *Plane) Misdirected(w http.ResponseWriter, r *http.Request) {
	p.fail(w, r, &trouble{status: http.StatusMisdirectedRequest, host: r.Host})
}

// forward takes a request to its app and the answer back.
func (p *Plane) forward(w http.ResponseWriter, r *http.Request, rt *route, host string) {
	x := p.outgoing(r, rt)
	header := w.Header()
	rc := http.NewResponseController(w)
	if x.body != nil {
		// An app may answer before it has read all; the answer must not wait.
		_ = rc.EnableFullDuplex() // HTTP/2 always does
		x.body.unblock = func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) }
	}
	x.inform = func(status int, h http.Header) { inform(w, r, status, h) }
	in, err := p.reach(r, x, header)
	if err != nil {
		if x.body != nil {
			if x.body.failed.Load() {
				err = errBrokenBody
			}
			x.body.stop()
			if x.body.stopped.Load() { // which ends the request's context too
				p.fail(w, r, p.diagnose(rt, host, err))
				return
			}
		}
		p.unreachable(w, r, rt, host, err)
		return
	}
	defer settle(x, in)
	if x.body != nil && !x.body.complete.Load() && r.ProtoMajor == 1 {
		header.Set("Connection", "close") // what is left of the body is not read
	}
	if _, has := header["Content-Type"]; !has {
		header["Content-Type"] = nil // or the server guesses one
	}
	w.WriteHeader(in.status)
	if err := relay(w, r, in); err != nil {
		p.log.Debug("answer was cut", "hostname", host, "error", err)
		panic(http.ErrAbortHandler)
	}
	if in.trailers != nil {
		announced := header["Trailer"]
		for name, values := range in.trailers() {
			if !hasToken(announced, name) {
				_ = rc.Flush() // a short answer that waits whole would get a length, and no trailers
				name = http.TrailerPrefix + name
			}
			header[name] = values
		}
	}
}

// settle ends an exchange: no goroutine of it reads the request's body any more
// when the handler returns.
func settle(x *outgoing, in *incoming) {
	if x.body != nil {
		x.body.stop()
	}
	in.body.finish()
}

// inform passes an interim answer on, such as 103 Early Hints.
func inform(w http.ResponseWriter, r *http.Request, status int, h http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	header := w.Header()
	for name, values := range h {
		if !hopByHop(name) {
			header[name] = values
		}
	}
	w.WriteHeader(status)
	for name := range h {
		delete(header, name)
	}
}

// reach sends the request. While the app of a run starts, a client that is no
// browser is held and the request is tried again: none of it was sent.
func (p *Plane) reach(r *http.Request, x *outgoing, header http.Header) (*incoming, error) {
	in, err := x.route.upstream.roundTrip(r.Context(), x, header)
	var dial *dialError
	if err == nil || !errors.As(err, &dial) || !starting(x.route) || wantsHTML(r) {
		return in, err
	}
	deadline := time.NewTimer(p.cfg.Hold)
	defer deadline.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for starting(x.route) {
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-p.closing.Done():
			return nil, err
		case <-deadline.C:
			return nil, err
		case <-look.C:
		}
		if x.route.state.Load().name == StateIdle { // it came to rest meanwhile
			x.route.lease.tell(Event{Kind: EventStart, Reason: "it was asked for"})
		}
		x.target = x.route.target()
		in, err = x.route.upstream.roundTrip(r.Context(), x, header)
		if err == nil || !errors.As(err, &dial) {
			break
		}
	}
	return in, err
}

var errExited = errors.New("the app has ended")

// starting reports whether the app of a run is still to listen.
func starting(rt *route) bool {
	if rt.lease == nil {
		return false
	}
	select {
	case <-rt.lease.done:
		return false
	default:
	}
	s := rt.state.Load().name
	return s == StateStarting || s == StateIdle
}
