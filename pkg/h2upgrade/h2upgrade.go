// Package h2upgrade shows a protocol that is opened on a stream of HTTP/2
// (extended CONNECT, RFC 8441) to handlers that know the upgrade of HTTP/1.1
// alone: the request reads like one, and the stream is hijacked like a connection.
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

// Protocol gives the protocol that a request opens on a stream of HTTP/2, such as
// websocket, or "" where it opens none.
func Protocol(r *http.Request) string {
	if values := r.Header[":protocol"]; r.Method == http.MethodConnect && r.ProtoMajor == 2 && len(values) > 0 {
		return values[0]
	}
	return ""
}

// Request gives a request of which Protocol is not "" as an upgrade of HTTP/1.1,
// and the writer for it, which a handler may hijack. The connection that it then
// gets begins with the head of a response. It must not be used after the handler
// has returned.
func Request(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	protocol := Protocol(r)
	up := r.Clone(r.Context())
	up.Method, up.Proto, up.ProtoMajor, up.ProtoMinor = http.MethodGet, "HTTP/1.1", 1, 1
	up.Body, up.ContentLength = http.NoBody, 0
	delete(up.Header, ":protocol")
	up.Header.Set("Connection", "Upgrade")
	up.Header.Set("Upgrade", protocol)
	if strings.EqualFold(protocol, "websocket") { // RFC 6455 asks for both, RFC 8441 for neither
		nonce := make([]byte, 16)
		rand.Read(nonce)
		up.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(nonce))
		if up.Header.Get("Sec-WebSocket-Version") == "" {
			up.Header.Set("Sec-WebSocket-Version", "13")
		}
	}
	return &streamWriter{ResponseWriter: w, r: r}, up
}

// Stream is implemented by the writer that Request gives: the request's context
// ends when its stream does, and not when the client has ended its side of it.
type Stream interface{ isStream() }

// Responder is implemented by the connection that is hijacked from such a writer.
type Responder interface {
	// Respond sends a whole response that switches no protocols. The body is
	// flushed as it is read. An error means that the response is not complete: the
	// handler must then panic with http.ErrAbortHandler.
	Respond(status int, header http.Header, body io.Reader) error
}

// streamWriter is a response whose stream can be hijacked.
type streamWriter struct {
	http.ResponseWriter
	r *http.Request
}

// Unwrap serves http.ResponseController.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (*streamWriter) isStream() {}

// Hijack gives the stream as a connection. It lasts as long as the handler.
func (w *streamWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := &streamConn{w: w.ResponseWriter, rc: http.NewResponseController(w.ResponseWriter), body: w.r.Body, remote: streamAddr(w.r.RemoteAddr)}
	c.local, _ = w.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// streamConn is a stream of HTTP/2 as a connection that begins with the response
// to an upgrade.
type streamConn struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	body   io.ReadCloser
	local  net.Addr
	remote net.Addr

	mu       sync.Mutex // over writes and the end
	head     []byte     // of the response, until it is complete
	answered bool       // the response's final head was sent
	closed   bool
}

// Read reads what the client sends.
func (c *streamConn) Read(p []byte) (int, error) { return c.body.Read(p) }

// Write turns the head of the response to an upgrade into the stream's own, and
// sends what follows it. A response that does not switch protocols is sent by
// Respond instead.
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

// writeHead sends a head: 200 in the place of 101 (RFC 8441 section 5), or one
// that is informational.
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
		return errors.New("h2upgrade: a refusal is sent by Respond")
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

// Close ends the stream's use; the stream itself ends with its handler.
func (c *streamConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.rc.SetReadDeadline(time.Unix(1, 0)) // ends a Read that waits
	return c.body.Close()
}

// LocalAddr is the connection's.
func (c *streamConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the connection's.
func (c *streamConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline bounds reading and writing.
func (c *streamConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds reading.
func (c *streamConn) SetReadDeadline(t time.Time) error { return c.rc.SetReadDeadline(t) }

// SetWriteDeadline bounds writing.
func (c *streamConn) SetWriteDeadline(t time.Time) error { return c.rc.SetWriteDeadline(t) }

// streamAddr is an address as net/http gives it.
type streamAddr string

// Network is tcp.
func (streamAddr) Network() string { return "tcp" }

// String is the address.
func (a streamAddr) String() string { return string(a) }
