package realtime

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/policy"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// relay relays messages between caller and provider until one of them closes.
func (s *duplex) relay(ctx context.Context, first *body.Message) error {
	s.PerTurn = s.responses
	if first != nil && !s.send(websocket.TextMessage, *first, true) {
		return respond.ErrDisconnected
	}
	key := respond.NewRedactor(&s.to, false)
	r := Relay{
		Caller: s.caller, Provider: s.provider, Redactor: respond.NewRedactor(&s.to, true),
		Up: func(kind int, data []byte) bool {
			m, ok := body.ParseMessage(data)
			return s.send(kind, m, ok)
		},
		Down: func(kind int, data []byte) error {
			s.arrived()
			if !isDelta(data) && (bytes.Contains(data, usageMark) || bytes.Contains(data, errorMark) || bytes.Contains(data, createdMark)) {
				s.account(data)
			}
			return s.caller.Send(kind, key.Bytes(data))
		},
		Lost: func() {
			s.caller.SendText(ErrorEvent(&fault.Error{Kind: fault.Upstream, Message: "provider \"" + s.to.Credential.Provider + "\" closed the connection"}, ""))
		},
	}
	r.Run(ctx)
	s.endTurns(ctx, r.CallerLeft())
	if !s.responses {
		s.attempted(respond.Result{Status: http.StatusSwitchingProtocols, Usage: s.Outcome.Usage, Reported: s.Outcome.Reported}, nil)
	}
	return respond.ErrDisconnected
}

// send checks one message of the caller and forwards it. If the token does not allow it,
// the caller gets an error event instead. It reports whether the connection is still
// usable.
func (s *duplex) send(kind int, f body.Message, readable bool) bool {
	if err := s.check(f, readable); err != nil {
		return s.caller.SendText(ErrorEvent(err, f.EventID)) == nil
	}
	data := f.WithModels(func(name string) string {
		if t, err := s.resolve(name); err == nil && t.Provider == s.to.Credential.Provider {
			return t.Model
		}
		return name
	})
	if s.responses && f.Type == "response.create" {
		data = responses.ForeignMessage(data)
	}
	return s.provider.Send(kind, data) == nil
}

// check checks a message against the scope of the token, and admits a response.create.
func (s *duplex) check(f body.Message, readable bool) error {
	if !readable {
		if s.Limited() {
			return fault.New(fault.Invalid, "the message is not a JSON object")
		}
		return nil
	}
	if s.Call.Grant != nil {
		if err := s.Call.Grant.Check(); err != nil {
			return err
		}
	}
	if s.Limited() && f.Ambiguous {
		return &fault.Error{Kind: fault.Invalid, Message: "model is given more than once", Param: "model"}
	}
	for _, m := range f.Models {
		if err := plan.CheckModelName(m.Name); err != nil {
			return err
		}
		t, err := s.resolve(m.Name)
		if err != nil {
			return err
		}
		if t.Provider != s.to.Credential.Provider && (t.Stripped || m.Top) && s.opened {
			return &fault.Error{Kind: fault.Invalid, Message: "this connection goes to provider \"" + s.to.Credential.Provider + "\"; open another one for " + respond.HeaderSafe(m.Name), Param: "model"}
		}
		name := m.Name
		if t.Provider == s.to.Credential.Provider {
			name = t.Model
		}
		if err := s.Call.Allow(s.to.Credential.Provider, name); err != nil {
			return err
		}
	}
	if f.Type != "response.create" {
		return nil
	}
	if s.responses {
		if err := s.checkMessage(f); err != nil {
			return err
		}
		model := f.Model()
		if model == "" && s.to.Model == "" && s.Limited() {
			return &fault.Error{Kind: fault.Invalid, Message: "model is missing", Param: "model"}
		}
		return s.begin(model, &f)
	}
	return s.begin("", &f) // with the session's model
}

// checkMessage checks the further models of a response.create, if the token is limited to
// certain models.
func (s *Session) checkMessage(m body.Message) error {
	if !s.Limited() {
		return nil
	}
	return policy.AuthorizeMessage(s.Call.Grant.Scope(), &m, s.Target)
}

// begin admits a response.create as a call of its own.
func (s *duplex) begin(model string, m *body.Message) error {
	if t, err := s.resolve(model); err == nil && model != "" {
		model = t.Model
	}
	t, err := s.beginTurn(s.HTTP.Context(), model, bytes.Clone(m.Bytes()))
	if err != nil {
		return err
	}
	t.event = strings.Clone(m.EventID)
	s.turning.Lock()
	s.turns = append(s.turns, t)
	s.turning.Unlock()
	return nil
}

// arrived records a message of the provider for the oldest turn.
func (s *duplex) arrived() {
	s.turning.Lock()
	defer s.turning.Unlock()
	if len(s.turns) == 0 {
		return
	}
	t := s.turns[0]
	if t.first.IsZero() {
		t.first = s.Now()
	}
	t.events++
}

// account records the usage in a message of the provider. On a connection whose messages
// are calls of their own, the final event of a response ends the oldest turn.
func (s *duplex) account(data []byte) {
	if !s.responses {
		s.accountRealtime(data)
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

// endTurns ends the calls that were still unanswered when the connection closed.
func (s *duplex) endTurns(ctx context.Context, callerLeft bool) {
	kind := pipeline.ProviderIncomplete
	if cause := respond.LocalCancelCause(ctx); cause != nil {
		kind = pipeline.KindOf(cause)
	} else if callerLeft {
		kind = pipeline.CallerDisconnected
	}
	s.turning.Lock()
	defer s.turning.Unlock()
	for _, t := range s.turns {
		t.end(usage.Report{}, false, kind)
	}
	s.turns = nil
}

// Every message that begins or ends a call contains one of these, and few others do.
var (
	usageMark   = []byte(`"usage`)
	errorMark   = []byte(`"error"`)
	createdMark = []byte(`"response.created"`)
)

// typeMark is the start of nearly every event of OpenAI's APIs.
var typeMark = []byte(`{"type":"`)

// eventType returns the type of an event, or "".
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

// isDelta reports whether the type of an event is that of a delta, as for nearly all
// events. A delta ends nothing and reports no usage.
func isDelta(event []byte) bool {
	if !bytes.HasPrefix(event, typeMark) {
		return false
	}
	kind := event[len(typeMark):min(len(event), 80)]
	end := bytes.IndexByte(kind, '"')
	return end > 0 && bytes.HasSuffix(kind[:end], []byte(".delta"))
}

// refusal sends the provider's response to the upgrade to a caller that is already
// connected.
func (s *duplex) refusal(resp *http.Response) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	text := respond.NewRedactor(&s.to, true).Bytes(body)
	s.attempted(respond.Result{Status: resp.StatusCode, Kind: pipeline.KindOfStatus(resp.StatusCode)}, nil)
	s.caller.SendText(ProviderErrorEvent(resp.StatusCode, text))
	s.caller.SendClose(websocket.CloseInternalServerErr, "the provider refused the connection")
}
