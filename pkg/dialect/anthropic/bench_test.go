package anthropic_test

import (
	"testing"

	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/provider"
)

// BenchmarkToChat translates a Messages client's request to OpenAI.
func BenchmarkToChat(b *testing.B) {
	facts := provider.Default().Get("openai").ChatFacts()
	options := anthropic.Options{Takes: func(string) openai.Facts { return facts }}
	dialecttest.BenchRequests(b, "anthropic", "gpt-4.1", openai.Restrict(anthropic.ToChat(options), facts, ""))
}

// BenchmarkFromChat translates a chat client's request to Anthropic.
func BenchmarkFromChat(b *testing.B) {
	dialecttest.BenchRequests(b, "openai", "claude-sonnet-4-5", anthropic.FromChat(anthropic.Options{}))
}
