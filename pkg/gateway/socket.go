package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// serveSocket serves a WebSocket: /v1/realtime, and /v1/responses in WebSocket
// mode. Where the query names the model, the provider's answer decides before
// the caller's upgrade is taken; else the first response.create names it.
func (c *exchange) serveSocket() error {
	if !websocket.IsWebSocketUpgrade(c.r) {
		return fault.New(fault.Method, "GET needs a WebSocket upgrade here; POST takes JSON")
	}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "the query is malformed")
	}
	if len(query["model"]) > 1 {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	if c.call.Provider, err = c.plainProvider(); err != nil {
		return err
	}
	s := &duplex{c: c, responses: c.matched.Dialect == dialect.Responses}
	switch asked := query.Get("model"); {
	case asked != "":
		return s.named(asked)
	case s.responses:
		return s.unnamed()
	case c.limited():
		return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
	}
	if err := c.choose(c.r.Context(), ""); err != nil {
		return err
	}
	return s.native(true)
}

// duplex is a WebSocket with its two ends.
type duplex struct {
	c         *exchange
	responses bool // response.create is a request of its own; else the session is
	caller    *websocket.Conn
	upstream  *websocket.Conn
	query     string
	opened    bool // the provider is fixed by the connection

	telling sync.Mutex // held while a message is written to the caller

	turning sync.Mutex
	turns   []*turn // that wait for their usage, the oldest first
}

// tell writes one message to the caller.
func (s *duplex) tell(kind int, data []byte) error {
	s.telling.Lock()
	defer s.telling.Unlock()
	return s.caller.WriteMessage(kind, data)
}

// named serves a socket whose model stands in the query.
func (s *duplex) named(asked string) error {
	if err := s.c.choose(s.c.r.Context(), asked); err != nil {
		return err
	}
	s.query = renamedQuery(upstream.Query(s.c.r.URL.RawQuery, false), s.c.to.Model)
	if s.responses && !s.speaksSockets() {
		return s.bridge(nil)
	}
	return s.native(!s.responses)
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

// native connects to the provider's own WebSocket and joins the two. charge is
// whether opening it is a request of its own.
func (s *duplex) native(charge bool) error {
	c := s.c
	e, err := c.endpoint(&c.to, dialect.OpenAI)
	if err != nil {
		return err
	}
	if e == nil || e.Builtin {
		return &fault.Error{Kind: fault.Invalid, Param: "model", Code: "unsupported_endpoint", Message: fmt.Sprintf("provider %q has no %s", c.to.Provider.Name, c.matched.Pattern)}
	}
	if charge {
		if err := c.admit(c.r.Context(), []pipeline.Candidate{c.to}); err != nil {
			return err
		}
	}
	if s.query == "" {
		s.query = upstream.Query(c.r.URL.RawQuery, false)
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
	defer upstream.Close()
	header := http.Header{}
	respond.CopyHeader(header, resp.Header, redactor(&c.to, true))
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
	s.caller, s.upstream, s.opened = caller, upstream, true
	return s.join(ctx, nil)
}

// unnamed serves a socket whose model comes with its first response.create.
func (s *duplex) unnamed() error {
	ctx, cancel := s.context()
	defer cancel()
	caller, err := s.c.upgrade("", nil)
	if err != nil {
		return respond.ErrDisconnected
	}
	defer caller.Close()
	s.caller = caller
	caller.SetReadLimit(s.c.g.cfg.MaxBody)
	stop := context.AfterFunc(ctx, func() { s.end(ctx) })
	defer stop()
	for {
		_, data, err := caller.ReadMessage()
		if err != nil {
			return respond.ErrDisconnected
		}
		first, err := s.first(data)
		if err != nil {
			if s.tell(websocket.TextMessage, errorFrame(err, first.EventID)) != nil {
				return respond.ErrDisconnected
			}
			continue
		}
		return s.connect(ctx, first)
	}
}

// first reads the message that tells the provider.
func (s *duplex) first(data []byte) (body.Message, error) {
	f, ok := body.ParseMessage(data)
	if !ok {
		return f, fault.New(fault.Invalid, "the message is not a JSON object")
	}
	if f.Type != "response.create" || f.Model() == "" {
		return f, &fault.Error{Kind: fault.Invalid, Message: "the first message must be a response.create that names its model", Param: "model"}
	}
	return f, s.c.choose(s.c.r.Context(), f.Model())
}

// connect goes on with a socket whose caller is connected already.
func (s *duplex) connect(ctx context.Context, first body.Message) error {
	c := s.c
	if !s.speaksSockets() {
		return s.bridge(&first)
	}
	e, err := c.endpoint(&c.to, dialect.OpenAI)
	if err == nil && e == nil {
		err = c.unsupported(&c.to)
	}
	if err != nil {
		return s.giveUp(err, first.EventID)
	}
	upstream, resp, err := c.dialProvider(ctx, e, upstream.Query(c.r.URL.RawQuery, false))
	if err != nil {
		err = unanswered(ctx, c.to.Provider.Name, err)
		c.attempted(respond.Result{}, err)
		return s.giveUp(err, first.EventID)
	}
	if upstream == nil {
		defer resp.Body.Close()
		if s.hasNone(resp) {
			return s.bridge(&first)
		}
		s.refusal(resp)
		return respond.ErrDisconnected
	}
	defer upstream.Close()
	s.upstream, s.opened = upstream, true
	return s.join(ctx, &first)
}

// giveUp tells the caller in an event what keeps the socket from being served,
// and closes it.
func (s *duplex) giveUp(err error, eventID string) error {
	s.tell(websocket.TextMessage, errorFrame(err, eventID))
	s.closeCaller(websocket.CloseInternalServerErr, "the provider cannot be reached")
	return err
}

// context ends with the token and with the gateway; the connection's own end is
// seen by reading it.
func (s *duplex) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(s.c.r.Context())
	stop := context.AfterFunc(s.c.g.sockets, func() { cancel(errGoingAway) })
	if s.c.call.Grant == nil {
		return ctx, func() { stop(); cancel(nil) }
	}
	inner, done := s.c.call.Grant.Context(ctx)
	return inner, func() { done(); stop(); cancel(nil) }
}

// How long a peer is given to answer a close, and how long a provider is whose
// caller has gone without one.
const (
	closeGrace = 2 * time.Second
	goneGrace  = 250 * time.Millisecond
)

func (s *duplex) closeCaller(code int, reason string) {
	s.caller.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeGrace))
}

// end closes both ends for a cause that is neither's.
func (s *duplex) end(ctx context.Context) {
	code, reason := websocket.CloseGoingAway, "the gateway is stopping"
	if fault.Is(context.Cause(ctx), fault.Unauthenticated) {
		code, reason = websocket.ClosePolicyViolation, "the bridge token was revoked"
	}
	if s.caller != nil {
		s.closeCaller(code, reason)
		s.caller.Close()
	}
	if s.upstream != nil {
		s.upstream.Close()
	}
}
