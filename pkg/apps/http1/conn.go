package http1

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/httpx"
	"github.com/hostless/hostless/pkg/sock"
)

// The size of the read buffer, and limits on the head and the framing of a response.
const (
	readSize = sock.BufferSize
	maxHead  = 1 << 20
	maxLine  = 16 << 10 // line with a chunk size and its extensions
)

// Conn is a connection to an app. It has a read buffer.
type Conn struct {
	net.Conn
	quick  *sock.Conn // the same connection if it is plain TCP, or nil
	target Target
	buf    []byte // from a pool; may be nil if nothing is buffered
	r, w   int    // buf[r:w] is buffered and unread
	abort  func() // makes all reads and writes fail at once

	aborted   atomic.Bool
	timed     time.Time // the current read deadline for a response head, or zero
	streaming bool      // the head was read: its deadline does not apply to the body

	expires time.Time // end of its time in the pool
	since   time.Time
	idle    time.Duration // the app's keep-alive timeout, or 0
}

// NewConn returns a Conn for an open connection to a target.
func NewConn(c net.Conn, t Target) *Conn {
	u := &Conn{Conn: c, target: t}
	if tcp, ok := c.(*net.TCPConn); ok {
		u.quick, _ = sock.New(tcp)
	}
	u.abort = func() {
		u.aborted.Store(true)
		u.SetDeadline(time.Unix(1, 0))
	}
	return u
}

// awaitHead limits the wait for a response head to timeout, if that is not zero. It moves
// the deadline only after a quarter of timeout has passed, because setting one costs as
// much as a read.
func (u *Conn) awaitHead(timeout time.Duration) {
	u.streaming = false
	if timeout == 0 {
		return
	}
	if now := time.Now(); u.timed.Sub(now) < timeout*3/4 {
		u.timed = now.Add(timeout)
		u.setReadDeadline(u.timed)
	}
}

// setReadDeadline sets a read deadline without undoing a concurrent abort.
func (u *Conn) setReadDeadline(t time.Time) {
	u.SetReadDeadline(t)
	if u.aborted.Load() {
		u.abort()
	}
}

// endHeadDeadline ends the deadline of a response head when its body is read.
func (u *Conn) endHeadDeadline() {
	if u.streaming && !u.timed.IsZero() {
		u.timed = time.Time{}
		u.setReadDeadline(u.timed)
	}
}

func (u *Conn) receive(p []byte) (int, error) {
	u.endHeadDeadline()
	if u.quick != nil {
		return u.quick.Read(p)
	}
	return u.Conn.Read(p)
}

// heads pools the buffers for request heads, so that a connection does not hold one while
// it waits for the response, which may be a long stream.
var heads = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// sendHead writes a request head and Data with one write, which is one TCP segment if they
// fit. It must not be called concurrently with another write.
func (u *Conn) sendHead(x *Request) (err error) {
	b := heads.Get().(*[]byte)
	defer heads.Put(b)
	*b = append(x.AppendHead((*b)[:0]), x.Data...)
	if u.quick != nil {
		_, err = u.quick.Write(*b)
	} else {
		_, err = u.Conn.Write(*b)
	}
	return err
}

// Read implements io.Reader. It uses the buffer only for small reads.
func (u *Conn) Read(p []byte) (int, error) {
	if u.r == u.w {
		if len(p) >= readSize {
			return u.receive(p)
		}
		if err := u.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.buf[u.r:u.w])
	u.r += n
	return n, nil
}

