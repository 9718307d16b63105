package realtime

import (
	"context"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/provider"
)

// Pipeline is the part of the gateway that a WebSocket needs.
type Pipeline interface {
	// Candidates returns the candidates of a call, checked against its token. There is at
	// least one, unless there is an error.
	Candidates(ctx context.Context, r *plan.Request) ([]pipeline.Candidate, error)
	// Post serves a message as a POST and writes the response to w. It returns an error
	// only if nothing of it was written to w.
	Post(ctx context.Context, w http.ResponseWriter, p *Post) error
}

// Post is a response.create message as a POST request.
type Post struct {
	Session *Session
	HTTP    *http.Request
	Matched endpoint.Endpoint
	Body    *body.Body // as sent by the caller, with the model added

	Connection string // identifies the memory of the connection
	// Expand returns the body to send, once the candidate is known. It returns nil if it
	// has answered the message itself.
	Expand func(r *plan.Request, to *pipeline.Candidate) ([]byte, error)
}

// Config is the configuration of all sessions. All fields are required.
type Config struct {
	Pipeline   Pipeline
	Seams      *pipeline.Seams
	Upstream   *upstream.Client
	NewID      func() string
	Now        func() time.Time
	MaxMessage int64           // bytes
	Stopping   context.Context // cancelled to end all WebSockets
}

// Session is one WebSocket of a caller, from its upgrade on. The embedded Request is the
// upgrade request, which is authenticated.
type Session struct {
	Config
	*plan.Request
	Writer *respond.Writer

	// Outcome is the outcome of the connection as a call. If PerTurn is set, the connection
	// is not a call, but each of its messages is one.
	Outcome pipeline.Outcome
	PerTurn bool
	Settle  func(pipeline.Outcome) // nil until the connection is admitted as a call

	to     pipeline.Candidate   // current candidate
	others []pipeline.Candidate // candidates that may be tried if it refuses the connection
}

// resolve returns the target of a model that a message names. For an alias it is the first
// target that belongs to the provider of this connection and that the token may use.
func (s *Session) resolve(name string) (provider.Target, error) {
	for _, target := range s.Settings.Aliases.Targets(name) {
		t, err := s.Target(target)
		if err == nil && t.Provider == s.to.Credential.Provider && s.Call.Allow(t.Provider, t.Model) == nil {
			return t, nil
		}
	}
	return s.Target(name)
}

// admit runs the Admitters for the connection.
func (s *Session) admit(ctx context.Context) error {
	settle, err := s.Seams.Admit(ctx, &s.Call, []pipeline.Candidate{s.to})
	if err == nil {
		s.Settle = settle
	}
	return err
}

// answer returns the data for the response to the upgrade.
func (s *Session) answer() *respond.Answer {
	return &respond.Answer{
		Request: s.HTTP, Caller: s.Call.Dialect, Provider: s.to.Credential.Provider, Model: s.to.Model, Attempts: len(s.Outcome.Attempts) + 1,
		Redact: respond.NewRedactor(&s.to, false), RedactError: respond.NewRedactor(&s.to, true),
	}
}
