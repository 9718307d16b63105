// Package openai owns the differences between providers of chat completions: the
// fields that only some of them accept, and the last step of a translation to such
// a provider, which removes from the intermediate form what it would refuse.
//
// It does not change chat requests that clients wrote themselves: those are sent
// unchanged. Which provider accepts what is recorded in the catalogue.
package openai

import (
	"slices"
	"strings"
)

// Facts lists what a provider accepts in chat completions that not every provider
// does: fields by their names, and Developer. nil is a provider about which nothing
// is known. Facts are read-only.
type Facts []string

// Fields that only some providers accept. All providers accept the other fields
// that translations to chat completions produce.
const (
	CacheControl        = "cache_control"         // on messages, content parts and tools
	ReasoningContent    = "reasoning_content"     // on assistant messages
	ReasoningDetails    = "reasoning_details"     // the same in OpenRouter's form; also reasoning_effort none
	ExtraContent        = "extra_content"         // on messages and tool calls: Google's thought signatures
	Refusal             = "refusal"               // on assistant messages
	Developer           = "developer"             // the role; otherwise system
	MaxCompletionTokens = "max_completion_tokens" // otherwise max_tokens
	StreamOptions       = "stream_options"
	User                = "user"
	SafetyIdentifier    = "safety_identifier"
	PromptCacheKey      = "prompt_cache_key"
	ServiceTier         = "service_tier"
	Verbosity           = "verbosity"
	WebSearchOptions    = "web_search_options" // for any model; otherwise only for OpenAI's search models
	Plugins             = "plugins"            // OpenRouter's, which include web

	everything = "*"
	responses  = "*responses"
)

// hints are the request fields that do not change the meaning of a response.
var hints = []string{User, SafetyIdentifier, PromptCacheKey, ServiceTier, Verbosity, StreamOptions}

// Names returns all names that Facts may contain.
func Names() []string {
	return append([]string{
		CacheControl, ReasoningContent, ReasoningDetails, ExtraContent, Refusal, Developer, MaxCompletionTokens, WebSearchOptions, Plugins,
	}, hints...)
}

// Everything returns the facts of another translation, which accepts all of the
// intermediate form.
func Everything() Facts { return Facts{everything} }

// Responses returns the facts for a request that goes on to the provider's
// Responses API: all of the intermediate form, except for the hints that the
// provider does not accept.
func (f Facts) Responses() Facts { return append(f[:len(f):len(f)], responses) }

// onward reports whether the request goes on to a Responses API.
func (f Facts) onward() bool { return slices.Contains(f, responses) }

// itself reports whether the provider itself adapts requests to what its models
// accept, as OpenRouter does.
func (f Facts) itself() bool { return f.Takes(ReasoningDetails) && !f.onward() }

// Takes reports whether the provider accepts a field.
func (f Facts) Takes(name string) bool {
	return slices.Contains(f, name) || f.All() || f.onward() && !slices.Contains(hints, name)
}

// MarksCache reports whether a model of the provider only caches prompts if the
// request asks for it, and a top-level cache_control does that: Claude at
// OpenRouter (https://openrouter.ai/docs/guides/best-practices/prompt-caching).
func (f Facts) MarksCache(model string) bool {
	return slices.Contains(f, CacheControl) && strings.HasPrefix(model, "anthropic/")
}

// Lists reports whether a field is listed by its name, and not just as part of the
// intermediate form.
func (f Facts) Lists(name string) bool { return slices.Contains(f, name) }

// All reports whether the provider accepts all of the intermediate form unchanged.
func (f Facts) All() bool { return slices.Contains(f, everything) }
