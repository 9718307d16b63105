package openai

import (
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// family is what the name of one of OpenAI's models implies for its requests, at
// any provider.
type family int

const (
	unknown family = iota // not OpenAI's, or a name that implies nothing
	chats                 // does not think: no reasoning_effort
	thinks                // the o series, and gpt-5 and later: no sampling
)

func familyOf(model string) family {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	switch {
	case len(base) > 1 && base[0] == 'o' && base[1] >= '1' && base[1] <= '9':
		return thinks
	case strings.HasPrefix(base, "gpt-3.5"), strings.HasPrefix(base, "gpt-4"), strings.HasPrefix(base, "chatgpt-"),
		strings.HasPrefix(base, "gpt-5") && strings.Contains(base, "chat"):
		return chats
	case strings.HasPrefix(base, "gpt-5"), strings.HasPrefix(base, "gpt-6"):
		return thinks
	}
	return unknown
}

// Searches reports whether a model with that name is one of OpenAI's that search
// the web in chat completions and accept web_search_options. All others refuse it.
func Searches(model string) bool {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	return strings.Contains(base, "-search-preview") || strings.Contains(base, "-search-api")
}

// ToolsOrEffort reports whether a model with that name accepts function tools in
// chat completions only with reasoning_effort none. These are gpt-5.4 and later,
// which refuse both together ("To use function tools, use /v1/responses or set
// reasoning_effort to 'none'"). It is a rule of OpenAI's own endpoint.
func ToolsOrEffort(model string) bool {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	rest, five := strings.CutPrefix(base, "gpt-5.")
	switch {
	case strings.Contains(base, "chat"):
		return false
	case five:
		digits := strings.IndexFunc(rest+"-", func(r rune) bool { return r < '0' || r > '9' })
		minor, err := strconv.Atoi(rest[:digits])
		return err == nil && minor >= 4
	}
	return strings.HasPrefix(base, "gpt-6")
}

// Reasons reports whether a model with that name may think before it responds.
func Reasons(model string) bool { return familyOf(model) != chats }

// ResponsesOnly reports whether OpenAI serves a model with that name only by its
// Responses API (https://platform.openai.com/docs/models): the codex, pro and deep
// research models and computer-use-preview.
func ResponsesOnly(model string) bool {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	if familyOf(base) == unknown && !strings.HasPrefix(base, "codex") {
		return strings.HasPrefix(base, "computer-use-preview")
	}
	for _, word := range strings.Split(base, "-") {
		if word == "codex" || word == "pro" || word == "research" {
			return true
		}
	}
	return false
}

// wantsResponses are the messages with which OpenAI and compatible providers report
// that a model, or a request, is not for chat completions.
var wantsResponses = []string{"v1/responses", "responses api", "not a chat model", "not supported in the v1/chat/completions"}

// RefusesChat reports whether an error body says that a request belongs to the
// Responses API. tools reports that this only holds with tools.
func RefusesChat(body []byte) (refuses, tools bool) {
	lower := strings.ToLower(string(body))
	for _, words := range wantsResponses {
		if strings.Contains(lower, words) {
			return true, strings.Contains(lower, "function tools")
		}
	}
	return false, false
}

// RefusesSummary reports whether an error body says that the model, or the account,
// gets no reasoning summaries.
func RefusesSummary(body []byte) bool {
	lower := strings.ToLower(string(body))
	return strings.Contains(lower, "reasoning.summary") || strings.Contains(lower, "reasoning summar")
}

// RefusesEncrypted reports whether an error body says that encrypted reasoning
// cannot be read, or that the model has none.
func RefusesEncrypted(body []byte) bool {
	lower := strings.ToLower(string(body))
	return strings.Contains(lower, "encrypted content") || strings.Contains(lower, "encrypted_content")
}

// EffortByDefault reports whether a model with that name thinks if no effort is
// requested, so that the rule of ToolsOrEffort applies without an effort too:
// gpt-5.6 and later.
func EffortByDefault(model string) bool {
	base := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	return ToolsOrEffort(model) && !strings.HasPrefix(base, "gpt-5.4") && !strings.HasPrefix(base, "gpt-5.5")
}

// samplers are the sampling fields that thinking models refuse, with their default
// values.
var samplers = map[string]float64{"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}

// suits returns a field's value as the model accepts it, absent if it accepts none.
// loss reports whether removing it should be reported to the client.
func (f family) suits(name string, value jsonscan.Value) (suited jsonscan.Value, loss bool) {
	if f == unknown || !value.Set() {
		return value, false
	}
	idle, sampler := samplers[name]
	if !sampler || f == chats {
		return value, false
	}
	n, err := strconv.ParseFloat(string(value.JSON()), 64)
	return jsonscan.Value{}, err != nil || n != idle
}
