package gateway

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/sock"
)

// dialProvider opens the provider's side of a WebSocket.
func (c *exchange) dialProvider(ctx context.Context, e *upstream.Endpoint, query string) (*websocket.Conn, *http.Response, error) {
	return c.g.up.DialWebSocket(ctx, &upstream.Socket{Endpoint: e, Path: c.matched.Path, Query: query, Header: c.r.Header, Protocols: offered(c.r)}, c.to.Credential.Key)
}

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
			respond.Fault(c.w, c.call.Dialect, &fault.Error{Kind: fault.Invalid, Message: "the WebSocket upgrade is malformed", Err: reason})
		},
	}
	if chosen != "" {
		up.Subprotocols = []string{chosen}
	}
	conn, err := up.Upgrade(batched{c.w.ResponseWriter}, c.r, out)
	c.w.Commit() // the connection is the socket's, or was told why it is not
	return conn, err
}

// batched is a response whose connection can hold back what is written to it.
type batched struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (w batched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return sock.NewBatch(conn), buffered, nil
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
