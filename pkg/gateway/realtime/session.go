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

// Pipeline is what a WebSocket asks of the gateway.
type Pipeline interface {
	// Candidates gives where a call may go, each place held against its token: at
	// least one, or an error.
	Candidates(ctx context.Context, r *plan.Request) ([]pipeline.Candidate, error)
	// Post takes a message through the pipeline as the POST that it stands for, and
	// writes the answer to w. The error is one that was not sent to w.
	Post(ctx context.Context, w http.ResponseWriter, p *Post) error
}

// Post is a response.create as the POST that it stands for.
type Post struct {
	Session *Session
	HTTP    *http.Request
	Matched endpoint.Endpoint
	Body    *body.Body // as the caller sent it, its model added

	Connection string // names what the connection remembers
	// Expand gives the body that goes on, once it is known where to; nil where the
	// message is answered by then.
	Expand func(r *plan.Request, to *pipeline.Candidate) ([]byte, error)
}

// Config is what the gateway has for all sessions. All of it is required.
type Config struct {
	Pipeline   Pipeline
	Seams      *pipeline.Seams
	Upstream   *upstream.Client
	NewID      func() string
	Now        func() time.Time
	MaxMessage int64           // bytes
	Stopping   context.Context // ends all WebSockets
}

// Session is one WebSocket of a caller, from its upgrade on. The embedded request is
// the upgrade, its caller authenticated.
type Session struct {
	Config
	*plan.Request
	Writer *respond.Writer

	// Outcome is how the connection went, as a call. PerTurn is whether it is none:
	// each of its messages is one.
	Outcome pipeline.Outcome
	PerTurn bool
	Settle  func(pipeline.Outcome) // nil before the connection was admitted as a call

	to     pipeline.Candidate   // where it is connected to
	others []pipeline.Candidate // that are tried after it, while it is not
}

// resolve finds the provider of a model that a message names. Of an alias it is the
// first target that this connection's provider has and the token may use.
func (s *Session) resolve(name string) (provider.Target, error) {
	for _, target := range s.Settings.Aliases.Targets(name) {
		t, err := s.Target(target)
		if err == nil && t.Provider == s.to.Credential.Provider && s.Call.Allow(t.Provider, t.Model) == nil {
			return t, nil
		}
	}
	return s.Target(name)
}

// admit asks all who may still refuse the connection.
func (s *Session) admit(ctx context.Context) error {
	settle, err := s.Seams.Admit(ctx, &s.Call, []pipeline.Candidate{s.to})
	if err == nil {
		s.Settle = settle
	}
	return err
}

// answer is what is to be known of the connection for its answer.
func (s *Session) answer() *respond.Answer {
	return &respond.Answer{
		Request: s.HTTP, Caller: s.Call.Dialect, Provider: s.to.Credential.Provider, Model: s.to.Model, Attempts: len(s.Outcome.Attempts) + 1,
		Redact: respond.NewRedactor(&s.to, false), RedactError: respond.NewRedactor(&s.to, true),
	}
}
