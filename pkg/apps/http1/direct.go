package http1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/httpx"
	"github.com/hostless/hostless/pkg/sock"
)

// directTransport performs a round trip in the caller's goroutine. Its connections have
// no goroutines.
type directTransport struct {
	upstream *Upstream
	pool     pool
}

func newDirect(u *Upstream) *directTransport {
	return &directTransport{upstream: u, pool: pool{maxIdle: u.cfg.MaxIdle, idleTimeout: u.cfg.IdleTimeout}}
}

func (f *directTransport) closeIdle() { f.pool.clear(false) }
func (f *directTransport) close()     { f.pool.clear(true) }

func (f *directTransport) roundTrip(ctx context.Context, x *Request, header http.Header) (*Response, error) {
	u := f.pool.get(x.Target, !x.retryable())
	if u == nil {
		return f.fresh(ctx, x, header)
	}
	in, err := f.try(ctx, u, x, header)
	if err == nil {
		f.pool.served()
		return in, nil
	}
	if !errors.Is(err, errStale) || ctx.Err() != nil {
		return nil, err
	}
	f.pool.died(u)
	if !x.retryable() {
		return nil, err
	}
	return f.fresh(ctx, x, header) // the app had closed the pooled connection
}

// fresh sends the request on a new connection.
func (f *directTransport) fresh(ctx context.Context, x *Request, header http.Header) (*Response, error) {
	c, err := f.upstream.dial(ctx, x.Target)
	if err != nil {
		return nil, err
	}
	return f.try(ctx, NewConn(c, x.Target), x, header)
}

// lastWrite limits the time for writing the rest of a request body after the response was
// read.
const lastWrite = 50 * time.Millisecond

// errStale means that the connection was closed before the first byte of a response.
var errStale = errors.New("connection closed before a response")

// NotRead reports whether err means that the app has not read the whole request: the
// connection was reset before the first byte of a response. TCP resets a connection that
// still has unread data when the app closes it, even if the app never accepted it (RFC 9293
// section 3.6.1). If a short request was sent with one write, the app has then read nothing
// of it, unless it reads a few bytes at a time. An app that reads the request and then
// resets the connection on purpose (SO_LINGER with a timeout of 0) looks the same.
func NotRead(err error) bool {
	return errors.Is(err, errStale) && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// try sends the request on u. Afterwards u belongs to the response body; on an error it
// is closed.
func (f *directTransport) try(ctx context.Context, u *Conn, x *Request, header http.Header) (*Response, error) {
	b := &directBody{transport: f, up: u}
	b.watch(ctx)
	u.awaitHead(f.upstream.cfg.HeaderTimeout)
	if err := u.sendHead(x); err != nil {
		if x.Data != nil && ctx.Err() == nil { // the app may have responded early and closed the connection
			if early, readErr := u.ReadHead(); readErr == nil && early.Status >= 200 {
				return b.respond(early, x, header)
			}
		}
		return nil, b.fail(fmt.Errorf("%w: %w", errStale, err))
	}
	if x.Body != nil {
		b.send(x)
	}
	for {
		h, err := u.ReadHead()
		if err != nil {
			return nil, b.fail(err)
		}
		switch {
		case h.Status == http.StatusContinue:
			b.proceed()
			continue
		case h.Status == http.StatusSwitchingProtocols:
			return nil, b.fail(&ProtocolError{Reason: "it switched protocols without a request to do so", Received: "101"})
		case h.Status < 200:
			interim := make(http.Header)
			if err := h.Fields(interim); err != nil {
				return nil, b.fail(err)
			}
			if x.OnInformational != nil {
				x.OnInformational(h.Status, interim)
			}
			continue
		}
		return b.respond(h, x, header)
	}
}

// respond returns the response for a final response head.
func (b *directBody) respond(h *Head, x *Request, header http.Header) (*Response, error) {
	if err := b.frame(h, x.Method, header); err != nil {
		return nil, b.fail(err)
	}
	b.up.streaming = true
	in := &Response{Status: h.Status, Length: b.length, Body: b}
	if b.chunked {
		in.Trailers = func() http.Header { return b.trailer }
	}
	return in, nil
}

// AppendHead appends the request line and the header to b.
func (x *Request) AppendHead(b []byte) []byte {
	b = append(b, x.Method...)
	b = append(b, ' ')
	b = append(b, x.URI...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, x.Host...)
	b = append(b, '\r', '\n')
	for name, values := range x.Header {
		if x.passes(name) {
			if x.Upgrade != "" {
				name = rfcSpelling(name)
			}
			for _, value := range values {
				b = appendField(b, name, value)
			}
		}
	}
	for _, f := range x.Add {
		b = appendField(b, f.Name, f.Value)
	}
	switch {
	case x.Upgrade != "":
		b = appendField(b, "Connection", "Upgrade")
		b = appendField(b, "Upgrade", x.Upgrade)
	case x.Data != nil:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(x.Data)), 10)
		b = append(b, '\r', '\n')
	case x.Body == nil:
		if len(x.Header["Content-Length"]) > 0 {
			b = append(b, "Content-Length: 0\r\n"...)
		}
	case x.Body.Length >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, x.Body.Length, 10)
		b = append(b, '\r', '\n')
	default:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		for name := range x.Trailer {
			b = appendField(b, "Trailer", name)
		}
	}
	return append(b, '\r', '\n')
}

