package responses_test

import (
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/responses"
)

// BenchmarkToChat is a Responses client's request to a provider of chat completions.
func BenchmarkToChat(b *testing.B) {
	dialecttest.BenchRequests(b, "responses", "m", openai.Restrict(responses.ToChat(responses.Options{}), nil, ""))
}

// BenchmarkToMessages is the same to Anthropic, through the middle.
func BenchmarkToMessages(b *testing.B) {
	dialecttest.BenchRequests(b, "responses", "claude-sonnet-4-5", dialect.Chain(responses.ToChat(responses.Options{}), anthropic.FromChat(anthropic.Options{})))
}
