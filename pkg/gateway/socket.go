package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/realtime"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// serveSocket serves a WebSocket: /v1/realtime, and /v1/responses in WebSocket
// mode. Where the query names the model, the provider's answer decides before
// the caller's upgrade is taken; else the first response.create names it.
func (c *exchange) serveSocket() error {
	if !websocket.IsWebSocketUpgrade(c.HTTP) {
		return fault.New(fault.Method, "GET needs a WebSocket upgrade here; POST takes JSON")
	}
	query, err := url.ParseQuery(c.HTTP.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "the query is malformed")
	}
	if len(query["model"]) > 1 {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	if c.Call.Provider, err = c.Provider(); err != nil {
		return err
	}
	s := &duplex{c: c, responses: c.Matched.Dialect == dialect.Responses}
	switch asked := query.Get("model"); {
	case asked != "":
		return s.connectByQuery(asked)
	case s.responses:
		return s.awaitModel()
	case c.Limited():
		return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
	}
	if err := c.choose(c.HTTP.Context(), ""); err != nil {
		return err
	}
	return s.dialUpstream(true)
}

// duplex is a WebSocket with its two ends.
type duplex struct {
	c         *exchange
	responses bool // response.create is a request of its own; else the session is
	caller    *realtime.Conn
	provider  *realtime.Conn
	query     string
	opened    bool // the provider is fixed by the connection

	turning sync.Mutex
	turns   []*turn // that wait for their usage, the oldest first
}

// connectByQuery serves a WebSocket whose query names the model.
func (s *duplex) connectByQuery(asked string) error {
	if err := s.c.choose(s.c.HTTP.Context(), asked); err != nil {
		return err
	}
	s.query = renamedQuery(upstream.Query(s.c.HTTP.URL.RawQuery, false), s.c.to.Model)
	if s.responses && !s.speaksSockets() {
		return s.bridge(nil)
	}
	return s.dialUpstream(!s.responses)
}

// speaksSockets reports whether the provider is to be asked for a WebSocket: it
// is known to have them, or its owner's base URL may.
func (s *duplex) speaksSockets() bool {
	p := s.c.to.Provider
	if p.Builtin {
		return false
	}
	return p.WebSockets || p.Custom && p.Primary() == dialect.OpenAI
}

// hasNone reports whether a refused upgrade says that there is no WebSocket at
// all, which happens at a user's own base URL; any other refusal is the
// provider's word on this request.
func (s *duplex) hasNone(resp *http.Response) bool {
	if s.c.to.Credential.BaseURL == "" {
		return false
	}
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	case http.StatusUpgradeRequired:
		return s.c.to.Provider.Custom
	}
	return resp.StatusCode < 300
}

// dialUpstream connects to the provider's own WebSocket and relays. charge is whether
// opening it is a request of its own.
func (s *duplex) dialUpstream(charge bool) error {
	c := s.c
	e, err := c.Endpoint(&c.to, dialect.OpenAI)
	if err != nil {
		return err
	}
	if e == nil || e.Builtin {
		return &fault.Error{Kind: fault.Invalid, Param: "model", Code: "unsupported_endpoint", Message: fmt.Sprintf("provider %q has no %s", c.to.Provider.Name, c.Matched.Pattern)}
	}
	if charge {
		if err := c.admit(c.HTTP.Context(), []pipeline.Candidate{c.to}); err != nil {
			return err
		}
	}
	if s.query == "" {
		s.query = upstream.Query(c.HTTP.URL.RawQuery, false)
	}
	ctx, cancel := s.context()
	defer cancel()
	upstream, resp, err := c.dialProvider(ctx, e, s.query)
	if err != nil {
		err = unanswered(ctx, c.to.Provider.Name, err)
		c.attempted(respond.Result{}, err)
		return err
	}
	if upstream == nil {
		defer resp.Body.Close()
		if s.responses && s.hasNone(resp) {
			return s.bridge(nil)
		}
		result, err := c.answer(&c.to, nil).Pass(ctx, c.w, resp)
		c.attempted(result, err)
		return err
	}
	s.provider = realtime.NewConn(upstream, c.g.cfg.MaxBody)
	defer s.provider.Close()
	header := http.Header{}
	respond.CopyHeader(header, resp.Header, respond.NewRedactor(&c.to, true))
	for name := range header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			delete(header, name)
		}
	}
	c.answer(&c.to, nil).SetHeaders(header)
	caller, err := c.upgrade(upstream.Subprotocol(), header)
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
	caller, err := s.c.upgrade("", nil)
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
			if s.caller.SendText(realtime.ErrorEvent(err, first.EventID)) != nil {
				return respond.ErrDisconnected
			}
			continue
		}
		return s.connect(ctx, first)
	}
}

// first reads the message that tells the provider.
func (s *duplex) first(data []byte) (body.Message, error) {
	f, ok := body.ParseMessage(bytes.Clone(data)) // it is sent when the provider is connected
	if !ok {
		return f, fault.New(fault.Invalid, "the message is not a JSON object")
	}
	if f.Type != "response.create" || f.Model() == "" {
		return f, &fault.Error{Kind: fault.Invalid, Message: "the first message must be a response.create that names its model", Param: "model"}
	}
	return f, s.c.choose(s.c.HTTP.Context(), f.Model())
}

// connect goes on with a socket whose caller is connected already.
func (s *duplex) connect(ctx context.Context, first body.Message) error {
	c := s.c
	if !s.speaksSockets() {
		return s.bridge(&first)
	}
	e, err := c.Endpoint(&c.to, dialect.OpenAI)
	if err == nil && e == nil {
		err = c.Unsupported(&c.to)
	}
	if err != nil {
		return s.refuse(err, first.EventID)
	}
	upstream, resp, err := c.dialProvider(ctx, e, upstream.Query(c.HTTP.URL.RawQuery, false))
	if err != nil {
		err = unanswered(ctx, c.to.Provider.Name, err)
		c.attempted(respond.Result{}, err)
		return s.refuse(err, first.EventID)
	}
	if upstream == nil {
		defer resp.Body.Close()
		if s.hasNone(resp) {
			return s.bridge(&first)
		}
		s.refusal(resp)
		return respond.ErrDisconnected
	}
	s.provider, s.opened = realtime.NewConn(upstream, c.g.cfg.MaxBody), true
	defer s.provider.Close()
	return s.relay(ctx, &first)
}

// refuse sends the caller the error in an event and closes the connection.
func (s *duplex) refuse(err error, eventID string) error {
	s.caller.SendText(realtime.ErrorEvent(err, eventID))
	s.caller.SendClose(websocket.CloseInternalServerErr, "the provider cannot be reached")
	return err
}

// context ends with the token and with the gateway; the connection's own end is
// seen by reading it.
func (s *duplex) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(s.c.HTTP.Context())
	stop := context.AfterFunc(s.c.g.sockets, func() { cancel(realtime.ErrStopping) })
	if s.c.Call.Grant == nil {
		return ctx, func() { stop(); cancel(nil) }
	}
	inner, done := s.c.Call.Grant.Context(ctx)
	return inner, func() { done(); stop(); cancel(nil) }
}
