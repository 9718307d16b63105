package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/httpx"
)

// stdTransport uses net/http's Transport. It is the reference for directTransport in
// tests and benchmarks.
type stdTransport struct{ http *http.Transport }

type exchangeKey struct{}

func newStd(u *Upstream) *stdTransport {
	s := &stdTransport{}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		x := ctx.Value(exchangeKey{}).(*Request)
		return u.dial(ctx, x.Target)
	}
	s.http = &http.Transport{
		DialContext: dial, DialTLSContext: dial,
		DisableCompression: true, MaxIdleConns: 0, MaxIdleConnsPerHost: u.cfg.MaxIdle,
		IdleConnTimeout: u.cfg.IdleTimeout, ExpectContinueTimeout: continueTimeout,
		WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10,
	}
	return s
}

func (s *stdTransport) closeIdle() { s.http.CloseIdleConnections() }
func (s *stdTransport) close()     { s.http.CloseIdleConnections() }

func (s *stdTransport) roundTrip(ctx context.Context, x *Request, header http.Header) (*Response, error) {
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code != http.StatusContinue {
			if x.OnInformational != nil {
				x.OnInformational(code, http.Header(h))
			}
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(context.WithValue(httptrace.WithClientTrace(ctx, trace), exchangeKey{}, x))
	resp, err := s.http.RoundTrip(s.request(ctx, x))
	if err != nil {
		cancel()
		return nil, stdError(err)
	}
	drop := httpx.ConnectionFields(resp.Header)
	for name, values := range resp.Header {
		if !httpx.HopByHop(name) && !slices.Contains(drop, name) {
			header[name] = values
		}
	}
	if lengths := resp.Header["Content-Length"]; len(lengths) > 0 {
		header["Content-Length"] = lengths[:1]
	}
	for name := range resp.Trailer {
		header.Add("Trailer", name)
	}
	in := &Response{Status: resp.StatusCode, Length: resp.ContentLength, Body: &stdBody{resp.Body, cancel}}
	in.Trailers = func() http.Header { return resp.Trailer }
	return in, nil
}

func (s *stdTransport) request(ctx context.Context, x *Request) *http.Request {
	// Opaque is sent unchanged, unless it begins like an authority.
	u := &url.URL{Scheme: x.Target.Scheme, Host: x.Target.Host}
	path, query, has := strings.Cut(x.URI, "?")
	if strings.HasPrefix(path, "//") {
		u.Path, u.RawPath = x.URL.Path, x.URL.RawPath
	} else {
		u.Opaque = path
	}
	u.RawQuery, u.ForceQuery = query, has
	h := make(http.Header, len(x.Header)+len(x.Add)+1)
	for name, values := range x.Header {
		if x.passes(name) {
			h[name] = values
		}
	}
	for _, f := range x.Add {
		h[f.Name] = append(h[f.Name], f.Value)
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // prevents the transport's default
	}
	out := &http.Request{
		Method: x.Method, URL: u, Host: x.Host, Header: h, Trailer: x.Trailer,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if x.Data != nil {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(x.Data)), int64(len(x.Data))
	} else if x.Body != nil {
		out.Body, out.ContentLength = x.Body, x.Body.Length
	} else if len(x.Header["Content-Length"]) > 0 {
		out.Body = http.NoBody
	}
	return out.WithContext(ctx)
}

// stdError converts net/http's errors into those of this package.
func stdError(err error) error {
	var dial *DialError
	if errors.As(err, &dial) {
		return dial
	}
	if text := err.Error(); strings.Contains(text, "malformed") || strings.Contains(text, "unsupported transfer encoding") {
		return &ProtocolError{Reason: text, Received: ""}
	}
	return err
}

type stdBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *stdBody) Ready() bool { return false }
func (b *stdBody) Finish() {
	b.Close()
	b.cancel()
}

// Limits of idle connections.
const (
	maxIdle         = 512              // per app
	idleTimeout     = 30 * time.Second // unless the app announces less
	continueTimeout = time.Second      // wait for 100 Continue before the body is sent anyway
)
