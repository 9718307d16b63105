// Package keypool distributes the calls to one provider over its several keys, and
// keeps them succeeding while some of the keys fail.
//
// It is a Planner around the gateway's own, and an Observer. A conversation stays
// on the key that it started with, so that the provider's prompt cache is used. A
// key that the provider refuses (401, 402, 403) is skipped until it works again,
// and a rate-limited one (429) for as long as the provider asks. After a fault of
// the provider itself (5xx, no connection) the call is retried once with the same
// key. For a provider with one key, the package only adds a look-up.
//
// Keys are stored by package keys; which models a name leads to is decided by the
// gateway. Nothing here is written to disk: after a restart every key is tried
// again.
package keypool

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/provider"
)

// KeyHeader lets a client choose one of a provider's keys by its label; "-" is the
// key without a label. `keys test` uses it.
const KeyHeader = "X-Hostless-Key"

// Limits of one call.
const (
	maxKeys     = 6                      // tried per call
	maxTime     = time.Minute            // no other key is tried after a call is this old
	repeatDelay = 250 * time.Millisecond // before the same key is retried
)

// Keys gives access to the stored keys of each provider.
type Keys interface {
	// Count returns the number of a provider's keys. It must be cheap enough to be
	// called for each call.
	Count(provider string) int
	// All returns the usable keys of a provider, by label: at least one, or an
	// error.
	All(ctx context.Context, provider string) ([]pipeline.Credential, error)
}

// Config is what New needs.
type Config struct {
	Keys   Keys             // required
	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default discards
}

// Pool tracks the state of the keys and which conversation uses which key. It is
// safe for concurrent use.
type Pool struct {
	cfg      Config
	troubled atomic.Int64 // number of keys with a state; usually 0

	mu       sync.Mutex
	keys     map[keyName]*state
	sessions sessions
}

// keyName identifies a key.
type keyName struct{ provider, label string }

