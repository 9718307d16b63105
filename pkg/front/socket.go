package front

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

// extendedConnect reports whether a request opens another protocol on a stream
// of HTTP/2 (RFC 8441), which is no tunnel to elsewhere.
func extendedConnect(r *http.Request) bool {
	return r.Method == http.MethodConnect && r.ProtoMajor == 2 && len(r.Header[":protocol"]) > 0
}

// asUpgrade shows a WebSocket that is opened on HTTP/2 to a plane that knows the
// upgrade of HTTP/1.1 alone. The plane hijacks it as it would any other.
func asUpgrade(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	asked := r.Clone(r.Context())
	asked.Method, asked.Proto, asked.ProtoMajor, asked.ProtoMinor = http.MethodGet, "HTTP/1.1", 1, 1
	asked.Body, asked.ContentLength = http.NoBody, 0
	delete(asked.Header, ":protocol")
	asked.Header.Set("Connection", "Upgrade")
	asked.Header.Set("Upgrade", "websocket")
	asked.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(nonce))
	return &streamWriter{ResponseWriter: w, r: r}, asked
}

// streamWriter is a response whose stream can be hijacked.
type streamWriter struct {
	http.ResponseWriter
	r *http.Request
}

// Unwrap serves http.ResponseController.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack gives the stream as a connection. It lasts as long as the handler.
func (w *streamWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := &streamConn{w: w.ResponseWriter, rc: http.NewResponseController(w.ResponseWriter), body: w.r.Body, remote: streamAddr(w.r.RemoteAddr)}
	c.local, _ = w.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// streamConn is a stream of HTTP/2 as a connection that begins with the answer
// to an upgrade.
type streamConn struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	body   io.ReadCloser
	local  net.Addr
	remote net.Addr

	mu     sync.Mutex // over writes and the end
	head   []byte     // of the answer, until it is whole
	begun  bool
	closed bool
}

// Read reads what the client sends.
func (c *streamConn) Read(p []byte) (int, error) { return c.body.Read(p) }

// Write turns the head of the answer to an upgrade into the stream's own, and
// passes on what follows it.
func (c *streamConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	data := p
	if !c.begun {
		c.head = append(c.head, p...)
		end := bytes.Index(c.head, []byte("\r\n\r\n"))
		if end < 0 {
			return len(p), nil
		}
		data = c.head[end+4:]
		if err := c.answer(c.head[:end+4]); err != nil {
			return 0, err
		}
	}
	if len(data) > 0 {
		if _, err := c.w.Write(data); err != nil {
			return 0, err
		}
	}
	return len(p), c.rc.Flush()
}

// answer begins the stream: 200 in the place of 101 (RFC 8441 section 5).
func (c *streamConn) answer(head []byte) error {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return errors.New("front: only an agreement can be written to a stream that was taken over")
	}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Accept"} {
		resp.Header.Del(name)
	}
	maps.Copy(c.w.Header(), resp.Header)
	c.w.WriteHeader(http.StatusOK)
	c.begun, c.head = true, nil
	return nil
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

// streamAddr is an address as net/http tells it.
type streamAddr string

// Network is tcp.
func (streamAddr) Network() string { return "tcp" }

// String is the address.
func (a streamAddr) String() string { return string(a) }

// websocketStream reports whether a stream opens a WebSocket.
func websocketStream(r *http.Request) bool {
	return extendedConnect(r) && strings.EqualFold(r.Header[":protocol"][0], "websocket")
}
