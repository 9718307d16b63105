package openai

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// WantsThoughts reports whether an error says that a call lacks the thinking before
// it.
func WantsThoughts(message string) bool {
	return strings.Contains(message, ReasoningContent) && !strings.Contains(message, "not permitted") && !strings.Contains(message, "unsupported") &&
		(strings.Contains(message, "pass") || strings.Contains(message, "missing") || strings.Contains(message, "required") || strings.Contains(message, "must"))
}

// WantsShortIDs reports whether an error says that tool call ids must be in
// Mistral's format.
func WantsShortIDs(message string) bool {
	return strings.Contains(strings.ToLower(message), "tool call id") && strings.Contains(message, "length of 9")
}

var (
	numbers   = regexp.MustCompile(`\d[\d_]*`)
	tokensIn  = regexp.MustCompile(`(?i)(\d+)(?: tokens)?(?: input tokens| in the messages| in your prompt| of text input| tokens from the input)`)
	contextOf = regexp.MustCompile(`(?i)maximum context length (?:is|of) (\d+)`)
)

// leastTokens is the smallest number in an error that counts as a limit of output
// tokens.
const leastTokens = 256

// OutputLimit returns the maximum number of output tokens according to the error
// for a request that asked for more, or 0 if the error is about something else.
// once reports whether the limit only holds for this request, because its prompt
// takes up the rest of the context.
func OutputLimit(message string, asked int64) (limit int64, once bool) {
	lower := strings.ToLower(message)
	if asked <= 0 || !strings.Contains(lower, "max_tokens") && !strings.Contains(lower, "max_completion_tokens") && !strings.Contains(lower, "completion tokens") &&
		!strings.Contains(lower, "in the completion") && !strings.Contains(lower, "max_output_tokens") && !strings.Contains(lower, "maxoutputtokens") {
		return 0, false
	}
	if whole := contextOf.FindStringSubmatch(lower); whole != nil {
		in := tokensIn.FindStringSubmatch(lower)
		if in == nil {
			return 0, false
		}
		most, _ := strconv.ParseInt(whole[1], 10, 64)
		prompt, _ := strconv.ParseInt(in[1], 10, 64)
		if left := most - prompt; left >= leastTokens && left < asked {
			return left, true
		}
		return 0, false
	}
	for _, word := range numbers.FindAllString(message, -1) {
		n, err := strconv.ParseInt(strings.ReplaceAll(word, "_", ""), 10, 64)
		if err == nil && n >= leastTokens && n < asked {
			limit = max(limit, n)
		}
	}
	return limit, false
}

// WithThoughts returns a chat request whose calls have thinking before them, with a
// placeholder if there is none.
func WithThoughts(body []byte, thoughts Thoughts) []byte {
	return recalled(jsonscan.Raw(body), thoughts, true).JSON()
}

// WithShortIDs returns a chat request whose calls have ids in Mistral's format.
func WithShortIDs(body []byte) []byte {
	chat := jsonscan.Raw(body)
	list, changed := ShortCallIDs(chat.Get("messages"))
	if !changed {
		return body
	}
	return replaced(chat, "messages", list).JSON()
}

// refusals are parts of the error messages for a field or value that is not supported.
var refusals = []string{
	"not support", "unsupported", "unrecognized", "unknown", "unexpected", "invalid", "not valid", "must be", "should be", "not permitted", "extra_forbidden",
	"not allowed", "not enabled", "deprecated", "only works", "cannot both", "only be set", "may only", "expected",
}

func refuses(lower string) bool {
	return slices.ContainsFunc(refusals, func(words string) bool { return strings.Contains(lower, words) })
}

var (
	effortField = regexp.MustCompile(`effort|thinking[_ ]?level|thinking[_ ]?budget|think value|only works in thinking mode|thinking is not (?:enabled|supported)|not support thinking`)
	offered     = regexp.MustCompile(`supported (?:values|levels|efforts|options)|(?:allowed|valid|accepted|possible) (?:values|levels|efforts|options)|must be|should be|one of|expected`)
	letters     = regexp.MustCompile(`[a-z]+`)
)

// RefusesEffort reports whether an error message, in lower case, is about an unsupported
// effort. takes are the supported ones that it names; NoEffort if it names none.
func RefusesEffort(lower string) (takes dialect.Efforts, ok bool) {
	if !effortField.MatchString(lower) || !refuses(lower) || strings.Contains(lower, "function tools") {
		return "", false
	}
	at := offered.FindStringIndex(lower)
	if at == nil {
		return dialect.NoEffort, true
	}
	return dialect.EffortsIn(letters.FindAllString(lower[at[1]:], -1)), true
}

// RefusesThinking reports whether an error message, in lower case, says that a model does
// not support thinking.
func RefusesThinking(lower string) bool {
	return strings.Contains(lower, "thinking is not enabled") || strings.Contains(lower, "thinking is not supported") || strings.Contains(lower, "not support thinking")
}

// RefusesThinkingType reports whether an error message of Anthropic's, in lower case, says
// that a model does not support the type of thinking: adaptive, or with a budget.
func RefusesThinkingType(lower string) bool {
	return (strings.Contains(lower, "thinking.type") || strings.Contains(lower, "adaptive")) && !strings.Contains(lower, "signature") && refuses(lower)
}

// Options are the fields that can be left out of a request if a model does not support
// them.
var Options = []string{
	"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "seed", "stop", "stop_sequences", "parallel_tool_calls",
	"verbosity", "service_tier", "store", "metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "stream_options", "max_tokens", MaxCompletionTokens,
}

// OtherLimit returns the other name of the output token limit; "" for other fields.
func OtherLimit(name string) string {
	switch name {
	case "max_tokens":
		return MaxCompletionTokens
	case MaxCompletionTokens:
		return "max_tokens"
	}
	return ""
}

// RefusesOption reports whether an error message, in lower case, says that a field or its
// value is not supported.
func RefusesOption(lower string) bool {
	for _, words := range [...]string{
		"unsupported parameter", "unsupported value", "unsupported field", "is not supported with this model", "extra inputs are not permitted", "extra_forbidden", "unknown parameter", "unknown field",
		"unrecognized", "unexpected keyword", "is deprecated for this model", "cannot both be specified", "may only be set to", "is not supported for this model", "does not support parameter",
	} {
		if strings.Contains(lower, words) {
			return true
		}
	}
	return false
}

// NamesField reports whether an error message, in lower case, names a field, in quotes or
// before a colon. What the message says to use instead does not count.
func NamesField(lower, field string) bool {
	lower, _, _ = strings.Cut(lower, " instead")
	if i := strings.LastIndex(lower, ". use "); i >= 0 {
		lower = lower[:i]
	}
	for rest := lower; ; {
		i := strings.Index(rest, field)
		if i < 0 {
			return false
		}
		before, after := byte(' '), byte(' ')
		if i > 0 {
			before = rest[i-1]
		}
		if end := i + len(field); end < len(rest) {
			after = rest[end]
		}
		if strings.IndexByte("'\"`", before) >= 0 && before == after || after == ':' && !isNameByte(before) || before == '"' && after == '\\' {
			return true
		}
		rest = rest[i+len(field):]
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c == '.' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}
