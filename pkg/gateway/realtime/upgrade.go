package realtime

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/gateway/access"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// dialProvider opens the provider's side of a WebSocket.
func (s *Session) dialProvider(ctx context.Context, e *upstream.Endpoint, query string) (*websocket.Conn, *http.Response, error) {
	header := s.HTTP.Header.Clone()
	s.SetAttributes(s.to.Provider.Name, header)
	return s.Upstream.DialWebSocket(ctx, &upstream.Socket{Endpoint: e, Path: s.Matched.Path, Query: query, Header: header, Protocols: offered(s.HTTP)}, s.to.Credential.Key)
}

// offered returns the subprotocols that a caller offers, except the one with its key.
func offered(r *http.Request) []string {
	var out []string
	for _, p := range websocket.Subprotocols(r) {
		if !strings.HasPrefix(p, access.SubprotocolPrefix) {
			out = append(out, p)
		}
	}
	return out
}

// upgrade accepts the caller's side of a WebSocket. The Origin was checked with the token.
func (s *Session) upgrade(chosen string, header http.Header) (*Conn, error) {
	if all := websocket.Subprotocols(s.HTTP); len(all) > 0 && !slices.Contains(all, chosen) {
		// A browser that offered subprotocols fails the connection unless one is chosen.
		chosen = all[0]
		if rest := offered(s.HTTP); len(rest) > 0 {
			chosen = rest[0]
		}
	}
	out := http.Header{}
	for name, values := range s.Writer.Header() {
		if name != "Vary" && !strings.HasPrefix(name, "Access-Control-") {
			out[name] = values
		}
	}
	for name, values := range header {
		out[name] = values
	}
	conn, err := Accept(s.Writer.ResponseWriter, s.HTTP, chosen, out, s.MaxMessage, func(err error) { respond.Fault(s.Writer, s.Call.Dialect, err) })
	s.Writer.Commit() // the connection was hijacked, or the error was written
	return conn, err
}

// renamedQuery returns the query with the model in the provider's naming. All other
// parameters keep their bytes.
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
