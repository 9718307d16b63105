package plan

import (
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
)

// malformed are parts of the error messages, in lower case, with which providers refuse a
// history or tools that are not well-formed. Such an error comes back on every further turn
// of a conversation, so it would end the session.
var malformed = []string{
	// calls without results, results without calls, IDs that occur twice
	"ids were found without `tool_result`", "unexpected `tool_use_id`", "`tool_use` ids must be unique", "must be followed by tool messages", "must be a response to a prece",
	"no tool output found for", "no tool call found for", "'tool_calls' are not answered",
	// arguments, empty content and turns
	"tool_use.input", "content blocks must be non-empty", "must have non-empty content", "must contain non-whitespace text", "expected a string, got null", "parts must not be empty",
	"does not support assistant message prefill", "must end with a user message", "first message must use the", "function call turn comes immediately after",
	// tools
	"anyof at the top level", "object schema missing properties", "schema must be of type \"object\"", "schema must be of type object", "function name must", "invalid function name", "invalid tool name",
}

// refusesMalformed reports whether an error's body says that a history or tools are not
// well-formed.
func refusesMalformed(body []byte) bool {
	lower := strings.ReplaceAll(strings.ToLower(string(body)), `\"`, `"`)
	for _, words := range malformed {
		if strings.Contains(lower, words) {
			return true
		}
	}
	return false
}

// rewritten returns the fallbacks of a native plan that write the request anew, by way of
// chat completions and back to its own dialect. That repairs a history and tools that are
// not well-formed as every translation does. They are tried only after such a refusal,
// because the caller's own bytes do not survive it.
func (r *Request) rewritten(to *pipeline.Candidate, native *upstream.Endpoint) []Plan {
	if r.Call.Model == "" || !r.converses() {
		return nil
	}
	switch r.Matched.Dialect {
	case dialect.OpenAI, dialect.Responses:
	case dialect.Anthropic, dialect.Gemini:
		if to.Provider.Primary() != r.Matched.Dialect {
			return nil // planTranslated leads to another dialect of the provider
		}
	default:
		return nil
	}
	return []Plan{{To: to, Endpoint: native, Translate: r.rewriter(to, native), Fallback: true, AppliesTo: refusesMalformed, rewrites: true}}
}

// rewriter returns the translator of a request to its own dialect, which is only put
// together when it is needed.
func (r *Request) rewriter(to *pipeline.Candidate, native *upstream.Endpoint) dialect.Translator {
	return func(in dialect.Request) (*dialect.Call, error) {
		switch r.Matched.Dialect {
		case dialect.OpenAI:
			facts, needed := r.chatFacts(to)
			return openai.Restrict(openai.Recall(openai.Fit(identity, r.model(to)), r.thoughts(to), needed), facts, r.efforts(to))(in)
		case dialect.Responses:
			return r.responsesPlans(to, native)[0].Translate(in)
		}
		plans, err := r.planTranslated(to)
		if err != nil {
			return nil, err
		}
		return plans[0].Translate(in)
	}
}
