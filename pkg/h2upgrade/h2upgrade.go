// Package h2upgrade presents a protocol that is opened on an HTTP/2 stream (extended
// CONNECT, RFC 8441) to handlers that only know HTTP/1.1 upgrades: the request looks like
// an upgrade request, and the stream can be hijacked like a connection.
package h2upgrade

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Protocol returns the protocol that a request opens on an HTTP/2 stream, such as
// "websocket", or "" if it opens none.
func Protocol(r *http.Request) string {
	if values := r.Header[":protocol"]; r.Method == http.MethodConnect && r.ProtoMajor == 2 && len(values) > 0 {
		return values[0]
	}
	return ""
}

// Request converts a request for which Protocol is not "" into an HTTP/1.1 upgrade, and
// returns it with a ResponseWriter that a handler may hijack. The handler must then write
// the head of a response to the hijacked connection first, and must not use the connection
// after it has returned.
func Request(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	protocol := Protocol(r)
	up := r.Clone(r.Context())
	up.Method, up.Proto, up.ProtoMajor, up.ProtoMinor = http.MethodGet, "HTTP/1.1", 1, 1
	up.Body, up.ContentLength = http.NoBody, 0
	delete(up.Header, ":protocol")
	up.Header.Set("Connection", "Upgrade")
	up.Header.Set("Upgrade", protocol)
	if strings.EqualFold(protocol, "websocket") { // RFC 6455 requires both fields, RFC 8441 neither
		nonce := make([]byte, 16)
		rand.Read(nonce)
		up.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(nonce))
		if up.Header.Get("Sec-WebSocket-Version") == "" {
			up.Header.Set("Sec-WebSocket-Version", "13")
		}
	}
	return &streamWriter{ResponseWriter: w, r: r}, up
}

// Stream is implemented by the ResponseWriter that Request returns. It tells a handler that
// the context of the request ends with the stream, not when the client closes its side.
type Stream interface{ isStream() }

// Responder is implemented by a connection that was hijacked from such a ResponseWriter.
type Responder interface {
	// Respond sends a complete response that does not switch protocols, flushing the body
	// as it is read. An error means that the response is incomplete: the handler must then
	// panic with http.ErrAbortHandler.
	Respond(status int, header http.Header, body io.Reader) error
}

// streamWriter is the ResponseWriter of a stream that can be hijacked.
type streamWriter struct {
	http.ResponseWriter
	r *http.Request
}

// Unwrap is for http.ResponseController.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (*streamWriter) isStream() {}

// Hijack returns the stream as a connection, which is valid until the handler returns.
func (w *streamWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := &streamConn{w: w.ResponseWriter, rc: http.NewResponseController(w.ResponseWriter), body: w.r.Body, remote: streamAddr(w.r.RemoteAddr)}
	c.local, _ = w.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// streamConn is an HTTP/2 stream as a net.Conn. The first bytes written to it are the head
// of the response to the upgrade.
type streamConn struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	body   io.ReadCloser
	local  net.Addr
	remote net.Addr

	mu       sync.Mutex // guards the fields below and serialises writes
	head     []byte     // the unfinished head of a response
	answered bool       // the final head was sent
	closed   bool
}

// Read reads what the client sent.
func (c *streamConn) Read(p []byte) (int, error) { return c.body.Read(p) }

// Write parses the head of the response to the upgrade, sends it as the head of the
// stream's response, and passes on what follows. It returns an error for a response that
// does not switch protocols; that is sent with Respond.
func (c *streamConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	data := p
	if !c.answered {
		c.head = append(c.head, p...)
		for !c.answered {
			end := bytes.Index(c.head, []byte("\r\n\r\n"))
			if end < 0 {
				return len(p), nil
			}
			head := c.head[:end+4]
			c.head = c.head[end+4:]
			if err := c.writeHead(head); err != nil {
				return 0, err
			}
		}
		data, c.head = c.head, nil
	}
	if len(data) > 0 {
		if _, err := c.w.Write(data); err != nil {
			return 0, err
		}
	}
	return len(p), c.rc.Flush()
}

// writeHead sends a parsed head: 101 becomes 200 (RFC 8441 section 5), and other
// informational responses are sent as they are.
func (c *streamConn) writeHead(head []byte) error {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return err
	}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Accept"} {
		resp.Header.Del(name)
	}
	header := c.w.Header()
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		maps.Copy(header, resp.Header)
		c.w.WriteHeader(http.StatusOK)
		c.answered = true
	case resp.StatusCode < 200:
		maps.Copy(header, resp.Header)
		c.w.WriteHeader(resp.StatusCode)
		for name := range resp.Header {
			delete(header, name)
		}
	default:
		return errors.New("h2upgrade: a response that does not switch protocols must be sent with Respond")
	}
	return nil
}

// Respond implements Responder.
func (c *streamConn) Respond(status int, header http.Header, body io.Reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.answered {
		return net.ErrClosed
	}
	c.answered = true
	for name, values := range header {
		switch name {
		case "Connection", "Transfer-Encoding", "Upgrade":
		default:
			c.w.Header()[name] = values
		}
	}
	c.w.WriteHeader(status)
	buf := make([]byte, 16<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := c.w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if flushed := c.rc.Flush(); err == nil {
			err = flushed
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// Close marks the connection as closed. The stream itself ends when its handler returns.
func (c *streamConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.rc.SetReadDeadline(time.Unix(1, 0)) // unblocks a pending Read
	return c.body.Close()
}

// LocalAddr returns the local address of the HTTP/2 connection.
func (c *streamConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the remote address of the HTTP/2 connection.
func (c *streamConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the deadlines of both reads and writes.
func (c *streamConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of reads.
func (c *streamConn) SetReadDeadline(t time.Time) error { return c.rc.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes.
func (c *streamConn) SetWriteDeadline(t time.Time) error { return c.rc.SetWriteDeadline(t) }

// streamAddr is an address in the form that net/http reports.
type streamAddr string

// Network returns "tcp".
func (streamAddr) Network() string { return "tcp" }

// String returns the address.
func (a streamAddr) String() string { return string(a) }