// fill reads more data into the buffer, after the unread data.
func (u *Conn) fill() error {
	if u.r == u.w {
		u.release()
		if u.quick != nil {
			u.endHeadDeadline()
			var err error
			u.buf, u.w, err = u.quick.ReadBuffer()
			return err
		}
		u.buf = sock.GetBuffer()
	} else if u.w == len(u.buf) {
		if u.r > 0 {
			u.w = copy(u.buf, u.buf[u.r:u.w])
			u.r = 0
		} else {
			u.buf = append(u.buf, make([]byte, len(u.buf))...)
		}
	}
	for range 100 {
		n, err := u.receive(u.buf[u.w:])
		u.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// release returns the buffer to the pool. All of it must have been read.
func (u *Conn) release() {
	sock.PutBuffer(u.buf)
	u.buf, u.r, u.w = nil, 0, 0
}

// line returns the next line without its LF. It is valid until the next read.
func (u *Conn) line(limit int) ([]byte, error) {
	seen := 0
	for {
		if i := bytes.IndexByte(u.buf[u.r+seen:u.w], '\n'); i >= 0 {
			line := u.buf[u.r : u.r+seen+i]
			u.r += seen + i + 1
			return line, nil
		}
		seen = u.w - u.r
		if seen > limit {
			return nil, &ProtocolError{Reason: "it has a line that is too long"}
		}
		if err := u.fill(); err != nil {
			return nil, err
		}
	}
}

// chunkLine returns the next line of the chunked framing. It must end with CRLF:
// accepting a lone LF could treat data as framing if a chunk size is wrong.
func (u *Conn) chunkLine(limit int) ([]byte, error) {
	line, err := u.line(limit)
	if err != nil {
		return nil, err
	}
	line, ok := bytes.CutSuffix(line, []byte{'\r'})
	if !ok {
		return nil, &ProtocolError{Reason: "a line of its chunked framing ends without CR"}
	}
	return line, nil
}

// readChunkSize reads the line with a chunk's size. It ignores extensions.
func (u *Conn) readChunkSize() (int64, error) {
	line, err := u.chunkLine(maxLine)
	if err != nil {
		return 0, err
	}
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, &ProtocolError{Reason: "a chunk has an invalid size"}
	}
	var n int64
	for _, c := range line {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, &ProtocolError{Reason: "a chunk has an invalid size"}
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// readCRLF reads the CRLF after a chunk's data.
func (u *Conn) readCRLF() error {
	line, err := u.chunkLine(2)
	if err != nil {
		return err
	}
	if len(line) != 0 {
		return &ProtocolError{Reason: "a chunk is longer than its size"}
	}
	return nil
}

// readTrailer reads the trailer fields; nil if there are none.
func (u *Conn) readTrailer() (http.Header, error) {
	var h http.Header
	size := 0
	for {
		line, err := u.chunkLine(maxHead)
		if err != nil || len(line) == 0 {
			return h, err
		}
		if size += len(line); size > maxHead {
			return nil, &ProtocolError{Reason: "its trailers are too long"}
		}
		name, value, err := splitField(string(line))
		if err != nil {
			return nil, err
		}
		if httpx.HopByHop(name) || name == "Host" {
			continue
		}
		if h == nil {
			h = make(http.Header)
		}
		h[name] = append(h[name], value)
	}
}

// writeBody sends the request body with its framing. It returns nil only if the whole
// body was sent.
func (u *Conn) writeBody(x *Request) error {
	left, err := u.spliceBody(x)
	if err != nil {
		return err
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	const room = 10 // space for framing before a chunk's data: eight hex digits and CRLF
	for {
		chunk := (*buf)[room : len(*buf)-2]
		n, err := x.Body.Read(chunk)
		if n > 0 {
			out := chunk[:n]
			if left >= 0 {
				if left -= int64(n); left == 0 && err == nil {
					err = x.Body.end() // recorded before the app can respond
				}
			} else {
				size := strconv.FormatInt(int64(n), 16)
				start := room - len(size) - 2
				copy((*buf)[start:], size)
				copy((*buf)[room-2:], "\r\n")
				copy((*buf)[room+n:], "\r\n")
				out = (*buf)[start : room+n+2]
			}
			if _, err := u.Write(out); err != nil {
				return err
			}
		}
		switch {
		case left == 0 && err == io.EOF:
			return nil
		case left == 0:
			return err
		case err == io.EOF && left > 0:
			return io.ErrUnexpectedEOF
		case err == io.EOF:
			return u.endChunks(x)
		case err != nil:
			return err
		}
	}
}

func (u *Conn) endChunks(x *Request) error {
	end := []byte("0\r\n")
	for name, values := range x.Trailer {
		if httpx.HopByHop(name) || x.Omit != nil && x.Omit(name) {
			continue
		}
		for _, value := range values {
			end = appendField(end, name, value)
		}
	}
	_, err := u.Write(append(end, '\r', '\n'))
	return err
}

// Response parses the framing of a head and adds its end-to-end fields to header. The
// caller keeps the connection: Finish of the body does not close it.
func (u *Conn) Response(h *Head, method string, header http.Header) (*Response, error) {
	b := &directBody{up: u}
	if err := b.frame(h, method, header); err != nil {
		return nil, err
	}
	return &Response{Status: h.Status, Length: b.length, Body: loanedBody{b}}, nil
}

// loanedBody is a body on a connection that belongs to the caller.
type loanedBody struct{ *directBody }

// Finish implements ResponseBody.
func (loanedBody) Finish() {}

// notHTTPError returns the error for a response that is not HTTP.
func notHTTPError(received []byte) error {
	return &ProtocolError{Reason: fmt.Sprintf("it is not HTTP: %.60q", received), Received: string(received[:min(len(received), 200)])}
}
