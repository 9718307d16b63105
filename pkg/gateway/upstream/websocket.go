package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/sock"
)

// Socket describes a WebSocket to be opened to a provider.
type Socket struct {
	Endpoint  *Endpoint
	Path      string
	Query     string
	Header    http.Header // the caller's headers; those that must not be forwarded are left out
	Protocols []string    // subprotocols to offer
}

// DialWebSocket opens a WebSocket to a provider, with the transport, address checks and
// proxy of all other requests. If the provider refuses the upgrade, conn and err are nil
// and resp is its response; the caller must close the body.
func (c *Client) DialWebSocket(ctx context.Context, s *Socket, key secret.String) (conn *websocket.Conn, resp *http.Response, err error) {
	shim := &handshake{ctx: ctx, client: c, socket: s, key: key}
	dialer := websocket.Dialer{
		NetDialContext:  func(context.Context, string, string) (net.Conn, error) { return sock.NewBatch(shim), nil },
		Subprotocols:    s.Protocols,
		ReadBufferSize:  32 << 10, // large, so that messages that arrive together are forwarded in one write
		WriteBufferSize: 16 << 10,
	}
	conn, answer, err := dialer.DialContext(ctx, "ws://provider.invalid/", nil)
	switch {
	case err == nil:
		return conn, answer, nil
	case shim.refused != nil:
		return nil, shim.refused, nil
	case shim.err != nil:
		return nil, nil, shim.err
	}
	shim.Close()
	return nil, nil, err
}

// handshake is the net.Conn that gorilla/websocket dials. It sends the upgrade request
// through the shared transport, and then reads and writes the stream that the transport
// returns.
type handshake struct {
	ctx    context.Context
	client *Client
	socket *Socket
	key    secret.String

	asked   bytes.Buffer
	answer  io.Reader          // the response head, then the stream
	stream  io.ReadWriteCloser // after the protocol switch
	refused *http.Response
	err     error
}

// Write implements net.Conn.
func (h *handshake) Write(p []byte) (int, error) {
	if h.stream != nil {
		return h.stream.Write(p)
	}
	return h.asked.Write(p)
}

// Read implements net.Conn.
func (h *handshake) Read(p []byte) (int, error) {
	if h.answer == nil {
		if err := h.roundTrip(); err != nil {
			h.err = err
			return 0, err
		}
	}
	return h.answer.Read(p)
}

func (h *handshake) roundTrip() error {
	asked, err := http.ReadRequest(bufio.NewReader(&h.asked))
	if err != nil {
		return err
	}
	header := RequestHeader(h.socket.Header)
	for name, values := range asked.Header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			header[name] = values
		}
	}
	delete(header, "Content-Type")
	delete(header, "Accept-Encoding")
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	o := &Request{Endpoint: h.socket.Endpoint, Method: http.MethodGet, Path: h.socket.Path, Query: h.socket.Query, Header: header}
	resp, err := h.client.transport(o).RoundTrip(o.request(h.ctx, h.key))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		h.refused = resp
		return errors.New("the upgrade was refused")
	}
	stream, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		resp.Body.Close()
		return errors.New("the transport gave no stream")
	}
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	resp.Header.Write(&head)
	head.WriteString("\r\n")
	h.stream, h.answer = stream, io.MultiReader(&head, stream)
	return nil
}

// Close implements net.Conn.
func (h *handshake) Close() error {
	if h.stream != nil {
		return h.stream.Close()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (h *handshake) LocalAddr() net.Addr { return noAddr{} }

// RemoteAddr implements net.Conn.
func (h *handshake) RemoteAddr() net.Addr { return noAddr{} }

// SetDeadline implements net.Conn. It does nothing, because the stream of the transport has
// no deadlines. To unblock a write, close the connection.
func (h *handshake) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (h *handshake) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (h *handshake) SetWriteDeadline(time.Time) error { return nil }

type noAddr struct{}

func (noAddr) Network() string { return "provider" }
func (noAddr) String() string  { return "provider" }
