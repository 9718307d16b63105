package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/sock"
)

// errGoingAway is the cause of sockets that end with the gateway.
var errGoingAway = errors.New("the gateway is stopping")

// join passes messages between the two ends until one closes: one message at a
// time each way, so that a slow reader slows its writer down, at most MaxBody
// bytes each. Pings, pongs and close codes are the ends' own.
func (s *duplex) join(ctx context.Context, first *body.Message) error {
	s.caller.SetReadLimit(s.c.g.cfg.MaxBody)
	s.upstream.SetReadLimit(s.c.g.cfg.MaxBody)
	key := redactor(&s.c.to, true)
	passControl(s.caller, s.upstream, redact.Redactor{})
	passControl(s.upstream, s.caller, key)
	s.c.perTurn = s.responses
	stop := context.AfterFunc(ctx, func() { s.end(ctx) })
	defer stop()
	caller, provider := s.caller.NetConn().(*sock.Batch), s.upstream.NetConn().(*sock.Batch)
	caller.FlushBefore(provider)
	provider.FlushBefore(caller)
	defer caller.Flush()
	if first != nil {
		if !s.send(websocket.TextMessage, *first, true) {
			return respond.ErrDisconnected
		}
	}
	up, down := make(chan struct{}), make(chan struct{}) // closed when that direction has ended
	defer close(down)
	go func() {
		err := s.pumpUp()
		relayClose(s.upstream, err, websocket.CloseGoingAway, redact.Redactor{})
		grace := closeGrace
		if !isClose(err) {
			grace = goneGrace // nobody waits for the answer
		}
		// One that does not answer the close, and a caller that reads no answer.
		cut := time.AfterFunc(grace, func() { s.upstream.Close(); s.caller.Close() })
		defer cut.Stop()
		close(up)
		<-down
	}()
	err := s.pumpDown()
	gone := websocket.IsUnexpectedCloseError(err) || !isClose(err)
	if gone && ctx.Err() == nil {
		select {
		case <-up: // the caller went first; nobody is left to tell
		default:
			if !isClose(err) {
				s.tell(websocket.TextMessage, errorFrame(&fault.Error{Kind: fault.Upstream, Message: "provider \"" + s.c.to.Credential.Provider + "\" closed the connection"}, ""))
			}
		}
	}
	relayClose(s.caller, err, websocket.CloseInternalServerErr, key)
	// The caller's answer to the close ends the other direction; one that gives
	// none is cut off.
	cut := time.AfterFunc(closeGrace, func() { s.caller.Close(); s.upstream.Close() })
	<-up
	cut.Stop()
	s.endTurns(err)
	if !s.responses {
		s.c.attempted(respond.Result{Status: http.StatusSwitchingProtocols, Usage: s.c.outcome.Usage, Reported: s.c.outcome.Reported}, nil)
	}
	return respond.ErrDisconnected
}

func isClose(err error) bool {
	var c *websocket.CloseError
	return errors.As(err, &c) && c.Code != websocket.CloseAbnormalClosure
}

// relayClose hands one end's close to the other; an end that just went away is
// told as the given code. The key is taken out of what it says, at its length: a
// control frame has little room.
func relayClose(to *websocket.Conn, err error, otherwise int, key redact.Redactor) {
	var closed *websocket.CloseError
	message := websocket.FormatCloseMessage(otherwise, "")
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		message = key.Mask(websocket.FormatCloseMessage(closed.Code, closed.Text)) // it may have no more than 125 bytes
	} else if errors.Is(err, websocket.ErrReadLimit) {
		message = websocket.FormatCloseMessage(websocket.CloseMessageTooBig, "")
	}
	to.WriteControl(websocket.CloseMessage, message, time.Now().Add(closeGrace))
}

