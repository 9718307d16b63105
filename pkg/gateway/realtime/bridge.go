package realtime

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// bridged is a connection to /v1/responses in WebSocket mode whose provider supports HTTP
// only: each response.create is sent as a streamed POST, and the events of its response
// come back as messages.
type bridged struct {
	s            *duplex
	id           string // identifies its memory
	model        string // default model of the connection, as "provider/model"; "" if the query names none
	conversation Conversation
}

// bridge serves such a connection. With a translated provider, previous_response_id may
// refer to any response of the connection; with one that has the Responses API, to the
// latest response and to those that the provider stores. first is a message that has been
// read already, or nil.
func (s *duplex) bridge(first *body.Message) error {
	ctx, cancel := s.context()
	defer cancel()
	if s.caller == nil {
		header := http.Header{}
		s.answer().SetHeaders(header)
		caller, err := s.upgrade("", header)
		if err != nil {
			return respond.ErrDisconnected
		}
		defer caller.Close()
		s.caller = caller
	}
	stop := context.AfterFunc(ctx, func() { s.caller.End(ctx) })
	defer stop()
	b := &bridged{s: s, id: rand.Text()}
	if s.to.Model != "" {
		b.model = s.to.Credential.Provider + "/" + s.to.Model
	}
	requests := Requests{Caller: s.caller, Answer: b.answer}
	requests.Run(ctx, first)
	return respond.ErrDisconnected
}

// answer serves one response.create as a POST.
func (b *bridged) answer(ctx context.Context, m body.Message) {
	out := NewEventWriter(func(event []byte) error {
		b.conversation.See(event)
		return b.s.caller.SendText(event)
	})
	err := b.serve(ctx, m, out)
	if err != nil && out.Status() == 0 && !errors.Is(err, respond.ErrDisconnected) {
		b.s.caller.SendText(ErrorEvent(err, m.EventID))
	}
	out.Finish()
}

func (b *bridged) serve(ctx context.Context, f body.Message, out *EventWriter) error {
	outer := b.s
	if outer.Call.Grant != nil {
		if err := outer.Call.Grant.Check(); err != nil {
			return err
		}
	}
	if outer.Limited() && f.Ambiguous {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	members, err := RequestBody(f, b.model)
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
	return outer.Pipeline.Post(ctx, out, &Post{
		Session: outer.Session, HTTP: r, Matched: matched, Body: parsed, Connection: b.id,
		Expand: func(r *plan.Request, to *pipeline.Candidate) ([]byte, error) {
			stored := func(id string) bool { _, ok := r.Conversations(parsed.Bytes()).Get(id); return ok }
			if err := b.conversation.Expand(members, warmUp, stored); err != nil {
				return nil, err
			}
			if warmUp { // the model is not called
				return nil, b.conversation.WarmUp(to.Model, members, r.Call.Start.Unix(), b.s.caller.SendText)
			}
			return json.Marshal(members)
		},
	})
}