// rfcSpelling returns a field name as its specification spells it instead of in Go's
// canonical form: some small servers compare names case-sensitively.
func rfcSpelling(name string) string {
	switch name {
	case "Soapaction":
		return "SOAPAction"
	case "Dnt":
		return "DNT"
	}
	if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
		return "Sec-WebSocket-" + rest
	}
	return name
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':', ' ')
	b = append(b, value...)
	return append(b, '\r', '\n')
}

// directBody is a response body on a connection, with the state of the exchange.
type directBody struct {
	transport    *directTransport
	up           *Conn
	stop         func() bool        // stops watching the request's context
	onDisconnect *sock.OnDisconnect // hook for a client disconnect; if nil, the context is watched
	length       int64              // as announced by the head, -1 if not
	left         int64              // bytes left in the body, or in the current chunk
	chunked      bool
	within       bool // in a chunk whose final CRLF was not read
	ended        bool // the body was read to its end
	broken       error
	keep         bool // the app keeps the connection open
	trailer      http.Header

	request   *RequestBody
	detecting bool          // the request body may be needed for another attempt
	sent      chan struct{} // closed when the request body is no longer read; nil without a body
	go100     chan struct{} // closed when the request body may be sent
	waiting   bool          // go100 is not closed yet
	sentFull  bool          // the whole request body was sent; read it after sent is closed
	stopSend  chan struct{} // closed when the request body is no longer needed
}

// watch makes the end of ctx, the request's context, abort the connection.
func (b *directBody) watch(ctx context.Context) {
	if b.onDisconnect = sock.OnDisconnectOf(ctx); b.onDisconnect != nil {
		b.onDisconnect.Set(b.up.abort)
	} else {
		b.stop = context.AfterFunc(ctx, b.up.abort)
	}
}

// unwatch undoes watch. It returns false if the connection was aborted, or may be at any
// moment.
func (b *directBody) unwatch() bool {
	if b.onDisconnect != nil {
		return b.onDisconnect.Clear()
	}
	return b.stop()
}

// send copies the request body to the app, in a goroutine, while the response is awaited.
func (b *directBody) send(x *Request) {
	b.request, b.sent, b.stopSend = x.Body, make(chan struct{}), make(chan struct{})
	hold := x.holdBody
	b.detecting = hold > 0
	if httpx.HasToken(x.Header["Expect"], "100-continue") {
		hold = continueTimeout
	}
	if hold > 0 {
		b.go100, b.waiting = make(chan struct{}), true
	}
	u := b.up // Finish sets b.up to nil
	go func() {
		defer close(b.sent)
		if b.go100 != nil {
			timer := time.NewTimer(hold)
			defer timer.Stop()
			select {
			case <-b.go100:
			case <-timer.C: // the app does not support 100-continue
			case <-b.stopSend:
				return
			}
		}
		err := u.writeBody(x)
		b.sentFull = err == nil
		if x.Body.Failed.Load() {
			u.abort() // the client broke off: the app must not mistake this for the end of the body
		}
	}()
}

// proceed allows the request body to be sent.
func (b *directBody) proceed() {
	if b.waiting {
		b.waiting = false
		close(b.go100)
	}
}

