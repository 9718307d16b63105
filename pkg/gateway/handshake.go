package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/fault"
)

// dialSocket opens a WebSocket to a provider through the same transport, guard
// and proxy as every other request. A refused upgrade gives the provider's own
// answer, whole, as resp; its body is then the caller's to close.
func (c *exchange) dialSocket(ctx context.Context, e *upstreamEndpoint, query string, protocols []string) (conn *websocket.Conn, resp *http.Response, err error) {
	shim := &handshake{ctx: ctx, c: c, endpoint: e, query: query}
	dialer := websocket.Dialer{
		NetDialContext:  func(context.Context, string, string) (net.Conn, error) { return shim, nil },
		Subprotocols:    protocols,
		ReadBufferSize:  16 << 10,
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

// handshake is the connection that gorilla/websocket believes to dial. Its first
// request is carried out by the shared transport, and what follows the switch of
// protocols flows over what the transport gives back.
type handshake struct {
	ctx      context.Context
	c        *exchange
	endpoint *upstreamEndpoint
	query    string

	asked   bytes.Buffer
	answer  io.Reader          // the response's head, then the stream
	stream  io.ReadWriteCloser // after the switch
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
	header := upHeader(h.c.r.Header)
	for name, values := range asked.Header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			header[name] = values
		}
	}
	delete(header, "Content-Type")
	delete(header, "Accept-Encoding")
	header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	o := &outgoing{endpoint: h.endpoint, method: http.MethodGet, path: h.c.matched.Path, query: h.query, header: header}
	resp, err := h.c.g.up.transport(h.endpoint).RoundTrip(o.request(h.ctx, h.c.cred.Key))
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

// SetDeadline implements net.Conn. The transport's stream has no deadlines: a
// peer that takes nothing is ended by closing it.
func (h *handshake) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (h *handshake) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (h *handshake) SetWriteDeadline(time.Time) error { return nil }

type noAddr struct{}

func (noAddr) Network() string { return "provider" }
func (noAddr) String() string  { return "provider" }

// offered are the subprotocols that a caller offers, without the one that holds
// its key.
func offered(r *http.Request) []string {
	var out []string
	for _, p := range websocket.Subprotocols(r) {
		if !strings.HasPrefix(p, subprotocolPrefix) {
			out = append(out, p)
		}
	}
	return out
}

// upgrade takes the caller's side of a WebSocket. Which origin may do so is the
// token's word, checked before.
func (c *exchange) upgrade(chosen string, header http.Header) (*websocket.Conn, error) {
	if all := websocket.Subprotocols(c.r); len(all) > 0 && !slices.Contains(all, chosen) {
		// A browser that offered subprotocols gives up where none of them is chosen.
		chosen = all[0]
		if rest := offered(c.r); len(rest) > 0 {
			chosen = rest[0]
		}
	}
	out := http.Header{}
	for name, values := range c.w.Header() {
		if name != "Vary" && !strings.HasPrefix(name, "Access-Control-") {
			out[name] = values
		}
	}
	for name, values := range header {
		out[name] = values
	}
	up := websocket.Upgrader{
		ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10,
		CheckOrigin: func(*http.Request) bool { return true },
		Error: func(_ http.ResponseWriter, _ *http.Request, _ int, reason error) {
			writeFault(c.w, c.speaks, &fault.Error{Kind: fault.Invalid, Message: "the WebSocket upgrade is malformed", Err: reason})
		},
	}
	if chosen != "" {
		up.Subprotocols = []string{chosen}
	}
	return up.Upgrade(c.w, c.r, out)
}

// renamedQuery is the query with its model as the provider names it; all other
// members keep their bytes.
func renamedQuery(raw, model string) string {
	var out []string
	for pair := range strings.SplitSeq(raw, "&") {
		if name, _, _ := strings.Cut(pair, "="); name == "model" {
			pair = "model=" + url.QueryEscape(model)
		}
		out = append(out, pair)
	}
	return strings.Join(out, "&")
}
