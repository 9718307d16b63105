package gateway

import "github.com/hostless/hostless/pkg/redact"

// Keys shorter than these are no secrets. A local provider's is often a word
// ("ollama", "lm-studio") that its models may use.
const (
	minSecret      = 6
	minSecretLocal = 16
	minSecretError = 4 // in an error, which holds nothing else of worth
)

// redactor takes the provider's key out of its responses; inError is whether of
// an error.
func (c *exchange) redactor(inError bool) redact.Redactor {
	min := minSecret
	switch {
	case inError:
		min = minSecretError
	case c.provider != nil && c.provider.Port > 0:
		min = minSecretLocal
	}
	return redact.New(min, c.cred.Key)
}
