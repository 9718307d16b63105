package responses_test

import (
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
)

// BenchmarkToChat translates a Responses client's request to a provider of chat
// completions.
func BenchmarkToChat(b *testing.B) {
	dialecttest.BenchRequests(b, "responses", "m", openai.Restrict(responses.ToChat(responses.Options{}), nil, ""))
}

// BenchmarkToMessages translates the same request to Anthropic, through the
// intermediate form.
func BenchmarkToMessages(b *testing.B) {
	dialecttest.BenchRequests(b, "responses", "claude-sonnet-4-5", dialect.Chain(responses.ToChat(responses.Options{}), anthropic.FromChat(anthropic.Options{})))
}
