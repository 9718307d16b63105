package http1

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/httpx"
	"github.com/hostless/hostless/pkg/sock"
)

// The bounds of an answer's head and framing.
const (
	readSize = 4 << 10
	maxHead  = 1 << 20
	maxLine  = 16 << 10 // of a chunk's size with its extensions
)

// Conn is a connection to an app with what was read from it ahead.
type Conn struct {
	net.Conn
	quick  *sock.Conn // of Conn, where that is TCP alone
	target Target
	buf    []byte
	r, w   int    // buf[r:w] was read and not used
	head   []byte // the last request's head, for its memory
	abort  func() // ends all reading and writing at once

	aborted   atomic.Bool
	timed     time.Time // the deadline for reading that a response's head has, or zero
	streaming bool      // the head was read: its deadline is not the body's

	expires time.Time // while it is kept
	since   time.Time
	idle    time.Duration // how long the app keeps it, or 0
}

// NewConn makes a Conn of an open connection to a target.
func NewConn(c net.Conn, t Target) *Conn {
	u := &Conn{Conn: c, target: t, buf: make([]byte, readSize), head: make([]byte, 0, 1024)}
	if tcp, ok := c.(*net.TCPConn); ok {
		u.quick, _ = sock.New(tcp)
	}
	u.abort = func() {
		u.aborted.Store(true)
		u.SetDeadline(time.Unix(1, 0))
	}
	return u
}

// awaitHead bounds the wait for a response's head, where timeout is not zero. The
// deadline is set anew only when a quarter of it has passed: setting one costs as
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

// setReadDeadline sets a deadline that does not undo an abort.
func (u *Conn) setReadDeadline(t time.Time) {
	u.SetReadDeadline(t)
	if u.aborted.Load() {
		u.abort()
	}
}

func (u *Conn) receive(p []byte) (int, error) {
	if u.streaming && !u.timed.IsZero() {
		u.timed = time.Time{}
		u.setReadDeadline(u.timed)
	}
	if u.quick != nil {
		return u.quick.Read(p)
	}
	return u.Conn.Read(p)
}

// send writes a request's head; nothing else is written meanwhile.
func (u *Conn) send(head []byte) (int, error) {
	if u.quick != nil {
		return u.quick.Write(head)
	}
	return u.Conn.Write(head)
}

// Read reads ahead for small reads only.
func (u *Conn) Read(p []byte) (int, error) {
	if u.r == u.w {
		if len(p) >= len(u.buf) {
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

// fill reads more; what is unused stays at the buffer's beginning.
func (u *Conn) fill() error {
	if u.r == u.w {
		u.r, u.w = 0, 0
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

// line gives the next line without its LF; it is valid until the next read.
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
			return nil, &ProtocolError{Reason: "a line is too long"}
		}
		if err := u.fill(); err != nil {
			return nil, err
		}
	}
}

// chunkLine gives the next line of the chunks' framing. A lone LF ends none: a
// CR before it could be data of a chunk whose size is wrong.
func (u *Conn) chunkLine(limit int) ([]byte, error) {
	line, err := u.line(limit)
	if err != nil {
		return nil, err
	}
	line, ok := bytes.CutSuffix(line, []byte{'\r'})
	if !ok {
		return nil, &ProtocolError{Reason: "a line around its chunks ends without CR"}
	}
	return line, nil
}

// readChunkSize reads a chunk's first line; extensions mean nothing to us.
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
		return 0, &ProtocolError{Reason: "a chunk has no size that can be read"}
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
			return 0, &ProtocolError{Reason: "a chunk has no size that can be read"}
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// readCRLF reads the end of a chunk.
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

// readTrailer reads the fields after the last chunk; nil where there are none.
func (u *Conn) readTrailer() (http.Header, error) {
	var h http.Header
	size := 0
	for {
		line, err := u.chunkLine(maxHead)
		if err != nil || len(line) == 0 {
			return h, err
		}
		if size += len(line); size > maxHead {
			return nil, &ProtocolError{Reason: "the trailers are too long"}
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

// writeBody sends the request's body in its framing. It is nil only after the
// whole of it was sent.
func (u *Conn) writeBody(x *Request) error {
	left, err := u.spliceBody(x)
	if err != nil {
		return err
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	const room = 10 // before and after a chunk's data: eight digits and two line ends
	for {
		chunk := (*buf)[room : len(*buf)-2]
		n, err := x.Body.Read(chunk)
		if n > 0 {
			out := chunk[:n]
			if left >= 0 {
				if left -= int64(n); left == 0 && err == nil {
					err = x.Body.end() // noted before the app can answer
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

// Response reads the framing that a head announces and puts its end-to-end fields
// into header. The connection is the caller's: the body's Finish leaves it alone.
func (u *Conn) Response(h *Head, method string, header http.Header) (*Response, error) {
	b := &directBody{up: u}
	if err := b.frame(h, method, header); err != nil {
		return nil, err
	}
	return &Response{Status: h.Status, Length: b.length, Body: loanedBody{b}}, nil
}

// loanedBody is a body on a connection that somebody else closes.
type loanedBody struct{ *directBody }

// Finish implements ResponseBody.
func (loanedBody) Finish() {}

// notHTTPError is the error for a response that is not HTTP.
func notHTTPError(received []byte) error {
	return &ProtocolError{Reason: fmt.Sprintf("it is not HTTP: %.60q", received), Received: string(received[:min(len(received), 200)])}
}
