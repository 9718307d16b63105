package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/realtime"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// bridged is a connection to /v1/responses in WebSocket mode whose provider has only
// HTTP: each response.create becomes a streamed POST whose events come back as
// messages.
type bridged struct {
	s            *duplex
	id           string // its memory's name
	model        string // of the connection, its provider before it, where the query named it
	conversation realtime.Conversation
}

// bridge serves such a connection. previous_response_id reaches back within it: to
// any response where the provider is translated to, to the newest where it speaks
// responses itself, and beyond that to what such a one stores. first is a message
// that was read already.
func (s *duplex) bridge(first *body.Message) error {
	ctx, cancel := s.context()
	defer cancel()
	if s.caller == nil {
		header := http.Header{}
		s.c.answer(&s.c.to, nil).SetHeaders(header)
		caller, err := s.c.upgrade("", header)
		if err != nil {
			return respond.ErrDisconnected
		}
		defer caller.Close()
		s.caller = caller
	}
	stop := context.AfterFunc(ctx, func() { s.caller.End(ctx) })
	defer stop()
	b := &bridged{s: s, id: rand.Text()}
	if s.c.to.Model != "" {
		b.model = s.c.to.Credential.Provider + "/" + s.c.to.Model
	}
	requests := realtime.Requests{Caller: s.caller, Answer: b.answer}
	requests.Run(ctx, first)
	return respond.ErrDisconnected
}

// answer serves one response.create as the POST that it stands for.
func (b *bridged) answer(ctx context.Context, m body.Message) {
	out := realtime.NewEventWriter(func(event []byte) error {
		b.conversation.See(event)
		return b.s.caller.SendText(event)
	})
	err := b.serve(ctx, m, out)
	if err != nil && out.Status() == 0 && !errors.Is(err, respond.ErrDisconnected) {
		b.s.caller.SendText(realtime.ErrorEvent(err, m.EventID))
	}
	out.Finish()
}

func (b *bridged) serve(ctx context.Context, f body.Message, out *realtime.EventWriter) error {
	outer := b.s.c
	if outer.Call.Grant != nil {
		if err := outer.Call.Grant.Check(); err != nil {
			return err
		}
	}
	if outer.Limited() && f.Ambiguous {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	members, err := realtime.RequestBody(f, b.model)
	if err != nil {
		return err
	}
	warmUp := string(members["generate"]) == "false"
	delete(members, "generate")
	data, err := json.Marshal(members)
	if err != nil {
		return err
	}
	parsed, err := body.Parse(data)
	if err != nil {
		return err
	}
	if parsed.Model == "" {
		return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
	}
	r := outer.HTTP.Clone(ctx)
	r.Method, r.Body, r.ContentLength = http.MethodPost, http.NoBody, 0
	r.URL.RawQuery = ""
	for _, name := range []string{"Upgrade", "Connection"} {
		delete(r.Header, name)
	}
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Accept"] = []string{"text/event-stream"}
	matched, err := endpoint.Match(r.URL, http.MethodPost)
	if err != nil {
		return err
	}
	c := outer.g.newExchange(out, r, matched)
	c.Call.Grant, c.Call.Socket, c.connection, c.Connection = outer.Call.Grant, true, b, b.id
	c.Call.Provider = outer.Call.Provider
	err = c.serveTurn(ctx, parsed, members, warmUp)
	c.conclude(err)
	return err
}

// serveTurn takes one response.create through the pipeline.
func (c *exchange) serveTurn(ctx context.Context, parsed *body.Body, members map[string]json.RawMessage, warmUp bool) error {
	b := c.connection
	if err := c.setBody(parsed); err != nil {
		return err
	}
	candidates, err := c.candidates(ctx)
	if err != nil {
		return err
	}
	stored := func(id string) bool { _, ok := c.Conversations(parsed.Bytes()).Get(id); return ok }
	if err := b.conversation.Expand(members, warmUp, stored); err != nil {
		return err
	}
	if warmUp {
		c.perTurn = true // no model is asked: nothing to observe
		return b.conversation.WarmUp(candidates[0].Model, members, c.Call.Start.Unix(), b.s.caller.SendText)
	}
	if c.Call.Body, err = json.Marshal(members); err != nil {
		return err
	}
	c.BodyRead, c.Call.Size = true, int64(len(c.Call.Body))
	if c.Envelope, err = body.Parse(c.Call.Body); err != nil {
		return err
	}
	return c.dispatch(candidates)
}
