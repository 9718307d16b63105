package dialect_test

import (
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
)

func TestIsContextOverflow(t *testing.T) {
	for _, message := range []string{
		"Your input exceeds the context window of this model. Please adjust your input and try again.",
		"This model's maximum context length is 32768 tokens. However, you requested 40000 tokens",
		"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
		"prompt is too long: 210000 tokens > 200000 maximum",
		"input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
		"the request exceeds the available context size, try increasing it",
	} {
		if !dialect.IsContextOverflow("", message) {
			t.Errorf("not recognized as an overflow: %s", message)
		}
	}
	if !dialect.IsContextOverflow("context_length_exceeded", "x") || !dialect.IsContextOverflow("exceed_context_size_error", "x") {
		t.Error("a code is not known")
	}
	for _, message := range []string{"", "max_tokens must be at most 8192", "Rate limit reached: too many tokens per minute"} {
		if dialect.IsContextOverflow("", message) {
			t.Errorf("recognized as an overflow: %s", message)
		}
	}
}
