package apps

import (
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
)

// stock is the transport on net/http's own. It is the reference that fast is
// held against.
type stock struct{ http *http.Transport }

type exchangeKey struct{}

func newStock(u *upstream) *stock {
	s := &stock{}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		x := ctx.Value(exchangeKey{}).(*outgoing)
		return u.dial(ctx, x.target)
	}
	s.http = &http.Transport{
		DialContext: dial, DialTLSContext: dial,
		DisableCompression: true, MaxIdleConns: 0, MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout: idleTimeout, ExpectContinueTimeout: continueTimeout,
		WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10,
	}
	return s
}

func (s *stock) closeIdle() { s.http.CloseIdleConnections() }
func (s *stock) close()     { s.http.CloseIdleConnections() }

func (s *stock) roundTrip(ctx context.Context, x *outgoing, header http.Header) (*incoming, error) {
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code != http.StatusContinue {
			x.inform(code, http.Header(h))
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(context.WithValue(httptrace.WithClientTrace(ctx, trace), exchangeKey{}, x))
	resp, err := s.http.RoundTrip(s.request(ctx, x))
	if err != nil {
		cancel()
		return nil, stockError(err)
	}
	drop := listed(resp.Header)
	for name, values := range resp.Header {
		if !hopByHop(name) && !slices.Contains(drop, name) {
			header[name] = values
		}
	}
	if lengths := resp.Header["Content-Length"]; len(lengths) > 0 {
		header["Content-Length"] = lengths[:1]
	}
	for name := range resp.Trailer {
		header.Add("Trailer", name)
	}
	in := &incoming{status: resp.StatusCode, length: resp.ContentLength, body: &stockBody{resp.Body, cancel}}
	in.trailers = func() http.Header { return resp.Trailer }
	return in, nil
}

func (s *stock) request(ctx context.Context, x *outgoing) *http.Request {
	// Opaque is sent as it is, but not where it begins like an authority.
	u := &url.URL{Scheme: x.target.Scheme, Host: x.target.Host}
	path, query, has := strings.Cut(x.uri, "?")
	if strings.HasPrefix(path, "//") {
		u.Path, u.RawPath = x.r.URL.Path, x.r.URL.RawPath
	} else {
		u.Opaque = path
	}
	u.RawQuery, u.ForceQuery = query, has
	h := make(http.Header, len(x.r.Header)+len(x.add)+1)
	for name, values := range x.r.Header {
		if x.passes(name) {
			h[name] = values
		}
	}
	for _, f := range x.add {
		h[f.name] = append(h[f.name], f.value)
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // or the transport makes one up
	}
	out := &http.Request{
		Method: x.r.Method, URL: u, Host: x.host, Header: h, Trailer: x.r.Trailer,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if x.body != nil {
		out.Body, out.ContentLength = x.body, x.body.length
	} else if len(x.r.Header["Content-Length"]) > 0 {
		out.Body = http.NoBody
	}
	return out.WithContext(ctx)
}

// stockError tells what net/http's errors mean here.
func stockError(err error) error {
	var dial *dialError
	if errors.As(err, &dial) {
		return dial
	}
	if text := err.Error(); strings.Contains(text, "malformed") || strings.Contains(text, "unsupported transfer encoding") {
		return &protocolError{why: text, said: ""}
	}
	return err
}

type stockBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *stockBody) ready() bool { return false }
func (b *stockBody) finish() {
	b.Close()
	b.cancel()
}

// The limits of kept connections.
const (
	maxIdle         = 512              // to one app
	idleTimeout     = 30 * time.Second // unless the app says that it is less
	continueTimeout = time.Second      // for 100 Continue; then the body is sent unasked
)
