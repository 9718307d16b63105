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

// How long a key is skipped.
const (
	refusedFor  = time.Hour        // after 401, 402 or 403; then one call tries it
	firstPause  = 15 * time.Second // after a 429 without a time; doubled with each further one
	longestTime = time.Hour        // at most, even if the provider asks for more
)

// maxLimits is how many models one key may have limits for, because clients choose
// the models' names.
const maxLimits = 64

// state is the state of a key that does not work. It applies only while the stored
// key is the same one.
type state struct {
	key    secret.String
	status int       // of the provider's refusal; 0 if there is none
	since  time.Time // of the refusal
	until  time.Time
	// limits are the rate limits by model, because providers limit models
	// separately.
	limits map[string]limit
}

type limit struct {
	until  time.Time
	strike int // number of limits in a row
}

// usable reports whether a key should be tried for a model.
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

// until returns when a key may be tried again, or zero if it is usable. p.mu must
// be held.
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

// Attempt implements pipeline.Observer: it updates the state of the key.
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

// learn remembers which key a stored response was made with.
func (p *Pool) learn(cred *pipeline.Credential, o *pipeline.Outcome) {
	if o.Usage.Response != "" && p.cfg.Keys.Count(cred.Provider) > 1 {
		p.bind(storedSession(cred.Provider, o.Usage.Response), cred.Label)
	}
}

// bind remembers which key a conversation uses.
func (p *Pool) bind(s session, label string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions.bind(s, label)
}

// stateOf returns the state of a key, or a new state if there is none or it is of
// an earlier key. p.mu must be held.
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

// refuse records that the provider refused a key.
func (p *Pool) refuse(cred *pipeline.Credential, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, now := p.stateOf(cred), p.cfg.Now()
	if s.status == 0 {
		s.since = now
		p.cfg.Logger.Warn("the provider refuses a key; it is skipped while there is another one", "provider", cred.Provider, "label", cred.Label, "status", status, "for", refusedFor)
	}
	s.status, s.until = status, now.Add(refusedFor)
}

// limit records a rate limit of a key for one model.
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

// works clears the state of a key.
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

// Forget clears the states of a provider's keys, or of all keys if provider is "",
// because they were changed.
func (p *Pool) Forget(provider string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.keys {
		if provider == "" || name.provider == provider {
			p.drop(name)
		}
	}
}

// States of a key.
const (
	OK      = "ok"
	Limited = "limited" // rate-limited for at least one model
	Refused = "refused" // refused by the provider
)

// Health is the condition of a key.
type Health struct {
	State  string    // OK, Limited or Refused
	Status int       // of the refusal; 429 if Limited; otherwise 0
	Until  time.Time // when it will be tried again; zero if OK
}

// Health returns the condition of a key as the calls so far have shown it.
func (p *Pool) Health(provider, label string) Health {
	if p.troubled.Load() == 0 {
		return Health{State: OK}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health(keyName{provider, label})
}

// health is Health for callers that hold p.mu.
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

// Problems describes the refused keys, one sentence each, for status and doctor.
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
