package token

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Grant is what a verified token lets its caller do. It stays tied to the
// token: revoking that closes Done. It is safe for concurrent use.
type Grant struct {
	store     *Store
	entry     *entry
	presented string
}

// Prefix is as much of the token as may be shown: for logs and counters.
func (g *Grant) Prefix() string { return g.entry.prefix }

// Name is the app's name that the token was made with.
func (g *Grant) Name() string { return g.entry.name }

// Run is the NAME of the `hostless run` that holds the token, "" where none does.
func (g *Grant) Run() string {
	if !g.entry.lease {
		return ""
	}
	return g.entry.name
}

// Origin is the origin that the token is bound to, or AnyOrigin.
func (g *Grant) Origin() string { return g.entry.origin }

// Scope is how far the token reaches.
func (g *Grant) Scope() Scope { return g.entry.scope }

// Admit charges one request to the token's rate limit. Call it when all else
// has been checked: what is refused is not charged. The error is
// fault.RateLimited with the time until a request will be admitted again.
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

// admit charges a request to the entry and to those it is within, or to none: full
// is then one that has no room for as long as wait.
func (e *entry) admit(s *Store) (full *entry, wait time.Duration) {
	if len(e.parents) > 0 {
		s.shared.Lock() // who holds several entries is alone in it
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

// Check says whether the token still holds: fault.Unauthenticated once it was
// revoked, fault.Expired once its time is over. A long-lived socket asks again
// for each request it carries; a stream that has started may finish.
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

// Done is closed when the token is revoked.
func (g *Grant) Done() <-chan struct{} { return g.entry.revocation.ctx.Done() }

// Context is a context of parent that ends with the token as well; its cause is
// then fault.Unauthenticated. The caller calls cancel when the work is over.
func (g *Grant) Context(parent context.Context) (ctx context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(parent)
	stop := g.AfterRevoked(end)
	return ctx, func() {
		stop()
		end(nil)
	}
}

// AfterRevoked calls end with fault.Unauthenticated, in a goroutine of its own, when
// the token is revoked, at once where it has been. stop lets go of it.
func (g *Grant) AfterRevoked(end context.CancelCauseFunc) (stop func() bool) {
	return context.AfterFunc(g.entry.revocation.ctx, func() { end(fault.New(fault.Unauthenticated, MessageUnknown)) })
}

// live reports whether the token would let a caller in now.
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
		Expires: e.expires, Created: e.created, Bound: e.bound,
	}
}

// revocation is a token's end, as a context that other contexts can follow without a
// goroutine of their own.
type revocation struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func newRevocation() revocation {
	ctx, cancel := context.WithCancel(context.Background())
	return revocation{ctx, cancel}
}
