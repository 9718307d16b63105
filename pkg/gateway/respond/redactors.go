package respond

import (
	"sync"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/secret"
)

// The minimum length of a key that is redacted. The key of a local provider is often a
// common word ("ollama", "lm-studio") that its models may use.
const (
	minSecret      = 6
	minSecretLocal = 16
	minSecretError = 4 // in an error, which has no other content of value
)

// Redactors caches the redactors of the keys in use, which are expensive to build. It is
// safe for concurrent use.
type Redactors struct {
	mu sync.RWMutex
	of map[keyName]keyRedactors
}

type keyName struct{ provider, label string }

type keyRedactors struct {
	key         secret.String
	answer, err redact.Redactor
}

// Get returns the redactors that remove the key of a candidate from its responses and from
// its errors.
func (r *Redactors) Get(to *pipeline.Candidate) (answer, err redact.Redactor) {
	name := keyName{to.Credential.Provider, to.Credential.Label}
	r.mu.RLock()
	known, ok := r.of[name]
	r.mu.RUnlock()
	if ok && known.key.Equal(to.Credential.Key) {
		return known.answer, known.err
	}
	known = keyRedactors{to.Credential.Key, NewRedactor(to, false), NewRedactor(to, true)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) >= maxRedactors {
		r.of = map[keyName]keyRedactors{}
	}
	r.of[name] = known
	return known.answer, known.err
}

// maxRedactors limits the size of the cache.
const maxRedactors = 256

// NewRedactor returns a redactor for the key of a candidate, for errors or for other
// responses.
func NewRedactor(to *pipeline.Candidate, inError bool) redact.Redactor {
	min := minSecret
	switch {
	case inError:
		min = minSecretError
	case to.Provider != nil && to.Provider.Port > 0:
		min = minSecretLocal
	}
	return redact.New(min, to.Credential.Key)
}
