package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/httpx"
)

// roundTripper sends a request and reads the head of its response. There are two
// implementations with one contract: directTransport, and stdTransport on
// net/http's Transport, which the tests compare the first with.
type roundTripper interface {
	roundTrip(ctx context.Context, x *Request, header http.Header) (*Response, error)
	// closeIdle closes the idle connections.
	closeIdle()
	// close closes the idle connections, and those in use once they are free.
	close()
}

// Field is one header field.
type Field struct{ Name, Value string }

// Request is one request to an upstream. It is used by one RoundTrip at a time.
type Request struct {
	Target Target
	Method string
	// URI is the request target in origin form, or "*". It is sent byte for byte.
	URI string
	// URL is the same parsed, for the Transport of net/http.
	URL *url.URL
	// Host is the Host field's value.
	Host string
	// Header is what the client sent. It is not changed: hop-by-hop fields, those
	// of Drop and those that Omit reports are left out, Add is appended.
	Header  http.Header
	Drop    []string // fields that the client's Connection names, in canonical form
	Omit    func(name string) bool
	Add     []Field
	Trailer http.Header // filled by the body's reader, as in http.Request
	// Upgrade is the protocol to switch to, or "". Only AppendHead heeds it.
	Upgrade string
	Body    *RequestBody // nil where there is none
	// Data is a whole short body in the place of Body. It is written with the head.
	Data []byte
	// Idempotent says that the request may be sent again if a connection that was
	// kept turns out to be closed; GET, HEAD and OPTIONS always are.
	Idempotent bool

	holdBody time.Duration // how long the body waits after the head
	// OnInformational is called for each 1xx response but 100 and 101; it may be nil.
	OnInformational func(status int, h http.Header)
}

// Response is the response to a Request; its header is in the map that RoundTrip
// was given.
type Response struct {
	Status int
	Length int64 // of the body, -1 where it is not known
	Body   ResponseBody
	// Trailers gives the fields after the body once that was read to its end. It
	// is nil where there are none.
	Trailers func() http.Header
}

// ResponseBody is the body of a response. A Read after its end is io.EOF; any
// other error means that the response is not complete.
type ResponseBody interface {
	io.Reader
	// Ready reports whether a Read returns without waiting for the upstream.
	Ready() bool
	// Finish returns the connection to the pool, or closes it where the body was
	// not read to its end. No goroutine of the exchange runs when it returns.
	Finish()
}

// RequestBody is a request's body. It records whether it was read to its end.
type RequestBody struct {
	io.Reader
	Length  int64  // -1 where it is not known
	Unblock func() // ends a Read that waits for the client

	Complete atomic.Bool // it was read to its end
	Failed   atomic.Bool // the client left or sent what cannot be read
	Stopped  atomic.Bool // reading was ended before its end
	state    atomic.Int32
}

// The states of a RequestBody.
const (
	bodyUnread   int32 = iota
	bodyRead           // at least in part, or being read
	bodyForsaken       // it is not to be read any more, and was not
)

// rewind makes a body readable again that was not read. It is false for one that
// was.
func (b *RequestBody) rewind() bool {
	return b.state.Load() == bodyUnread || b.state.CompareAndSwap(bodyForsaken, bodyUnread)
}

// abandon has a body that was not read stay so. It is false for one that was.
func (b *RequestBody) abandon() bool {
	return b.state.CompareAndSwap(bodyUnread, bodyForsaken) || b.state.Load() == bodyForsaken
}

// Stop ends the reading of a body of which no more is needed.
func (b *RequestBody) Stop() {
	b.abandon()
	if !b.Complete.Load() {
		b.Stopped.Store(true)
		b.Unblock()
	}
}

// Read implements io.Reader.
func (b *RequestBody) Read(p []byte) (int, error) {
	if b.state.CompareAndSwap(bodyUnread, bodyRead); b.state.Load() == bodyForsaken {
		return 0, errForsaken
	}
	n, err := b.Reader.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.Complete.Store(true)
	default:
		b.Failed.Store(!b.Stopped.Load())
	}
	return n, err
}

var errForsaken = errors.New("the request's body is not needed any more")

// end reads the end of a body that has given all of its length.
func (b *RequestBody) end() error {
	var one [1]byte
	if n, err := b.Read(one[:]); n != 0 || err != io.EOF {
		return errors.New("request body is longer than its length")
	}
	return io.EOF
}

// Close implements io.Closer. The body belongs to the server that made it.
func (b *RequestBody) Close() error { return nil }

// passes reports whether a field of Header is sent as it is.
func (x *Request) passes(name string) bool {
	if httpx.HopByHop(name) || name == "Host" || name[0] == ':' || x.Omit != nil && x.Omit(name) {
		return false
	}
	return !slices.Contains(x.Drop, name)
}

// retryable reports whether the request may be sent again after a connection
// that was kept has turned out to be dead.
func (x *Request) retryable() bool {
	if x.Body != nil || x.Upgrade != "" {
		return false
	}
	switch x.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return x.Idempotent
}

// ProtocolError is an upstream that responds with something other than HTTP/1.
type ProtocolError struct {
	Reason   string
	Received string // the first bytes
}

func (e *ProtocolError) Error() string { return "invalid response: " + e.Reason }
