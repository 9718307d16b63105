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

// Request is a request on its way up, complete but for the key.
type Request struct {
	Endpoint *Endpoint
	Method   string
	Path     string // escaped, below the base URL; may carry a query of its own
	Query    string
	Upload   bool        // Gemini's upload host path
	Header   http.Header // belongs to the request: the key is put into it
	Body     []byte      // the body, or
	Lease    *body.Lease // that Body was read under; nil for another one
	Stream   io.Reader   // one of Size bytes, -1 where that is not known
	Size     int64
	// Repeatable is whether it may be sent again where a kept connection closed
	// before any answer; a request with a Stream never is.
	Repeatable bool
}

// url puts the request's URL together.
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

// request makes the HTTP request with the key in it, for that endpoint alone.
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
		// Lets the transport try again on a kept connection that turns out closed.
		req.GetBody = func() (io.ReadCloser, error) { return r.reader(), nil }
		if _, own := r.Header["X-Idempotency-Key"]; r.Repeatable && !own {
			// An empty list is not sent; it only tells the transport that it may.
			r.Header["X-Idempotency-Key"] = []string{}
		}
	}
	return req
}

// largeBody is the size from which a body is worth a write call of its own. A
// smaller one is sent together with the header.
const largeBody = 32 << 10

func (r *Request) reader() io.ReadCloser {
	if len(r.Body) < largeBody {
		return io.NopCloser(bytes.NewReader(r.Body))
	}
	return body.NewReader(r.Body, r.Lease)
}

// Do sends a request up, with the key in it for its endpoint alone, and returns the
// provider's answer, whatever its status; a redirect is not followed. informational,
// where it is not nil, is given the provider's 1xx answers but 100 and 101, one at a
// time and before Do returns; the header holds only during the call.
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
		return nil, errors.New("the provider switched protocols unasked")
	}
	return resp, err
}

// early passes informational answers on until the final one has come.
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
