package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/secret"
)

// Request is a request to a provider, complete except for the key.
type Request struct {
	Endpoint *Endpoint
	Method   string
	Path     string // escaped, relative to the base URL; may have a query of its own
	Query    string
	Upload   bool        // insert /upload, for Gemini
	Header   http.Header // owned by the request, since the key is added to it
	Body     []byte      // the body, unless Stream is set
	Lease    *body.Lease // the lease of Body; nil if it was not read under one
	Stream   io.Reader   // a body of Size bytes, or -1 if that is unknown
	Size     int64
	// Repeatable means that the request may be sent again if a kept connection closed
	// before a response. It is ignored for a Stream.
	Repeatable bool
}

// url returns the URL of the request.
func (r *Request) url() *url.URL {
	u := r.Endpoint.base
	path, own, _ := strings.Cut(r.Path, "?")
	if r.Upload {
		i := strings.LastIndexByte(u.Path, '/')
		u.Path = u.Path[:max(i, 0)] + "/upload" + u.Path[max(i, 0):]
	}
	if strings.IndexByte(path, '%') >= 0 {
		u.RawPath = u.Path + path
		if plain, err := url.PathUnescape(path); err == nil {
			path = plain
		}
	}
	u.Path += path
	switch u.RawQuery = r.Query; {
	case own != "" && r.Query != "":
		u.RawQuery = own + "&" + r.Query
	case own != "":
		u.RawQuery = own
	}
	return &u
}

// request builds the HTTP request for the endpoint, including the key.
func (r *Request) request(ctx context.Context, key secret.String) *http.Request {
	setAuth(r.Header, r.Endpoint.auth, key)
	req := (&http.Request{
		Method: r.Method, URL: r.url(), Header: r.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	switch {
	case r.Stream != nil:
		req.Body, req.ContentLength = io.NopCloser(r.Stream), r.Size
	case len(r.Body) > 0:
		req.ContentLength = int64(len(r.Body))
		req.Body = r.reader()
		// Allows the transport to retry if a kept connection turns out to be closed.
		req.GetBody = func() (io.ReadCloser, error) { return r.reader(), nil }
		if _, own := r.Header["X-Idempotency-Key"]; r.Repeatable && !own {
			// An empty value is not sent; it only tells the transport that a retry is safe.
			r.Header["X-Idempotency-Key"] = []string{}
		}
	}
	return req
}

// largeBody is the size from which a body is written with a write call of its own. A
// smaller one is sent together with the header.
const largeBody = 32 << 10

func (r *Request) reader() io.ReadCloser {
	if len(r.Body) < largeBody {
		return io.NopCloser(bytes.NewReader(r.Body))
	}
	return body.NewReader(r.Body, r.Lease)
}

// Do sends a request, including the key, to its endpoint and returns the provider's
// response, whatever its status. It does not follow redirects. If informational is not nil,
// it is called for each 1xx response except 100 and 101, sequentially and before Do
// returns; the header is valid only during the call.
func (c *Client) Do(ctx context.Context, r *Request, key secret.String, informational func(status int, header http.Header)) (*http.Response, error) {
	if r.Endpoint.Builtin {
		return c.echo.RoundTrip(r.request(ctx, secret.String{}))
	}
	var early early
	if informational != nil {
		early.pass = informational
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: early.got})
	}
	resp, err := c.transport(r).RoundTrip(r.request(ctx, key))
	early.stop()
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, errors.New("the provider switched protocols without being asked to")
	}
	return resp, err
}

// early passes informational responses on until the final one has arrived.
type early struct {
	mu   sync.Mutex
	over bool
	pass func(int, http.Header)
}

func (e *early) got(status int, header textproto.MIMEHeader) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over && status != http.StatusContinue && status != http.StatusSwitchingProtocols {
		e.pass(status, http.Header(header))
	}
	return nil
}

func (e *early) stop() {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
}