// passControl hands pings and pongs of one end to the other, and keeps closes
// for relayClose.
func passControl(from, to *websocket.Conn, key redact.Redactor) {
	pass := func(kind int) func(string) error {
		return func(text string) error {
			err := to.WriteControl(kind, key.Mask([]byte(text)), time.Now().Add(closeGrace))
			if errors.Is(err, websocket.ErrCloseSent) {
				return nil
			}
			return err
		}
	}
	from.SetPingHandler(pass(websocket.PingMessage))
	from.SetPongHandler(pass(websocket.PongMessage))
	from.SetCloseHandler(func(int, string) error { return nil })
}

// pumpUp passes the caller's messages up.
func (s *duplex) pumpUp() error {
	provider := s.upstream.NetConn().(*sock.Batch)
	defer provider.Flush()
	var in messageReader
	for {
		kind, data, err := in.next(s.caller)
		if err != nil {
			return err
		}
		f, ok := body.ParseMessage(data)
		provider.Hold()
		if !s.send(kind, f, ok) {
			return io.ErrClosedPipe
		}
	}
}

// send checks one message and passes it up; one that the token does not reach
// goes nowhere, which an event says. It reports whether the socket lives on.
func (s *duplex) send(kind int, f body.Message, readable bool) bool {
	if err := s.check(f, readable); err != nil {
		return s.tell(websocket.TextMessage, errorFrame(err, f.EventID)) == nil
	}
	data := f.WithModels(func(name string) string {
		if t, err := s.c.target(name); err == nil && t.Provider == s.c.to.Credential.Provider {
			return t.Model
		}
		return name
	})
	return s.upstream.WriteMessage(kind, data) == nil
}

