package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/sse"
)

// bridge serves /v1/responses in WebSocket mode for a provider that has only
// HTTP: each response.create becomes a streamed POST whose events come back as
// messages. previous_response_id reaches back within the connection: to any
// response where the provider is translated to, to the newest where it speaks
// responses itself, and beyond that to what such a one stores. first is a message that was read already.
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
		caller.SetReadLimit(s.c.g.cfg.MaxBody)
	}
	stop := context.AfterFunc(ctx, func() { s.end(ctx) })
	defer stop()
	b := &bridged{s: s, id: rand.Text(), ctx: ctx, model: s.c.to.Model, provider: s.c.to.Credential.Provider}
	return b.run(first)
}

// bridged runs one request after the other. While one runs, the connection is
// read on, so that its end, or a response.cancel, ends the request.
type bridged struct {
	s               *duplex
	id              string // its memory's name
	ctx             context.Context
	provider, model string // of the connection, where the query named them
	recall          recall

	mu      sync.Mutex
	current context.CancelFunc
}

// bridgeQueue is how many messages wait while one is answered; past it the
// connection is not read.
const bridgeQueue = 4

func (b *bridged) run(first *body.Message) error {
	ctx, cancel := context.WithCancel(b.ctx)
	queue := make(chan body.Message, bridgeQueue)
	done, answered := make(chan error, 1), make(chan struct{})
	defer close(answered)
	go func() {
		err := b.read(ctx, queue)
		close(queue)
		cancel()
		done <- err
		// A caller that has gone, or reads nothing, must not hold an answer up.
		cut := time.AfterFunc(closeGrace, func() { b.s.caller.Close() })
		defer cut.Stop()
		<-answered
	}()
	if first != nil {
		b.answer(ctx, *first)
	}
	for f := range queue {
		b.answer(ctx, f)
	}
	cancel()
	err := <-done
	relayClose(b.s.caller, err, websocket.CloseNormalClosure, redact.Redactor{})
	return respond.ErrDisconnected
}

func (b *bridged) read(ctx context.Context, queue chan<- body.Message) error {
	b.s.caller.SetCloseHandler(func(int, string) error { return nil })
	for {
		_, data, err := b.s.caller.ReadMessage()
		if err != nil {
			return err
		}
		f, ok := body.ParseMessage(data)
		switch {
		case !ok:
			b.tell(errorFrame(fault.New(fault.Invalid, "the message is not a JSON object"), ""))
		case f.Type == "response.cancel":
			b.mu.Lock()
			if b.current != nil {
				b.current()
			}
			b.mu.Unlock()
		case f.Type == "response.create":
			select {
			case queue <- f:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		default:
			b.tell(errorFrame(&fault.Error{Kind: fault.Invalid, Message: "only response.create and response.cancel are understood here", Param: "type"}, f.EventID))
		}
	}
}

func (b *bridged) tell(data []byte) error { return b.s.tell(websocket.TextMessage, data) }

// answer serves one response.create as the POST that it stands for.
func (b *bridged) answer(ctx context.Context, f body.Message) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.mu.Lock()
	b.current = cancel
	b.mu.Unlock()
	out := &frameWriter{header: http.Header{}, tell: func(event []byte) error {
		b.recall.see(event)
		return b.tell(event)
	}}
	err := b.serve(ctx, f, out)
	if err != nil && out.status == 0 && !errors.Is(err, respond.ErrDisconnected) {
		b.tell(errorFrame(err, f.EventID))
	}
	out.finish()
	b.mu.Lock()
	b.current = nil
	b.mu.Unlock()
}

