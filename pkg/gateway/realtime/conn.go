// Package realtime serves the WebSockets of the AI plane: the caller's connection, the
// relay to a WebSocket of the provider, the accounting of messages as calls, and the bridge
// to providers that support HTTP only.
//
// Package gateway plans where a call goes and serves the POSTs (see Pipeline); package
// upstream opens WebSockets to providers.
package realtime

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sock"
)

// ErrStopping is the cancellation cause of connections that are closed because the gateway
// is shutting down.
var ErrStopping = errors.New("the gateway is stopping")

const (
	closeTimeout = 2 * time.Second        // for a peer to reply to a close frame
	lostTimeout  = 250 * time.Millisecond // for a provider whose caller disconnected without a close frame
)

// Conn is one end of a relay. Sending is safe for concurrent use; reading must be done by
// one goroutine.
type Conn struct {
	ws    *websocket.Conn
	batch *sock.Batch

	sending sync.Mutex
	in      bytes.Buffer
}

// NewConn takes over a WebSocket whose network connection is a *sock.Batch, as Accept and
// upstream.Client create it. A message of more than maxMessage bytes closes it.
func NewConn(ws *websocket.Conn, maxMessage int64) *Conn {
	ws.SetReadLimit(maxMessage)
	return &Conn{ws: ws, batch: ws.NetConn().(*sock.Batch)}
}

// Accept completes a caller's WebSocket upgrade with a subprotocol ("" for none) and
// additional response headers. It does not check the Origin; the bridge token was checked
// for it before. fail writes the error response to a malformed upgrade.
func Accept(w http.ResponseWriter, r *http.Request, protocol string, header http.Header, maxMessage int64, fail func(error)) (*Conn, error) {
	up := websocket.Upgrader{
		ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10,
		CheckOrigin: func(*http.Request) bool { return true },
		Error: func(_ http.ResponseWriter, _ *http.Request, _ int, reason error) {
			fail(&fault.Error{Kind: fault.Invalid, Message: "the WebSocket upgrade is malformed", Err: reason})
		},
	}
	if protocol != "" {
		up.Subprotocols = []string{protocol}
	}
	ws, err := up.Upgrade(hijacker{w}, r, header)
	if err != nil {
		return nil, err
	}
	return NewConn(ws, maxMessage), nil
}

// hijacker is a ResponseWriter whose hijacked connection can batch writes.
type hijacker struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (w hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return sock.NewBatch(conn), buffered, nil
}

// Send writes one message.
func (c *Conn) Send(kind int, data []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.ws.WriteMessage(kind, data)
}

// SendText writes one text message.
func (c *Conn) SendText(data []byte) error { return c.Send(websocket.TextMessage, data) }

// maxKept is the size of the largest read buffer that is kept for the next message.
const maxKept = 256 << 10

// Read reads the next message. The data are valid until the next Read.
func (c *Conn) Read() (kind int, data []byte, err error) {
	if c.in.Cap() > maxKept {
		c.in = bytes.Buffer{}
	}
	c.in.Reset()
	kind, r, err := c.ws.NextReader()
	if err != nil {
		return kind, nil, err
	}
	_, err = c.in.ReadFrom(r)
	return kind, c.in.Bytes(), err
}

// SendClose sends a close frame with a status code (RFC 6455 section 7.4). Close must
// follow.
func (c *Conn) SendClose(code int, reason string) {
	c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeTimeout))
}

// Close closes the network connection without sending a close frame.
func (c *Conn) Close() error { return c.ws.Close() }

// End closes a caller's connection with the cause of ctx: the bridge token was revoked, all
// AI traffic was stopped, or the gateway is shutting down.
func (c *Conn) End(ctx context.Context) {
	code, reason := websocket.CloseGoingAway, "the gateway is stopping"
	switch cause := context.Cause(ctx); {
	case fault.Is(cause, fault.Unauthenticated):
		code, reason = websocket.ClosePolicyViolation, "the bridge token was revoked"
	case fault.Is(cause, fault.Killed):
		code, reason = websocket.ClosePolicyViolation, fault.From(cause).Code
		sent := make(chan struct{})
		go func() { // ends at the latest with Close, even if the caller does not read
			c.SendText(ErrorEvent(cause, ""))
			close(sent)
		}()
		select {
		case <-sent:
		case <-time.After(closeTimeout):
		}
	}
	c.SendClose(code, reason)
	c.Close()
}
