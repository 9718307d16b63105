package gateway

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/gateway/access"
	"github.com/hostless/hostless/pkg/gateway/realtime"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// dialProvider opens the provider's side of a WebSocket.
func (c *exchange) dialProvider(ctx context.Context, e *upstream.Endpoint, query string) (*websocket.Conn, *http.Response, error) {
	return c.g.up.DialWebSocket(ctx, &upstream.Socket{Endpoint: e, Path: c.Matched.Path, Query: query, Header: c.HTTP.Header, Protocols: offered(c.HTTP)}, c.to.Credential.Key)
}

// offered are the subprotocols that a caller offers, without the one that holds
// its key.
func offered(r *http.Request) []string {
	var out []string
	for _, p := range websocket.Subprotocols(r) {
		if !strings.HasPrefix(p, access.SubprotocolPrefix) {
			out = append(out, p)
		}
	}
	return out
}

// upgrade takes the caller's side of a WebSocket. Which origin may do so is the
// token's word, checked before.
func (c *exchange) upgrade(chosen string, header http.Header) (*realtime.Conn, error) {
	if all := websocket.Subprotocols(c.HTTP); len(all) > 0 && !slices.Contains(all, chosen) {
		// A browser that offered subprotocols gives up where none of them is chosen.
		chosen = all[0]
		if rest := offered(c.HTTP); len(rest) > 0 {
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
	conn, err := realtime.Accept(c.w.ResponseWriter, c.HTTP, chosen, out, c.g.cfg.MaxBody, func(err error) { respond.Fault(c.w, c.Call.Dialect, err) })
	c.w.Commit() // the connection is taken over, or the error was written
	return conn, err
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
