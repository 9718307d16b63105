package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/httpx"
	"github.com/hostless/hostless/pkg/sock"
)

// inlineBody is the maximum size of an in-memory body that is written in the caller's
// goroutine before the response is read. It fits into a socket buffer, so a server that
// responds without reading the body does not block the write.
const inlineBody = 64 << 10

// Transport is an http.RoundTripper that speaks HTTP/1.1 to any number of servers, over
// TCP and TLS. A request without a body, or with an in-memory body (GetBody is set) of up
// to 64 KiB, is sent in the caller's goroutine. Responses are read there too; connections
// have no goroutines.
//
// It behaves like net/http's Transport with DisableCompression. Of the hooks in httptrace
// it calls only Got1xxResponse. Requests that need a proxy or ask for an upgrade go to
// Fallback. It is safe for concurrent use; its fields must not be changed after the first
// request.
type Transport struct {
	// Config configures connections. DialContext is called with the URL's host:port.
	Config Config
	// Proxy returns the proxy for a request, as in http.Transport; nil means no proxies.
	Proxy func(*http.Request) (*url.URL, error)
	// Fallback sends the requests that this transport does not support. If it is nil,
	// they are errors.
	Fallback http.RoundTripper

	upstreams sync.Map // Target → *Upstream
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if through, err := t.elsewhere(req); through || err != nil {
		if err == nil && t.Fallback == nil {
			err = errors.New("http1: this request needs a Fallback")
		}
		if err != nil {
			closeBody(req)
			return nil, err
		}
		return t.Fallback.RoundTrip(req)
	}
	x, err := newRequest(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	b := &responseBody{req: req, sending: x.Body}
	// The context may end for other reasons than a client disconnect, so the client's own
	// disconnect hook is not enough.
	ctx := sock.WithOnDisconnect(req.Context(), &b.cut)
	b.unwatch = context.AfterFunc(ctx, b.cut.Fire)
	header := make(http.Header, 16)
	for attempt := 0; ; attempt++ {
		if b.in, err = t.upstream(x.Target).RoundTrip(ctx, x, header); err == nil {
			break
		}
		if x.Body != nil && x.Idempotent && req.GetBody != nil && attempt < maxResend && errors.Is(err, errStale) && ctx.Err() == nil {
			if err = x.rewind(req); err == nil {
				continue
			}
		}
		b.unwatch()
		closeBody(req)
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	resp := &http.Response{
		Status: strconv.Itoa(b.in.Status) + " " + http.StatusText(b.in.Status), StatusCode: b.in.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: b.in.Length, Body: b, Request: req,
	}
	if lengths := header["Content-Length"]; x.Method == http.MethodHead {
		resp.ContentLength = -1
		if len(lengths) == 1 {
			resp.ContentLength, _ = strconv.ParseInt(lengths[0], 10, 64)
		}
	}
	if names := header["Trailer"]; len(names) > 0 && b.in.Trailers != nil {
		b.trailer = make(http.Header)
		for _, value := range names {
			for name := range strings.SplitSeq(value, ",") {
				b.trailer[http.CanonicalHeaderKey(textproto.TrimString(name))] = nil
			}
		}
		delete(header, "Trailer")
		resp.Trailer = b.trailer
	}
	return resp, nil
}

// maxResend is how often a request is sent again after a closed connection.
const maxResend = 3

// CloseIdleConnections closes the idle connections.
func (t *Transport) CloseIdleConnections() {
	t.upstreams.Range(func(_, u any) bool {
		u.(*Upstream).CloseIdle()
		return true
	})
	if f, ok := t.Fallback.(interface{ CloseIdleConnections() }); ok {
		f.CloseIdleConnections()
	}
}

func (t *Transport) upstream(target Target) *Upstream {
	if u, ok := t.upstreams.Load(target); ok {
		return u.(*Upstream)
	}
	u, _ := t.upstreams.LoadOrStore(target, New(t.Config))
	return u.(*Upstream)
}

// elsewhere reports whether a request must go to the Fallback.
func (t *Transport) elsewhere(req *http.Request) (bool, error) {
	if len(req.Header["Upgrade"]) > 0 || req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.Trailer != nil {
		return true, nil
	}
	if t.Proxy == nil {
		return false, nil
	}
	proxy, err := t.Proxy(req)
	return proxy != nil, err
}

// newRequest converts a request of net/http. It validates it, because no server has
// parsed it before.
func newRequest(req *http.Request) (*Request, error) {
	port := req.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[req.URL.Scheme]
	}
	x := &Request{
		Target: Target{Scheme: req.URL.Scheme, Host: net.JoinHostPort(req.URL.Hostname(), port)},
		Method: req.Method, URI: req.URL.RequestURI(), URL: req.URL, Host: req.Host, Header: req.Header,
	}
	if x.Method == "" {
		x.Method = http.MethodGet
	}
	if x.Host == "" {
		x.Host = req.URL.Host
	}
	if !httpx.IsToken(x.Method) || req.URL.Hostname() == "" || !httpx.IsVisible(x.URI) || !httpx.IsVisible(x.Host) {
		return nil, errors.New("http1: invalid method, URL or host")
	}
	for name, values := range req.Header {
		if !httpx.IsToken(name) {
			return nil, fmt.Errorf("http1: invalid header field name %q", name)
		}
		for _, value := range values {
			if !httpx.IsFieldValue(value) {
				return nil, fmt.Errorf("http1: invalid value of header field %s", name) // not the value: it may be a secret
			}
		}
	}
	if agents := req.Header["User-Agent"]; len(agents) == 1 && agents[0] == "" { // net/http's convention for no User-Agent
		x.Omit = isUserAgent
	}
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, ok := req.Header[name]; ok {
			x.Idempotent = true
		}
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.Got1xxResponse != nil {
		x.OnInformational = func(status int, h http.Header) { _ = trace.Got1xxResponse(status, textproto.MIMEHeader(h)) }
	}
	return x, x.takeBody(req)
}

func isUserAgent(name string) bool { return name == "User-Agent" }

// takeBody stores a short in-memory body in Data.
func (x *Request) takeBody(req *http.Request) error {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		if x.Method == http.MethodPost || x.Method == http.MethodPut || x.Method == http.MethodPatch {
			x.Data = []byte{} // non-nil: sends Content-Length: 0
		}
		return nil
	case req.GetBody != nil && req.ContentLength > 0 && req.ContentLength <= inlineBody:
		x.Data = make([]byte, req.ContentLength)
		if n, err := io.ReadFull(req.Body, x.Data); err != nil {
			return fmt.Errorf("http1: the body ends after %d of %d bytes: %w", n, req.ContentLength, err)
		}
		closeBody(req)
		return nil
	}
	length := req.ContentLength
	if length == 0 {
		length = -1 // net/http's meaning of 0 with a non-nil body
	}
	x.Body = &RequestBody{Reader: req.Body, Length: length, Unblock: func() { req.Body.Close() }}
	return nil
}