func (b *bridged) serve(ctx context.Context, f body.Message, out *frameWriter) error {
	outer := b.s.c
	if outer.call.Grant != nil {
		if err := outer.call.Grant.Check(); err != nil {
			return err
		}
	}
	if outer.limited() && f.Ambiguous {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	members, err := responseBody(f, b.provider, b.model)
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
	r := outer.r.Clone(ctx)
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
	c.call.Grant, c.call.Socket, c.connection = outer.call.Grant, true, b
	c.call.Provider = outer.call.Provider
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
	stored := func(id string) bool { _, ok := c.conversations(parsed.Bytes()).Get(id); return ok }
	if err := b.recall.expand(members, warmUp, stored); err != nil {
		return err
	}
	if warmUp {
		c.perTurn = true // no model is asked: nothing to observe
		return b.recall.warmUp(candidates[0].Model, members, c.call.Start.Unix(), b.tell)
	}
	if c.call.Body, err = json.Marshal(members); err != nil {
		return err
	}
	c.bodyRead, c.call.Size = true, int64(len(c.call.Body))
	if c.envelope, err = body.Parse(c.call.Body); err != nil {
		return err
	}
	return c.dispatch(candidates)
}

// responseBody makes the members of the POST's body of a response.create: its
// own but for those of the message, streamed, and with the connection's model
// where it has none.
func responseBody(f body.Message, providerName, model string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(f.Bytes(), &members); err != nil {
		return nil, fault.New(fault.Invalid, "the message is not a JSON object")
	}
	if inner, ok := members["response"]; ok && members["input"] == nil {
		// Some clients wrap the request, as the realtime API has it.
		members = nil
		if err := json.Unmarshal(inner, &members); err != nil || members == nil {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "response is not an object", Param: "response"}
		}
	}
	delete(members, "type")
	delete(members, "event_id")
	delete(members, "background")
	members["stream"] = json.RawMessage("true")
	if members["model"] == nil && model != "" {
		members["model"] = jsonscan.Quote(providerName + "/" + model)
	}
	return members, nil
}

// frameWriter turns what an exchange answers into messages: each event's data is
// one, an answer that is no stream an error.
type frameWriter struct {
	tell   func([]byte) error
	header http.Header
	status int
	events bool
	split  sse.Splitter
	buf    []byte
	err    error
}

// Header implements http.ResponseWriter.
func (w *frameWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *frameWriter) WriteHeader(status int) {
	if status < 200 {
		return
	}
	w.status = status
	w.events = status == http.StatusOK && respond.IsEventStream(w.header.Get("Content-Type"))
}

// Write implements http.ResponseWriter.
func (w *frameWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if len(w.buf)+len(p) > sseFrameLimit {
		w.err = errors.New("an event is too long")
		return 0, w.err
	}
	w.buf = append(w.buf, p...)
	if !w.events {
		return len(p), nil
	}
	from := 0
	for {
		end, ok := w.split.Next(w.buf)
		if !ok {
			break
		}
		data := sse.Data(w.buf[from:end])
		from = end
		if len(data) == 0 || string(data) == "[DONE]" {
			continue
		}
		if w.err = w.tell(data); w.err != nil {
			return 0, w.err
		}
	}
	w.buf = w.buf[:copy(w.buf, w.buf[from:])]
	w.split.Shift(from)
	return len(p), nil
}

// Flush implements http.Flusher: messages go out as they are made.
func (w *frameWriter) Flush() {}

const sseFrameLimit = 64 << 20

// finish tells an answer that was no stream.
func (w *frameWriter) finish() {
	if w.status != 0 && !w.events && w.err == nil {
		w.tell(upstreamErrorFrame(w.status, w.buf))
	}
}

// upstreamErrorFrame is the event for a provider's own error: its error object
// where it has one, else its text.
func upstreamErrorFrame(status int, body []byte) []byte {
	object, _ := jsonscan.Member(body, "error")
	found := jsonscan.Raw(object.Of(body))
	if found.Kind() != '{' {
		message := string(bytes.ToValidUTF8(body[:min(len(body), 2048)], []byte("?")))
		found = openai.Error{Message: message, Type: "upstream_error"}.Value()
	}
	return jsonscan.Obj(
		jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"error"`)},
		jsonscan.Field{Name: "status", Value: jsonscan.Raw(strconv.AppendInt(nil, int64(status), 10))},
		jsonscan.Field{Name: "error", Value: found}).JSON()
}
