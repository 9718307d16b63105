// Package pipeline declares what one AI request is made of and the three seams
// that other rooms plug into: a Planner says where a call may go, Admitters say
// whether it may go at all, Observers hear how it went.
//
// It owns the values that travel along the pipeline and the vocabulary of its
// errors. It does no I/O and knows none of the rooms: gateway runs the pipeline,
// daemon hands the rooms in. The path of a call:
//
//	match the endpoint → authenticate → parse the body once → Planner.Candidates
//	→ each Admitter.Admit, in order → attempts: the candidates in order, until one
//	is accepted → the answer to the caller → settle, latest admitter first
//	→ each Observer.Done
//
// Nothing is sent to the caller before a candidate is accepted; after that no other
// one is tried. A WebSocket takes the same path for each response.create. A session of
// the Realtime API is a call beside those of its turns: of its handshake, and of what is
// used without a response, such as transcripts.
package pipeline

import (
	"context"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// Call is one AI request as its caller made it. It is immutable once it is parsed,
// and shared by all who see it: nobody changes a field, or what a field points to.
// A call that was refused before its body was read has the fields up to Header.
type Call struct {
	ID       string       // unique, also over restarts
	Start    time.Time    // when it arrived
	Method   string       // HTTP method, "POST" for a message on a WebSocket
	Endpoint string       // the documented path pattern, "/v1/chat/completions"
	Path     string       // as sent, without the query: for the log alone
	Dialect  dialect.Name // the caller's, also that of its errors
	Socket   bool         // a message, or the session, of a WebSocket
	// List is whether it asks for models. Hostless answers that itself: it has no
	// candidates, costs nothing and is charged to the rate limit alone.
	List bool

	// Grant is what the caller's token allows: its Run is the app's NAME, Prefix and
	// Name tell which token it is. Nil without one (dev mode, or refused).
	Grant  *token.Grant
	Client string      // the User-Agent, as sent
	Header http.Header // as sent, credentials included: never log or send it whole

	// Model is the model by the caller's name for it, prefix included; "" where the
	// endpoint has none or the caller left it to the provider.
	Model string
	// Provider takes a call without a model: the one that x-hostless-provider names,
	// else the one whose dialect the caller speaks. Canonical.
	Provider string
	Stream   bool // the caller asked for a stream
	// MaxOutput is the most tokens that the caller asks to be generated, as far as the
	// JSON body's own members tell; 0 where they do not.
	MaxOutput int64
	// Body is the JSON body, decompressed; nil where the body is streamed through
	// (uploads, forms) or there is none. It must not be kept after Done.
	Body []byte
	// Progress is how far the answer has come; nil where that is not watched.
	Progress *Progress
	// Size is the body's length in bytes, -1 where a streamed one does not say.
	Size int64

	// Allow holds the token's scope against a provider (canonical) and its model,
	// "" for none. The error is fault.Scope. It is never nil.
	Allow func(provider, model string) error
}

// As is the same call with another model: what an alias stands for.
func (c *Call) As(model string) *Call {
	other := *c
	other.Model = model
	return &other
}

// Credential is what the user stored for a provider.
type Credential struct {
	Provider     string        // the canonical name
	Label        string        // tells several keys of one provider apart; "" for the only one
	Key          secret.String // empty for a local provider that needs none
	BaseURL      string        // "" for the catalogue's
	Dialect      dialect.Name  // what the base URL speaks; "" for the catalogue's word, OpenAI for a custom one
	AllowPrivate bool          // the base URL may lead to private addresses
}

// Candidate is one place that a call may go to.
type Candidate struct {
	Provider   *provider.Provider // nil in an Outcome of a call that had no candidate
	Credential Credential
	Model      string // by the provider's name for it; "" where the call names none

	// Usable is asked right before the candidate is tried, and again before each
	// further try; false passes it over (its key was taken out of the pool in the
	// meantime). The last candidate of a call is tried in any case. Nil is always.
	Usable func() bool
	// Retry says whether the next candidate is tried after this one's outcome, of
	// which nothing has been sent to the caller. It hears of every outcome but the
	// accepted and the caller's own. Nil never: the answer is the caller's to judge.
	// To try the same place again, a Planner lists it twice.
	Retry func(Outcome) bool
	// Wait is how long the gateway waits before it tries the candidate after another
	// one, or after the same one.
	Wait time.Duration
}

// Planner says where a call may go, best first; at least one, or an error that is
// a fault. It is called once a call, before anything is sent, from many goroutines.
// A Planner holds each target against Call.Allow before it asks for the key; gateway
// does so again for every candidate. It may look into Call.Header and Call.Body, for
// what keeps a conversation on one key. A Planner that maps names (aliases) asks the
// one that it wraps for Call.As(target).
type Planner interface {
	Candidates(ctx context.Context, call *Call) ([]Candidate, error)
}

// PlannerFunc is a function as a Planner.
type PlannerFunc func(ctx context.Context, call *Call) ([]Candidate, error)

// Candidates implements Planner.
func (f PlannerFunc) Candidates(ctx context.Context, call *Call) ([]Candidate, error) {
	return f(ctx, call)
}

// Admitter says whether a call may go on: a rate limit, a budget, a switch. It is
// asked after everything else that may refuse the call, so that what is refused is
// not charged, with the candidates that were planned (none for Call.List).
//
// The error goes to the caller in its dialect: a fault whose Kind gives the status,
// Code the machine-readable code, Next the command that helps, RetryAfter when to come
// back, and NoRetry that SDKs must not try again by themselves.
//
// settle, where it is not nil, is called exactly once for a call that was let in,
// with the call's final outcome: to take back a reserve, or charge what was used.
// Observer.Done follows it, for each call that was let in.
// Where a later Admitter refuses, the outcome is that refusal. Neither may block
// longer than the caller should wait; ctx ends with the caller.
type Admitter interface {
	Admit(ctx context.Context, call *Call, candidates []Candidate) (settle func(Outcome), err error)
}

// A Refuser is an Admitter that refuses some candidates of a call and not others, such
// as those of a provider whose budget is spent. It is asked about each candidate, where
// there are several, before the call is admitted; those that it refuses are passed over
// as if they had not been planned. It charges nothing. The error is that of Admit; where
// all are refused the caller gets the first one's.
type Refuser interface {
	Refuses(call *Call, to *Candidate) error
}

// AdmitterFunc is a function as an Admitter.
type AdmitterFunc func(ctx context.Context, call *Call, candidates []Candidate) (settle func(Outcome), err error)

// Admit implements Admitter.
func (f AdmitterFunc) Admit(ctx context.Context, call *Call, candidates []Candidate) (func(Outcome), error) {
	return f(ctx, call, candidates)
}

// Observer hears how calls went. Its methods run in the call's own goroutine and
// must not block: what takes time goes to a goroutine of the observer's own.
type Observer interface {
	// Attempt is called after each candidate that was tried, the accepted one
	// included, in order; for an accepted stream after its end.
	Attempt(call *Call, outcome Outcome)
	// Done is called exactly once for each call, refused ones included, after the
	// answer was sent and all settles ran. outcome.Attempts lists what was tried.
	Done(call *Call, outcome Outcome)
}
