package token

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Grant is what a verified token permits. It remains connected to the token: when that is
// revoked, Done is closed. It is safe for concurrent use.
type Grant struct {
	store     *Store
	entry     *entry
	presented string
}

// Prefix returns the part of the token that may be shown, for logs and counters.
func (g *Grant) Prefix() string { return g.entry.prefix }

// Name returns the app's name with which the token was made.
func (g *Grant) Name() string { return g.entry.name }

// Run returns the NAME of the `hostless run` that holds the token, or "".
func (g *Grant) Run() string {
	if !g.entry.lease {
		return ""
	}
	return g.entry.name
}

// Origin returns the origin that the token is bound to, or AnyOrigin.
func (g *Grant) Origin() string { return g.entry.origin }

// Scope returns the token's scope.
func (g *Grant) Scope() Scope { return g.entry.scope }

// Admit counts a request against the token's rate limit. Call it after all other checks,
// so that a rejected request does not count. The error is fault.RateLimited with the time
// until the next request will be admitted.
func (g *Grant) Admit() error {
	e, wait := g.entry.admit(g.store)
	if e == nil {
		return nil
	}
	seconds := time.Duration(math.Ceil(wait.Seconds())) * time.Second
	return &fault.Error{
		Kind:       fault.RateLimited,
		Message:    fmt.Sprintf("Rate limit of %d requests per hour reached for this bridge token", e.rate),
		Code:       "rate_limit_exceeded",
		RetryAfter: max(seconds, time.Second),
	}
}

// admit counts a request against the limits of the entry and its parents, or against none
// of them: then full is the entry whose limit was reached, and wait the time until all
// have room.
func (e *entry) admit(s *Store) (full *entry, wait time.Duration) {
	if len(e.parents) > 0 {
		s.shared.Lock() // whoever locks several entries must be alone
		defer s.shared.Unlock()
		for _, outer := range e.parents {
			outer.mu.Lock()
			defer outer.mu.Unlock()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := s.now()
	for _, outer := range e.parents {
		if left, ok := outer.limiter.room(now); !ok {
			full, wait = outer, max(wait, left)
		}
	}
	if left, ok := e.limiter.room(now); !ok {
		full, wait = e, max(wait, left)
	}
	if full != nil {
		return full, wait
	}
	s.forwardCharges(e)
	for _, outer := range e.parents {
		outer.limiter.charge(now)
	}
	e.limiter.charge(now)
	return nil, 0
}

// Check returns an error if the token is no longer valid: fault.Unauthenticated if it was
// revoked, fault.Expired if it has expired. A long-lived socket checks again for each
// request; a stream that has started may finish.
func (g *Grant) Check() error {
	e := g.entry
	now := g.store.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.ended.IsZero():
		return fault.New(fault.Unauthenticated, MessageUnknown)
	case now.Before(e.expires):
		return nil
	case now.Before(e.expires.Add(expiredRetention)):
		return &fault.Error{Kind: fault.Expired, Message: MessageExpired, Code: "token_expired"}
	default:
		return fault.New(fault.Unauthenticated, MessageUnknown)
	}
}

// Done returns a channel that is closed when the token is revoked.
func (g *Grant) Done() <-chan struct{} { return g.entry.revocation.ctx.Done() }

// Context returns a context of parent that is also canceled when the token is revoked,
// with the cause fault.Unauthenticated. The caller must call cancel when the work is
// done.
func (g *Grant) Context(parent context.Context) (ctx context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(parent)
	stop := g.AfterRevoked(end)
	return ctx, func() {
		stop()
		end(nil)
	}
}

// AfterRevoked calls end with fault.Unauthenticated, in its own goroutine, when the token
// is revoked, or at once if it already is. stop cancels this.
func (g *Grant) AfterRevoked(end context.CancelCauseFunc) (stop func() bool) {
	return context.AfterFunc(g.entry.revocation.ctx, func() { end(fault.New(fault.Unauthenticated, MessageUnknown)) })
}

// live reports whether the token is valid now.
func (e *entry) live(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended.IsZero() && now.Before(e.expires)
}

func (e *entry) revoked() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.ended.IsZero()
}

func (e *entry) info() Info {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Info{
		Prefix: e.prefix, Origin: e.origin, Name: e.name, Scope: e.scope, RateLimit: e.rate,
		Expires: e.expires, Created: e.created, Bound: e.bound, MCP: e.mcp,
	}
}

// revocation is a context that is canceled when the token is revoked. Other contexts can
// follow it without a goroutine.
type revocation struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func newRevocation() revocation {
	ctx, cancel := context.WithCancel(context.Background())
	return revocation{ctx, cancel}
}
