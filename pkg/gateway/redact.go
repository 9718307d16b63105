package gateway

import (
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/redact"
)

// Keys shorter than these are no secrets. A local provider's is often a word
// ("ollama", "lm-studio") that its models may use.
const (
	minSecret      = 6
	minSecretLocal = 16
	minSecretError = 4 // in an error, which holds nothing else of worth
)

// redactor takes the key of a candidate out of its responses; inError is whether of
// an error.
func redactor(to *pipeline.Candidate, inError bool) redact.Redactor {
	min := minSecret
	switch {
	case inError:
		min = minSecretError
	case to.Provider != nil && to.Provider.Port > 0:
		min = minSecretLocal
	}
	return redact.New(min, to.Credential.Key)
}
