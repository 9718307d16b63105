package apps

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
)

// transport takes a request to its app and brings the answer's head back. Fast
// and stock are the two; both keep the same promises.
type transport interface {
	// roundTrip fills header, which may hold fields already, with the answer's
	// end-to-end fields. An error that is a *dialError was met before anything of
	// the request was sent; with any error header is as it was. When ctx ends the
	// app's connection is cut at once.
	roundTrip(ctx context.Context, x *outgoing, header http.Header) (*incoming, error)
	// closeIdle ends the connections that are kept.
	closeIdle()
	// close ends them, and those in use once they are free.
	close()
}

// outgoing is a request on its way to an app.
type outgoing struct {
	r      *http.Request // as the client sent it; it is not changed
	route  *route
	target Target
	method string
	uri    string // the request target, as it was received below the target's base
	host   string
	drop   []string // fields that the client's Connection names
	add    []field
	own    [8]field // add's memory
	// upgrade is the protocol asked for, or "". Only upgrade.go sets it.
	upgrade string
	body    *requestBody // nil where there is none
	// inform passes on an interim answer other than 100 and 101.
	inform func(status int, h http.Header)
}

// incoming is an app's answer.
type incoming struct {
	status int
	length int64 // of the body, -1 where it is not known
	body   answerBody
	// trailers are the fields after the body; nil, or to be called after its end.
	trailers func() http.Header
}

// answerBody is the body of an answer. A Read after its end is io.EOF, one after
// a cut is another error.
type answerBody interface {
	io.Reader
	// ready reports whether a Read would not wait for the app.
	ready() bool
	// finish gives the connection back, or ends it where the body was not read to
	// its end. Nothing of the exchange runs any more afterwards.
	finish()
}

// requestBody is a client's body; it knows whether it was read to its end.
type requestBody struct {
	io.Reader
	length   int64 // -1 where it is not known
	complete atomic.Bool
	failed   atomic.Bool // the client broke off
	stopped  atomic.Bool
	unblock  func() // ends a Read that waits for the client
}

// stop ends the reading of a body of which no more is wanted.
func (b *requestBody) stop() {
	if !b.complete.Load() {
		b.stopped.Store(true)
		b.unblock()
	}
}

// Read reads from the client.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.complete.Store(true)
	default:
		b.failed.Store(!b.stopped.Load())
	}
	return n, err
}

// end reads the end of a body that has given all of its length.
func (b *requestBody) end() error {
	var one [1]byte
	if n, err := b.Read(one[:]); n != 0 || err != io.EOF {
		return errors.New("request body is longer than its length")
	}
	return io.EOF
}

// Close leaves closing to the server that made the body.
func (b *requestBody) Close() error { return nil }

// outgoing makes the request that an app gets.
func (p *Plane) outgoing(r *http.Request, rt *route) *outgoing {
	t := rt.target()
	x := &outgoing{r: r, route: rt, target: t, method: r.Method, uri: r.RequestURI, host: r.Host}
	x.add = x.own[:0]
	if x.uri == "" {
		x.uri = r.URL.RequestURI()
	}
	if t.Path != "" && x.uri != "*" {
		x.uri = t.Path + x.uri
	}
	if t.URL && !rt.KeepHost {
		x.host = t.authority()
	}
	if len(r.Header["Connection"]) > 0 {
		x.drop = listed(r.Header)
	}
	if hasToken(r.Header["Te"], "trailers") {
		x.add = append(x.add, field{"Te", "trailers"})
	}
	x.add = forwarded(x.add, r, p.cfg.TrustedProxies())
	x.add = append(x.add, field{headerHops, strconv.Itoa(hops(r.Header) + 1)})
	if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
		x.body = &requestBody{Reader: r.Body, length: r.ContentLength}
	}
	return x
}

// passes reports whether a field of the client's goes on to the app as it is.
func (x *outgoing) passes(name string) bool {
	if hopByHop(name) || forwarding(name) || name == "Host" || name[0] == ':' {
		return false
	}
	return !slices.Contains(x.drop, name)
}

// retryable reports whether the request may be sent again after a connection
// that was kept has turned out to be dead.
func (x *outgoing) retryable() bool {
	if x.body != nil || x.upgrade != "" {
		return false
	}
	switch x.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// protocolError is an app that answered with something else than HTTP.
type protocolError struct {
	why  string
	said string // its first bytes
}

func (e *protocolError) Error() string { return "app's answer: " + e.why }
