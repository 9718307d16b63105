package respond

import (
	"sync"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/secret"
)

// Keys shorter than these are no secrets. A local provider's is often a word
// ("ollama", "lm-studio") that its models may use.
const (
	minSecret      = 6
	minSecretLocal = 16
	minSecretError = 4 // in an error, which holds nothing else of worth
)

// Redactors keeps the redactors of the keys in use: making one looks at each of the
// key's characters. It is safe for concurrent use.
type Redactors struct {
	mu sync.RWMutex
	of map[keyName]keyRedactors
}

type keyName struct{ provider, label string }

type keyRedactors struct {
	key         secret.String
	answer, err redact.Redactor
}

// Get gives what takes the key of a candidate out of its answers, and out of its errors.
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

// maxRedactors bounds what is kept: keys come and go.
const maxRedactors = 256

// NewRedactor takes the key of a candidate out of its responses; inError is whether of
// an error.
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