// fail closes the connection before a response.
func (b *directBody) fail(err error) error {
	b.broken = err
	b.Finish()
	return err
}

// Finish implements ResponseBody. It returns the connection to the pool if both bodies
// are complete.
func (b *directBody) Finish() {
	if b.up == nil {
		return
	}
	u := b.up
	b.up = nil
	whole := b.ended && b.broken == nil && b.keep && u.r == u.w
	if b.sent != nil {
		close(b.stopSend)
		if whole && b.request.Complete.Load() { // the last bytes may be on their way
			select {
			case <-b.sent:
			case <-time.After(lastWrite):
			}
		}
		select {
		case <-b.sent:
			whole = whole && b.sentFull
		default:
			u.abort() // unblocks a write
			if !b.detecting || !b.request.abandon() {
				b.request.Stop()
			}
			<-b.sent
			whole = false // abort has set its deadlines
		}
	}
	if !b.unwatch() || !whole { // or the abort may still happen
		u.Close()
		return
	}
	b.transport.pool.put(u)
}

// Read reads the response body and decodes its framing.
func (b *directBody) Read(p []byte) (n int, err error) {
	switch {
	case b.broken != nil:
		return 0, b.broken
	case b.ended:
		return 0, io.EOF
	case b.chunked:
		n, err = b.readChunks(p)
	case b.length < 0:
		n, err = b.up.Read(p)
		b.ended = err == io.EOF
	default:
		n, err = b.up.Read(p[:min(int64(len(p)), b.left)])
		b.Took(int64(n))
		if b.ended {
			err = nil
		} else if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil && err != io.EOF {
		b.broken = err
	}
	if n > 0 && err == io.EOF {
		err = nil
	}
	if n == 0 && err == nil && b.ended {
		err = io.EOF
	}
	return n, err
}

// readChunks reads from one chunk, and from the following ones that have arrived already.
func (b *directBody) readChunks(p []byte) (int, error) {
	n, err := b.readChunked(p)
	for err == nil && n < len(p) && b.left == 0 && b.Ready() {
		var more int
		more, err = b.readChunked(p[n:])
		n += more
	}
	return n, err
}

// readChunked reads from one chunk (RFC 9112 section 7.1).
func (b *directBody) readChunked(p []byte) (int, error) {
	if b.left == 0 {
		if b.within { // not earlier: data must not wait for what follows it
			if err := b.up.readCRLF(); err != nil {
				return 0, noEOF(err)
			}
		}
		size, err := b.up.readChunkSize()
		if err != nil {
			return 0, noEOF(err)
		}
		if size == 0 {
			if b.trailer, err = b.up.readTrailer(); err != nil {
				return 0, noEOF(err)
			}
			b.ended = true
			return 0, io.EOF
		}
		b.left, b.within = size, true
	}
	n, err := b.up.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, noEOF(err)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Ready implements ResponseBody. Between chunks, it requires the next chunk's size and
// some of its data, or the complete last chunk with its trailers.
func (b *directBody) Ready() bool {
	if b.ended {
		return true
	}
	have := b.up.buf[b.up.r:b.up.w]
	if !b.chunked || b.left > 0 {
		return len(have) > 0
	}
	if b.within {
		end := bytes.IndexByte(have, '\n')
		have = have[end+1:]
		if end < 0 {
			return false
		}
	}
	end := bytes.IndexByte(have, '\n')
	if end >= 0 && have[0] == '0' {
		return headEnd(have, 0) > 0
	}
	return end >= 0 && end+1 < len(have)
}

// Direct returns what package proxy needs to copy the rest of the body in the kernel.
func (b *directBody) Direct() (c *net.TCPConn, buffered []byte, left int64) {
	c, _ = b.up.Conn.(*net.TCPConn)
	if c == nil || b.chunked || b.length < 0 {
		return nil, nil, 0
	}
	n := int(min(int64(b.up.w-b.up.r), b.left))
	buffered = b.up.buf[b.up.r : b.up.r+n]
	b.up.r += n
	return c, buffered, b.left
}

// Took records that n bytes of the body were passed on.
func (b *directBody) Took(n int64) {
	b.left -= n
	b.ended = b.left == 0
}
