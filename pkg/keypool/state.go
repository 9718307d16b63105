package keypool

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/secret"
)

// How long a key is passed over.
const (
	refusedFor  = time.Hour        // after 401, 402 or 403: then one call tries it
	firstPause  = 15 * time.Second // after a 429 that names no time, doubled with each
	longestTime = time.Hour        // whatever the provider asks
)

// maxLimits bounds the models that one key is limited for: their names are callers'.
const maxLimits = 64

// state is what is wrong with a key. It holds as long as the key is the same one.
type state struct {
	key    secret.String
	status int       // that the provider refused it with; 0 if it does not
	since  time.Time // of the refusal
	until  time.Time
	// limits are the rate limits by model, which providers count apart.
	limits map[string]limit
}

type limit struct {
	until  time.Time
	strike int // limits in a row
}

// usable reports whether a key is to be tried for a model.
func (p *Pool) usable(cred *pipeline.Credential, model string) bool {
	if p.troubled.Load() == 0 {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usableLocked(cred, model)
}

func (p *Pool) usableLocked(cred *pipeline.Credential, model string) bool {
	return !p.until(cred, model).After(p.cfg.Now())
}

// until is when a key may be tried again, zero if nothing is known against it; p.mu
// is held.
func (p *Pool) until(cred *pipeline.Credential, model string) time.Time {
	s := p.keys[keyName{cred.Provider, cred.Label}]
	if s == nil || !s.key.Equal(cred.Key) {
		return time.Time{}
	}
	at := s.limits[model].until
	if s.status != 0 && s.until.After(at) {
		at = s.until
	}
	return at
}

// Attempt implements pipeline.Observer: it learns how the keys do.
func (p *Pool) Attempt(call *pipeline.Call, o pipeline.Outcome) {
	cred := &o.Candidate.Credential
	switch {
	case cred.Key.IsZero():
	case refused(&o):
		p.refuse(cred, o.Status)
	case o.Status == http.StatusTooManyRequests:
		p.limit(cred, o.Candidate.Model, o.RetryAfter)
	case o.Status > 0 && o.Status < 400, o.Status == http.StatusNotFound, o.Status == http.StatusBadRequest && len(call.Header[KeyHeader]) > 0:
		p.works(cred, o.Candidate.Model)
		p.learn(cred, &o)
	}
}

// Done implements pipeline.Observer.
func (p *Pool) Done(*pipeline.Call, pipeline.Outcome) {}

// learn notes which key a stored response is with.
func (p *Pool) learn(cred *pipeline.Credential, o *pipeline.Outcome) {
	if o.Usage.Response != "" && p.cfg.Keys.Count(cred.Provider) > 1 {
		p.bind(storedSession(cred.Provider, o.Usage.Response), cred.Label)
	}
}

// bind notes which key a conversation is on.
func (p *Pool) bind(s session, label string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions.bind(s, label)
}

// stateOf returns the state of a key, a new one where there is none or it is
// another key's; p.mu is held.
func (p *Pool) stateOf(cred *pipeline.Credential) *state {
	name := keyName{cred.Provider, cred.Label}
	s := p.keys[name]
	if s == nil || !s.key.Equal(cred.Key) {
		s = &state{key: cred.Key, limits: map[string]limit{}}
		p.keys[name] = s
		p.troubled.Store(int64(len(p.keys)))
	}
	return s
}

// refuse takes a key out.
func (p *Pool) refuse(cred *pipeline.Credential, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, now := p.stateOf(cred), p.cfg.Now()
	if s.status == 0 {
		s.since = now
		p.cfg.Logger.Warn("the provider refuses a key, it is passed over where there is another one", "provider", cred.Provider, "label", cred.Label, "status", status, "for", refusedFor)
	}
	s.status, s.until = status, now.Add(refusedFor)
}

// limit pauses a key for one model.
func (p *Pool) limit(cred *pipeline.Credential, model string, asked time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, now := p.stateOf(cred), p.cfg.Now()
	l := s.limits[model]
	if asked <= 0 {
		asked = firstPause << min(l.strike, 10)
		l.strike++
	}
	asked = min(asked, longestTime)
	l.until = now.Add(asked)
	if len(s.limits) >= maxLimits {
		clear(s.limits)
	}
	s.limits[model] = l
	p.cfg.Logger.Debug("a key is rate-limited", "provider", cred.Provider, "label", cred.Label, "for", asked)
}

// works takes back what is known against a key.
func (p *Pool) works(cred *pipeline.Credential, model string) {
	if p.troubled.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name := keyName{cred.Provider, cred.Label}
	s := p.keys[name]
	if s == nil || !s.key.Equal(cred.Key) {
		return
	}
	if s.status != 0 {
		p.cfg.Logger.Info("a refused key works again", "provider", cred.Provider, "label", cred.Label)
	}
	s.status = 0
	if delete(s.limits, model); len(s.limits) == 0 {
		p.drop(name)
	}
}

func (p *Pool) drop(name keyName) {
	delete(p.keys, name)
	p.troubled.Store(int64(len(p.keys)))
}

// Forget takes back what is known against a provider's keys, "" for all: they were
// changed.
func (p *Pool) Forget(provider string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.keys {
		if provider == "" || name.provider == provider {
			p.drop(name)
		}
	}
}

// The states of a key.
const (
	OK      = "ok"
	Limited = "limited" // rate-limited, for one model at least
	Refused = "refused" // the provider does not take it
)

// Health is how a key does.
type Health struct {
	State  string    // OK, Limited or Refused
	Status int       // that it was refused with, 429 where limited, else 0
	Until  time.Time // when it is tried again; zero where OK
}

// Health tells how a key does, as far as calls have shown.
func (p *Pool) Health(provider, label string) Health {
	if p.troubled.Load() == 0 {
		return Health{State: OK}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health(keyName{provider, label})
}

// health is Health; p.mu is held.
func (p *Pool) health(name keyName) Health {
	s := p.keys[name]
	if s == nil {
		return Health{State: OK}
	}
	if s.status != 0 {
		return Health{State: Refused, Status: s.status, Until: s.until}
	}
	h, now := Health{State: OK}, p.cfg.Now()
	for _, l := range s.limits {
		if l.until.After(now) && l.until.After(h.Until) {
			h = Health{State: Limited, Status: http.StatusTooManyRequests, Until: l.until}
		}
	}
	return h
}

// Problems tells of the keys that are refused, a sentence each, for status and doctor.
func (p *Pool) Problems() (all []string) {
	if p.troubled.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, s := range p.keys {
		if s.status == 0 {
			continue
		}
		which, add := name.provider, ""
		if name.label != "" {
			which, add = fmt.Sprintf("%s (%s)", name.provider, name.label), " --label "+name.label
		}
		all = append(all, fmt.Sprintf("%s: the provider refuses the key (%d, since %s): hostless keys test %s, or: hostless keys add %s%s",
			which, s.status, s.since.Local().Format("15:04"), name.provider, name.provider, add))
	}
	slices.SortFunc(all, strings.Compare)
	return all
}