// New returns a pool.
func New(cfg Config) (*Pool, error) {
	if cfg.Keys == nil {
		return nil, errors.New("key pool: Keys are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{cfg: cfg, keys: map[keyName]*state{}}, nil
}

// Planner wraps the planner that routes a call to a provider: it replaces that
// planner's single candidate by one for each key that may be tried, best first.
func (p *Pool) Planner(inner pipeline.Planner) pipeline.Planner {
	return pipeline.PlannerFunc(func(ctx context.Context, call *pipeline.Call) ([]pipeline.Candidate, error) {
		found, err := inner.Candidates(ctx, call)
		if err != nil || len(found) != 1 || found[0].Provider.Builtin {
			return found, err
		}
		name := found[0].Provider.Name
		if p.cfg.Keys.Count(name) > 1 {
			return p.spread(ctx, call, found[0])
		}
		if p.troubled.Load() > 0 {
			to := found[0]
			found[0].Usable = func() bool { return p.usable(&to.Credential, to.Model) }
		}
		return found, nil
	})
}

// spread plans a call over a provider's keys.
func (p *Pool) spread(ctx context.Context, call *pipeline.Call, first pipeline.Candidate) ([]pipeline.Candidate, error) {
	all, err := p.cfg.Keys.All(ctx, first.Provider.Name)
	if err != nil {
		return nil, err
	}
	if asked := call.Header.Get(KeyHeader); asked != "" {
		return pick(all, asked, first)
	}
	s := &spreading{pool: p, call: call, model: first.Model, session: sessionOf(call, first.Provider.Name)}
	s.order(all)
	return s.candidates(first), nil
}

// pick returns the one key that the client asks for, whatever its state.
func pick(all []pipeline.Credential, label string, first pipeline.Candidate) ([]pipeline.Candidate, error) {
	for _, cred := range all {
		if cred.Label == label || cred.Label == "" && label == "-" {
			return []pipeline.Candidate{with(first, cred)}, nil
		}
	}
	return nil, &fault.Error{
		Kind: fault.Invalid, Param: KeyHeader, Code: "unknown_key",
		Message: "provider \"" + first.Provider.Name + "\" has no key with that label", Next: "hostless keys list",
	}
}

// with returns a candidate with another key of its provider. The key may have its
// own base URL and dialect.
func with(to pipeline.Candidate, cred pipeline.Credential) pipeline.Candidate {
	if cred.Dialect != to.Credential.Dialect {
		if known := provider.Default().Get(to.Provider.Name); known != nil {
			to.Provider = known.With(cred.Dialect)
		} else {
			to.Provider = provider.Custom(to.Provider.Name, cred.Dialect)
		}
	}
	to.Credential = cred
	return to
}

// spreading is one call that is distributed over the keys of a provider. It belongs
// to the call's goroutine.
type spreading struct {
	pool    *Pool
	call    *pipeline.Call
	model   string
	session session
	keys    []pipeline.Credential // in the order of the attempts
	over    []bool                // by key: it will not be tried again for this call
}

// order sorts the keys: the conversation's current key first, then by their rank
// for the conversation. It leaves out keys that do not work now. If none works, it
// keeps only the key that will be usable soonest.
func (s *spreading) order(all []pipeline.Credential) {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	own, isBound := p.sessions.get(s.session)
	for _, cred := range all {
		if p.usableLocked(&cred, s.model) {
			s.keys = append(s.keys, cred)
		}
	}
	if len(s.keys) == 0 {
		s.keys = []pipeline.Credential{slices.MinFunc(all, func(a, b pipeline.Credential) int {
			return p.until(&a, s.model).Compare(p.until(&b, s.model))
		})}
	} else {
		slices.SortStableFunc(s.keys, func(a, b pipeline.Credential) int {
			if isBound && (a.Label == own) != (b.Label == own) {
				return ifElse(a.Label == own, -1, 1)
			}
			return cmp.Compare(s.session.rank(b.Label), s.session.rank(a.Label))
		})
		p.sessions.bind(s.session, s.keys[0].Label)
	}
	s.keys = s.keys[:min(len(s.keys), maxKeys)]
	s.over = make([]bool, len(s.keys))
}

func ifElse(is bool, then, otherwise int) int {
	if is {
		return then
	}
	return otherwise
}

// candidates lists each key twice, because a call is retried with the same key if
// the fault is the provider's and not the key's.
func (s *spreading) candidates(first pipeline.Candidate) []pipeline.Candidate {
	out := make([]pipeline.Candidate, 0, 2*len(s.keys))
	for k, cred := range s.keys {
		to := with(first, cred)
		to.Usable = func() bool { return s.usable(k) }
		to.Retry = func(o pipeline.Outcome) bool { return s.retry(k, false, &o) }
		again := to
		again.Wait = repeatDelay
		again.Retry = func(o pipeline.Outcome) bool { return s.retry(k, true, &o) }
		out = append(out, to, again)
	}
	return out
}

// usable reports whether a key may still be tried.
func (s *spreading) usable(k int) bool {
	return !s.over[k] && s.pool.usable(&s.keys[k], s.model)
}

// retry reports whether the call should be attempted again after an outcome of key
// k, and prepares the next attempt.
func (s *spreading) retry(k int, repeated bool, o *pipeline.Outcome) bool {
	if s.pool.cfg.Now().Sub(s.call.Start) > maxTime {
		return false
	}
	switch {
	case refused(o), o.Status == http.StatusTooManyRequests:
		s.over[k] = true
		return s.move(k)
	case notHere(s.call, o):
		s.over[k] = true
		return s.next(k) >= 0
	case broken(o):
		if !repeated && repeatable(s.call) {
			return true
		}
		for j := range s.keys { // the other keys of that server have the same fault
			s.over[j] = s.over[j] || s.keys[j].BaseURL == s.keys[k].BaseURL
		}
		return s.move(k)
	}
	return false
}

// move moves the conversation from key k to the next usable one, and reports
// whether there is one.
func (s *spreading) move(k int) bool {
	next := s.next(k)
	if next < 0 {
		return false
	}
	s.pool.bind(s.session, s.keys[next].Label)
	return true
}

// next returns the first key after k that may be tried, or -1.
func (s *spreading) next(k int) int {
	for j := k + 1; j < len(s.keys); j++ {
		if s.usable(j) {
			return j
		}
	}
	return -1
}

// refused reports whether the provider refused the key.
func refused(o *pipeline.Outcome) bool {
	switch o.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden:
		return true
	}
	return o.Kind == pipeline.ProviderUnauthorized
}

// broken reports whether the provider, or the connection to it, failed.
func broken(o *pipeline.Outcome) bool {
	switch o.Kind {
	case pipeline.ProviderUnreachable, pipeline.ProviderTimeout, pipeline.ProviderIncomplete:
		return true
	}
	return o.Status >= 500 || o.Status == http.StatusRequestTimeout
}

// repeatable reports whether a call may be repeated when its outcome is unknown: it
// only reads, or only generates tokens. Repeating others could create a second job
// or file.
func repeatable(call *pipeline.Call) bool {
	if call.Method == http.MethodGet || call.Method == http.MethodHead {
		return true
	}
	switch call.Dialect {
	case dialect.Anthropic, dialect.Gemini, dialect.Ollama, dialect.Responses:
		return call.Model != ""
	}
	switch call.Endpoint {
	case "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/moderations":
		return true
	}
	return false
}
