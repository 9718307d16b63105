// Package pipeline defines an AI request and its result, and the three interfaces through
// which other packages take part in it: a Planner chooses where a call may go, Admitters
// decide whether it may go at all, and Observers receive its outcome.
//
// The package has the values that pass through the pipeline and the error kinds. It does no
// I/O and imports none of the implementations: package gateway runs the pipeline, and
// package daemon passes the implementations to it. The steps of a call are:
//
//	match the endpoint → authenticate → parse the body once → Planner.Candidates
//	→ each Admitter.Admit, in order → try the candidates in order, until one is
//	accepted → send its response to the caller → settle, last admitter first
//	→ each Observer.Done
//
// Nothing is sent to the caller before a candidate is accepted; after that, no other one is
// tried. On a WebSocket, each response.create is a call of its own. A session of the
// Realtime API is one more call, which accounts for its handshake and for usage outside of
// responses, such as transcripts.
//
// "Caller" always means the client that sent the request to the gateway.
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

// Call is one AI request as the caller sent it. It is shared, so it must not be modified
// once it is parsed, nor anything that its fields point to. A call that was refused before
// its body was read has only the fields up to Header.
type Call struct {
	ID       string       // unique, across restarts of the daemon too
	Start    time.Time    // time of arrival
	Method   string       // HTTP method; "POST" for a WebSocket message
	Endpoint string       // documented path pattern, such as "/v1/chat/completions"
	Path     string       // as sent, without the query; for the log only
	Dialect  dialect.Name // dialect of the request, and of errors sent to the caller
	Socket   bool         // a WebSocket session, or a message of one
	// List means that the call lists models. Hostless answers it without candidates; it
	// costs nothing and counts only for the rate limit.
	List bool

	// Grant is what the bridge token allows. Its Run is the name of the app; Prefix and
	// Name identify the token. It is nil in dev mode without a token, and for a refused
	// request.
	Grant  *token.Grant
	Client string      // the User-Agent, as sent
	Header http.Header // as sent, with credentials: never log or forward it as a whole

	// Model is the model as the caller named it, with its prefix; "" if the endpoint has no
	// model, or if the caller left the choice to the provider.
	Model string
	// Provider receives a call without a model: the provider named by x-hostless-provider,
	// otherwise the one whose dialect the caller uses. It is a canonical name.
	Provider string
	Stream   bool // the caller asked for an event stream
	// MaxOutput is the largest number of output tokens that the JSON body allows; 0 if the
	// body sets no limit.
	MaxOutput int64
	// Body is the decompressed JSON body; nil if there is none or if the body is streamed
	// (uploads, forms). It must not be used after Done.
	Body []byte
	// Progress counts the events of the response; nil if nobody watches it.
	Progress *Progress
	// Size is the length of the body in bytes; -1 for a streamed body of unknown length.
	Size int64

	// Allow checks a provider (canonical name) and its model ("" for none) against the
	// scope of the token. The error is fault.Scope. Allow is never nil.
	Allow func(provider, model string) error
}

// As returns a copy of the call with another model, such as the target of an alias.
func (c *Call) As(model string) *Call {
	other := *c
	other.Model = model
	return &other
}

// Credential is what the user stored for a provider.
type Credential struct {
	Provider     string        // canonical name
	Label        string        // distinguishes several keys of one provider; "" for the only one
	Key          secret.String // empty for a local provider that needs none
	BaseURL      string        // "" for the catalogue's base URL
	Dialect      dialect.Name  // dialect at the base URL; "" for the catalogue's, or OpenAI for a custom provider
	AllowPrivate bool          // the base URL may resolve to private addresses
}

// Candidate is one provider, key and model that a call may be sent to.
type Candidate struct {
	Provider   *provider.Provider // nil in an Outcome of a call without candidates
	Credential Credential
	Model      string // the provider's name for the model; "" if the call has none

	// Usable is called right before each attempt. If it returns false, for instance because
	// the key has left the pool in the meantime, the candidate is skipped, unless it is the
	// last one. A nil Usable means always.
	Usable func() bool
	// Retry reports whether the next candidate is tried after the given outcome of this
	// one, of which nothing has been sent to the caller. It is called for every outcome
	// except an accepted response and a disconnect of the caller. A nil Retry means never:
	// the response goes to the caller. To retry the same candidate, a Planner lists it
	// twice.
	Retry func(Outcome) bool
	// Wait is the delay before this candidate is tried, if another attempt preceded it.
	Wait time.Duration
}

// Planner chooses the candidates of a call, best first. It returns at least one, or an
// error that is a fault. It is called once for each call, before anything is sent, from
// many goroutines. A Planner checks each target with Call.Allow before it asks for the key;
// the gateway checks every candidate again. It may use Call.Header and Call.Body, for
// instance to keep a conversation on one key. A Planner that maps names, such as aliases,
// calls the Planner that it wraps with Call.As(target).
type Planner interface {
	Candidates(ctx context.Context, call *Call) ([]Candidate, error)
}

// PlannerFunc adapts a function to a Planner.
type PlannerFunc func(ctx context.Context, call *Call) ([]Candidate, error)

// Candidates implements Planner.
func (f PlannerFunc) Candidates(ctx context.Context, call *Call) ([]Candidate, error) {
	return f(ctx, call)
}

// Admitter decides whether a call may go on: a rate limit, a budget, a switch. It is called
// after all other checks, so that a refused call is not charged, with the planned
// candidates (none for Call.List).
//
// The error is sent to the caller in its dialect. It is a fault: Kind determines the
// status, Code is the machine-readable code, Next the command that helps, RetryAfter the
// time to wait, and NoRetry tells SDKs not to retry by themselves.
//
// If settle is not nil, it is called exactly once, with the final outcome of the call,
// before Observer.Done: to release a reservation, or to charge what was used. If a later
// Admitter refuses the call, that refusal is the outcome. Neither function may block for
// longer than the caller should wait; ctx is cancelled when the caller disconnects.
type Admitter interface {
	Admit(ctx context.Context, call *Call, candidates []Candidate) (settle func(Outcome), err error)
}

// Refuser is an Admitter that refuses some candidates of a call only, such as those of a
// provider whose budget is used up. If a call has several candidates, Refuses is called for
// each of them before the call is admitted; the refused ones are skipped as if they had not
// been planned. It charges nothing. Its errors are those of Admit. If all candidates are
// refused, the caller gets the first error.
type Refuser interface {
	Refuses(call *Call, to *Candidate) error
}

// AdmitterFunc adapts a function to an Admitter.
type AdmitterFunc func(ctx context.Context, call *Call, candidates []Candidate) (settle func(Outcome), err error)

// Admit implements Admitter.
func (f AdmitterFunc) Admit(ctx context.Context, call *Call, candidates []Candidate) (func(Outcome), error) {
	return f(ctx, call, candidates)
}

// Observer receives the outcomes of calls. Its methods run in the goroutine of the call and
// must not block; an observer does slow work in a goroutine of its own.
type Observer interface {
	// Attempt is called after each attempt, in order, including the accepted one; for an
	// accepted stream after its end.
	Attempt(call *Call, outcome Outcome)
	// Done is called exactly once for each call, including refused ones, after the response
	// was sent and all settle functions have run. outcome.Attempts lists the attempts.
	Done(call *Call, outcome Outcome)
}
