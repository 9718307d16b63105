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

// roundTripper sends a request and reads the head of its response. It has two
// implementations with the same contract: directTransport, and stdTransport on top of
// net/http's Transport, as a reference for tests.
type roundTripper interface {
	roundTrip(ctx context.Context, x *Request, header http.Header) (*Response, error)
	// closeIdle closes the idle connections.
	closeIdle()
	// close closes the idle connections, and the others once they are unused.
	close()
}

// Field is one header field.
type Field struct{ Name, Value string }

// Request is a request to an upstream. It must not be used by concurrent round trips.
type Request struct {
	Target Target
	Method string
	// URI is the request target in origin form, or "*". It is sent byte for byte.
	URI string
	// URL is the parsed URI, for net/http's Transport.
	URL *url.URL
	// Host is the value of the Host field.
	Host string
	// Header is the client's header. It is not modified. Hop-by-hop fields, the fields in
	// Drop and those for which Omit returns true are left out; the fields in Add are
	// appended.
	Header  http.Header
	Drop    []string // fields named by the client's Connection field, in canonical form
	Omit    func(name string) bool
	Add     []Field
	Trailer http.Header // filled by the reader of the body, as in http.Request
	// Upgrade is the protocol to switch to, or "". Only AppendHead uses it.
	Upgrade string
	Body    *RequestBody // nil if there is none
	// Data is a complete short body, instead of Body. It is written together with the
	// head.
	Data []byte
	// Idempotent means that the request may be sent again if a pooled connection turns
	// out to be closed. GET, HEAD and OPTIONS always may.
	Idempotent bool

	holdBody time.Duration // delay between the head and the body
	// OnInformational is called for each 1xx response except 100 and 101; it may be nil.
	OnInformational func(status int, h http.Header)
}

// Response is the response to a Request. Its header is in the map that was passed to
// RoundTrip.
type Response struct {
	Status int
	Length int64 // length of the body, -1 if unknown
	Body   ResponseBody
	// Trailers returns the trailer fields after the body was read to its end. It is nil
	// if there can be none.
	Trailers func() http.Header
}

// ResponseBody is the body of a response. Read returns io.EOF after the end; any other
// error means that the response is incomplete.
type ResponseBody interface {
	io.Reader
	// Ready reports whether Read will return without waiting for the upstream.
	Ready() bool
	// Finish returns the connection to the pool, or closes it if the body was not read to
	// its end. When it returns, no goroutine of the exchange is running.
	Finish()
}

// RequestBody is a request body that records whether it was read to its end.
type RequestBody struct {
	io.Reader
	Length  int64  // -1 if unknown
	Unblock func() // makes a Read that waits for the client return

	Complete atomic.Bool // read to its end
	Failed   atomic.Bool // the client disconnected or sent an invalid body
	Stopped  atomic.Bool // reading was stopped before the end
	state    atomic.Int32
}

// States of a RequestBody.
const (
	bodyUnread    int32 = iota
	bodyRead            // read at least in part, or being read
	bodyAbandoned       // abandoned before anything was read
)

// rewind makes a body that was not read readable again. It returns false if the body was
// read.
func (b *RequestBody) rewind() bool {
	return b.state.Load() == bodyUnread || b.state.CompareAndSwap(bodyAbandoned, bodyUnread)
}

// abandon prevents a body that was not read from being read. It returns false if the body
// was read.
func (b *RequestBody) abandon() bool {
	return b.state.CompareAndSwap(bodyUnread, bodyAbandoned) || b.state.Load() == bodyAbandoned
}

// Stop ends the reading of a body that is no longer needed.
func (b *RequestBody) Stop() {
	b.abandon()
	if !b.Complete.Load() {
		b.Stopped.Store(true)
		b.Unblock()
	}
}

// Read implements io.Reader.
func (b *RequestBody) Read(p []byte) (int, error) {
	if b.state.CompareAndSwap(bodyUnread, bodyRead); b.state.Load() == bodyAbandoned {
		return 0, errBodyAbandoned
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

var errBodyAbandoned = errors.New("the request body is no longer needed")

// end reads the end of a body of which all bytes were read.
func (b *RequestBody) end() error {
	var one [1]byte
	if n, err := b.Read(one[:]); n != 0 || err != io.EOF {
		return errors.New("request body is longer than its Content-Length")
	}
	return io.EOF
}

// Close implements io.Closer. It does nothing: the body belongs to the server.
func (b *RequestBody) Close() error { return nil }

// passes reports whether a field of Header is forwarded.
func (x *Request) passes(name string) bool {
	if httpx.HopByHop(name) || name == "Host" || name[0] == ':' || x.Omit != nil && x.Omit(name) {
		return false
	}
	return !slices.Contains(x.Drop, name)
}

// retryable reports whether the request may be sent again after a pooled connection
// turned out to be closed.
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

// ProtocolError means that the upstream's response is not valid HTTP/1.
type ProtocolError struct {
	Reason   string
	Received string // the first bytes
}

func (e *ProtocolError) Error() string { return "invalid response: " + e.Reason }
