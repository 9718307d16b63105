// Package openai owns what sets the providers of chat completions apart: what
// each takes beyond what every one does, and the last step of a translation to
// such a provider, which leaves out of the middle what it would refuse.
//
// It leaves chat requests that callers wrote themselves alone: those go up byte
// for byte. Which provider takes what is the catalogue's to say.
package openai

import (
	"slices"
	"strings"
)

// Facts name what a provider takes of chat completions beyond what every one
// does: fields by their own names, and Developer. Nil is a provider of which
// nothing is known. Facts are read-only.
type Facts []string

// What only some providers take. Whatever else a translation to chat completions
// makes, all do.
const (
	CacheControl        = "cache_control"         // on messages, content parts and tools
	ReasoningContent    = "reasoning_content"     // on messages of the assistant
	ReasoningDetails    = "reasoning_details"     // the same, in OpenRouter's words; and reasoning_effort none
	ExtraContent        = "extra_content"         // on messages and tool calls: Google's thought signatures
	Refusal             = "refusal"               // on messages of the assistant
	Developer           = "developer"             // the role; else system
	MaxCompletionTokens = "max_completion_tokens" // else max_tokens
	StreamOptions       = "stream_options"
	User                = "user"
	SafetyIdentifier    = "safety_identifier"
	PromptCacheKey      = "prompt_cache_key"
	ServiceTier         = "service_tier"
	Verbosity           = "verbosity"
	WebSearchOptions    = "web_search_options" // for any model; else for OpenAI's search models alone
	Plugins             = "plugins"            // OpenRouter's, of which web is one

	everything = "*"
	responses  = "*responses"
)

// hints are the fields of a request that change no answer's meaning.
var hints = []string{User, SafetyIdentifier, PromptCacheKey, ServiceTier, Verbosity, StreamOptions}

// Names are all names that Facts may hold.
func Names() []string {
	return append([]string{
		CacheControl, ReasoningContent, ReasoningDetails, ExtraContent, Refusal, Developer, MaxCompletionTokens, WebSearchOptions, Plugins,
	}, hints...)
}

// Everything is what another translation takes: all of the middle.
func Everything() Facts { return Facts{everything} }

// Responses are these facts of a provider whose Responses API a request goes on to: all
// of the middle is taken, but for the hints that the provider does not take.
func (f Facts) Responses() Facts { return append(f[:len(f):len(f)], responses) }

// onward reports whether the request goes on to a Responses API.
func (f Facts) onward() bool { return slices.Contains(f, responses) }

// itself reports whether the provider maps what its models take itself, as
// OpenRouter does.
func (f Facts) itself() bool { return f.Takes(ReasoningDetails) && !f.onward() }

// Takes reports whether the provider takes a field.
func (f Facts) Takes(name string) bool {
	return slices.Contains(f, name) || f.All() || f.onward() && !slices.Contains(hints, name)
}

// MarksCache reports whether a model of the provider's caches no prompt unless a
// request asks it to, and a top-level cache_control does: Claude at OpenRouter
// (https://openrouter.ai/docs/guides/best-practices/prompt-caching).
func (f Facts) MarksCache(model string) bool {
	return slices.Contains(f, CacheControl) && strings.HasPrefix(model, "anthropic/")
}

// Lists reports whether a field is taken by its own name, not with all of the middle.
func (f Facts) Lists(name string) bool { return slices.Contains(f, name) }

// All reports whether all of the middle is taken, in its own words.
func (f Facts) All() bool { return slices.Contains(f, everything) }
