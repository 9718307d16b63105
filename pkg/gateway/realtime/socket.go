package realtime

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// Serve serves a WebSocket: /v1/realtime, or /v1/responses in WebSocket mode. If the query
// names the model, the provider is connected before the caller's upgrade is accepted;
// otherwise the first response.create names it.
func (s *Session) Serve() error {
	if !websocket.IsWebSocketUpgrade(s.HTTP) {
		return fault.New(fault.Method, "GET requires a WebSocket upgrade here; use POST for a JSON request")
	}
	query, err := url.ParseQuery(s.HTTP.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "the query is malformed")
	}
	if len(query["model"]) > 1 {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	if s.Call.Provider, err = s.Provider(); err != nil {
		return err
	}
	d := &duplex{Session: s, responses: s.Matched.Dialect == dialect.Responses}
	switch asked := query.Get("model"); {
	case asked != "":
		return d.connectByQuery(asked)
	case d.responses:
		return d.awaitModel()
	case s.Limited():
		return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
	}
	if err := s.choose(s.HTTP.Context(), ""); err != nil {
		return err
	}
	return d.dialUpstream(true)
}

// duplex is a WebSocket with its two ends.
type duplex struct {
	*Session
	responses bool // only its messages are calls; otherwise the session is a call too
	caller    *Conn
	provider  *Conn
	named     bool // the query names the model
	opened    bool // the connection is bound to one provider

	turning sync.Mutex
	turns   []*turn // turns without a final event, oldest first
}

// connectByQuery serves a WebSocket whose query names the model.
func (s *duplex) connectByQuery(asked string) error {
	if err := s.choose(s.HTTP.Context(), asked); err != nil {
		return err
	}
	s.named = true
	if s.responses && !s.mayHaveWebSockets() {
		return s.bridge(nil)
	}
	return s.dialUpstream(!s.responses)
}

// mayHaveWebSockets reports whether to try a WebSocket to the provider: it is known to support
// them, or it is a custom provider, which may.
func (s *duplex) mayHaveWebSockets() bool {
	p := s.to.Provider
	if p.Builtin {
		return false
	}
	return p.WebSockets || p.Custom && p.Primary() == dialect.OpenAI
}

// lacksWebSockets reports whether a refused upgrade means that the provider has no
// WebSockets at all, which is possible at a base URL of the user's. Any other refusal
// concerns the request.
func (s *duplex) lacksWebSockets(resp *http.Response) bool {
	if s.to.Credential.BaseURL == "" {
		return false
	}
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	case http.StatusUpgradeRequired:
		return s.to.Provider.Custom
	}
	return resp.StatusCode < 300
}

// dialUpstream connects to the provider's WebSocket and relays. charge means that the
// connection itself is admitted as a call.
func (s *duplex) dialUpstream(charge bool) error {
	if _, err := s.socketEndpoint(); err != nil {
		return err
	}
	if charge {
		if err := s.admit(s.HTTP.Context()); err != nil {
			return err
		}
	}
	ctx, cancel := s.context()
	defer cancel()
	conn, resp, err := s.dial(ctx, s.upstreamQuery)
	switch {
	case err != nil:
		return err
	case conn == nil && resp == nil:
		return s.bridge(nil)
	case conn == nil:
		defer resp.Body.Close()
		result, err := s.answer().Pass(ctx, s.Writer, resp)
		s.attempted(result, err)
		return err
	}
	s.provider = NewConn(conn, s.MaxMessage)
	defer s.provider.Close()
	header := http.Header{}
	respond.CopyHeader(header, resp.Header, respond.NewRedactor(&s.to, true))
	for name := range header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			delete(header, name)
		}
	}
	s.answer().SetHeaders(header)
	caller, err := s.upgrade(conn.Subprotocol(), header)
	if err != nil {
		return respond.ErrDisconnected
	}
	defer caller.Close()
	s.caller, s.opened = caller, true
	return s.relay(ctx, nil)
}

// awaitModel serves a WebSocket whose first response.create names the model.
func (s *duplex) awaitModel() error {
	ctx, cancel := s.context()
	defer cancel()
	caller, err := s.upgrade("", nil)
	if err != nil {
		return respond.ErrDisconnected
	}
	defer caller.Close()
	s.caller = caller
	stop := context.AfterFunc(ctx, func() { caller.End(ctx) })
	defer stop()
	for {
		_, data, err := caller.Read()
		if err != nil {
			return respond.ErrDisconnected
		}
		first, err := s.first(data)
		if err != nil {
			if s.caller.SendText(ErrorEvent(err, first.EventID)) != nil {
				return respond.ErrDisconnected
			}
			continue
		}
		return s.connect(ctx, first)
	}
}

// first parses the message that determines the provider.
func (s *duplex) first(data []byte) (body.Message, error) {
	f, ok := body.ParseMessage(bytes.Clone(data)) // copied, because it is sent after the provider is connected
	if !ok {
		return f, fault.New(fault.Invalid, "the message is not a JSON object")
	}
	if f.Type != "response.create" || f.Model() == "" {
		return f, &fault.Error{Kind: fault.Invalid, Message: "the first message must be a response.create that names its model", Param: "model"}
	}
	return f, s.choose(s.HTTP.Context(), f.Model())
}

// connect connects to the provider for a caller that is already connected.
func (s *duplex) connect(ctx context.Context, first body.Message) error {
	if !s.mayHaveWebSockets() {
		return s.bridge(&first)
	}
	conn, resp, err := s.dial(ctx, s.upstreamQuery)
	switch {
	case err != nil:
		return s.refuse(err, first.EventID)
	case conn == nil && resp == nil:
		return s.bridge(&first)
	case conn == nil:
		defer resp.Body.Close()
		s.refusal(resp)
		return respond.ErrDisconnected
	}
	s.provider, s.opened = NewConn(conn, s.MaxMessage), true
	defer s.provider.Close()
	return s.relay(ctx, &first)
}

// refuse sends the error to the caller as an event and closes the connection.
func (s *duplex) refuse(err error, eventID string) error {
	s.caller.SendText(ErrorEvent(err, eventID))
	s.caller.SendClose(websocket.CloseInternalServerErr, "the provider cannot be reached")
	return err
}

// context returns a context that is cancelled when the token ends or the gateway shuts
// down. The end of the connection itself is noticed by reading from it.
func (s *duplex) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(s.HTTP.Context())
	stop := context.AfterFunc(s.Stopping, func() { cancel(ErrStopping) })
	if s.Call.Grant == nil {
		return ctx, func() { stop(); cancel(nil) }
	}
	inner, done := s.Call.Grant.Context(ctx)
	return inner, func() { done(); stop(); cancel(nil) }
}