// check holds a message against the token.
func (s *duplex) check(f body.Message, readable bool) error {
	c := s.c
	if !readable {
		if c.limited() {
			return fault.New(fault.Invalid, "the message is not a JSON object")
		}
		return nil
	}
	if c.call.Grant != nil {
		if err := c.call.Grant.Check(); err != nil {
			return err
		}
	}
	if c.limited() && f.Ambiguous {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	for _, m := range f.Models {
		if err := checkModelName(m.Name); err != nil {
			return err
		}
		t, err := c.target(m.Name)
		if err != nil {
			return err
		}
		if t.Provider != c.to.Credential.Provider && (t.Stripped || m.Top) && s.opened {
			return &fault.Error{Kind: fault.Invalid, Message: "this connection is to provider \"" + c.to.Credential.Provider + "\"; open another one for " + respond.HeaderSafe(m.Name), Param: "model"}
		}
		name := m.Name
		if t.Provider == c.to.Credential.Provider {
			name = t.Model
		}
		if err := c.allow(c.to.Credential.Provider, name); err != nil {
			return err
		}
	}
	if s.responses && f.Type == "response.create" {
		if err := c.checkMessage(f); err != nil {
			return err
		}
		model := f.Model()
		if model == "" && c.to.Model == "" && c.limited() {
			return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
		}
		return s.begin(model, f.Bytes())
	}
	return nil
}

// checkMessage holds the further models that a response.create names against the
// scope of a token that is limited to certain models.
func (c *exchange) checkMessage(m body.Message) error {
	if !c.limited() {
		return nil
	}
	return policy.AuthorizeMessage(c.call.Grant.Scope(), &m, c.target)
}

// begin admits a response.create as a call of its own.
func (s *duplex) begin(model string, data []byte) error {
	if t, err := s.c.target(model); err == nil && model != "" {
		model = t.Model
	}
	t, err := s.c.beginTurn(s.c.r.Context(), model, bytes.Clone(data))
	if err != nil {
		return err
	}
	s.turning.Lock()
	s.turns = append(s.turns, t)
	s.turning.Unlock()
	return nil
}

// account counts what a message of the provider says was used: on a connection whose
// messages are calls of their own it ends the oldest one.
func (s *duplex) account(data []byte) {
	if !s.responses {
		if report, ok := usage.Parse(data); ok {
			s.c.outcome.Usage.Tokens.Add(report.Tokens)
			s.c.outcome.Reported = true
		}
		return
	}
	kind := pipeline.ErrorKind("")
	switch eventType(data) {
	case "response.completed", "response.incomplete", "response.cancelled":
	case "response.failed", "error":
		kind = pipeline.ProviderError
	default:
		return
	}
	report, ok := usage.Parse(data)
	s.turning.Lock()
	defer s.turning.Unlock()
	if len(s.turns) > 0 {
		s.turns[0].end(report, ok, kind)
		s.turns = s.turns[1:]
	}
}

// endTurns concludes the calls that got no answer before the connection ended.
func (s *duplex) endTurns(cause error) {
	kind := pipeline.ProviderIncomplete
	if s.c.r.Context().Err() != nil {
		kind = pipeline.CallerDisconnected
	}
	s.turning.Lock()
	defer s.turning.Unlock()
	for _, t := range s.turns {
		t.end(usage.Report{}, false, kind)
	}
	s.turns = nil
}

// answerMarks are in every message that may end a call, and in few others.
var (
	usageMark = []byte(`"usage`)
	errorMark = []byte(`"error"`)
)

// typeMark opens nearly every event of OpenAI's APIs.
var typeMark = []byte(`{"type":"`)

// eventType is the type of an event, "" where it has none.
func eventType(event []byte) string {
	if bytes.HasPrefix(event, typeMark) {
		rest := event[len(typeMark):]
		if end := bytes.IndexAny(rest, `"\`); end >= 0 && rest[end] == '"' {
			return string(rest[:end])
		}
	}
	span, _ := jsonscan.Member(event, "type")
	text, _ := jsonscan.Text(span.Of(event))
	return text
}

// isDelta reports whether an event is by its type a part of an answer, which ends
// nothing and reports no usage: nearly all events are.
func isDelta(event []byte) bool {
	if !bytes.HasPrefix(event, typeMark) {
		return false
	}
	kind := event[len(typeMark):min(len(event), 80)]
	end := bytes.IndexByte(kind, '"')
	return end > 0 && bytes.HasSuffix(kind[:end], []byte(".delta"))
}

// pumpDown passes the provider's messages down, counting what they say was spent.
func (s *duplex) pumpDown() error {
	key := redactor(&s.c.to, false)
	caller := s.caller.NetConn().(*sock.Batch)
	defer caller.Flush()
	var in messageReader
	for {
		kind, data, err := in.next(s.upstream)
		if err != nil {
			return err
		}
		caller.Hold()
		if !isDelta(data) && (bytes.Contains(data, usageMark) || bytes.Contains(data, errorMark)) {
			s.account(data)
		}
		if err := s.tell(kind, key.Bytes(data)); err != nil {
			return err
		}
	}
}

// messageReader reads messages one after the other, each into the memory of the one
// before.
type messageReader struct{ buf bytes.Buffer }

// maxKept is the largest buffer that is kept for the next message.
const maxKept = 256 << 10

func (m *messageReader) next(from *websocket.Conn) (kind int, data []byte, err error) {
	if m.buf.Cap() > maxKept {
		m.buf = bytes.Buffer{}
	}
	m.buf.Reset()
	kind, r, err := from.NextReader()
	if err != nil {
		return kind, nil, err
	}
	_, err = m.buf.ReadFrom(r)
	return kind, m.buf.Bytes(), err
}

// refusal tells a caller that is connected already what the provider answered to
// the upgrade.
func (s *duplex) refusal(resp *http.Response) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	text := redactor(&s.c.to, true).Bytes(body)
	s.c.attempted(respond.Result{Status: resp.StatusCode, Kind: pipeline.KindOfStatus(resp.StatusCode)}, nil)
	s.tell(websocket.TextMessage, upstreamErrorFrame(resp.StatusCode, text))
	s.closeCaller(websocket.CloseInternalServerErr, "the provider refused the connection")
}