// rewind makes the body ready to be sent again.
func (x *Request) rewind(req *http.Request) error {
	body, err := req.GetBody()
	if err != nil {
		return err
	}
	x.Body = &RequestBody{Reader: body, Length: x.Body.Length, Unblock: func() { body.Close() }}
	return nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// responseBody is the response body for net/http's clients: Close may be called during a
// Read.
type responseBody struct {
	in      *Response
	req     *http.Request
	sending *RequestBody      // the request body, or nil
	trailer http.Header       // the response's trailers, or nil
	cut     sock.OnDisconnect // aborts the connection during the exchange
	unwatch func() bool

	mu   sync.Mutex // guards reading and the end of the body
	done bool
}

// Read implements io.Reader. At the end of the body, the connection becomes idle.
func (b *responseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return 0, io.EOF
	}
	n, err := b.in.Body.Read(p)
	switch {
	case err == io.EOF:
		if b.trailer != nil {
			maps.Copy(b.trailer, b.in.Trailers())
		}
		b.finish()
	case err != nil:
		if cause := context.Cause(b.req.Context()); cause != nil {
			err = cause
		}
	}
	return n, err
}

// Ready reports whether Read will return without waiting for the server.
func (b *responseBody) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done || b.in.Body.Ready()
}

// Close implements io.Closer.
func (b *responseBody) Close() error {
	if !b.mu.TryLock() {
		b.cut.Fire() // unblocks a pending Read
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	b.finish()
	return nil
}

func (b *responseBody) finish() {
	if b.done {
		return
	}
	b.done = true
	b.unwatch()
	b.in.Body.Finish()
	if b.sending != nil {
		closeBody(b.req)
	}
}

var _ http.RoundTripper = (*Transport)(nil)
