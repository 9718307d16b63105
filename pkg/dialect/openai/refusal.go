package openai

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// WantsThoughts reports whether an error says that a call lacks the thinking before it.
func WantsThoughts(message string) bool {
	return strings.Contains(message, ReasoningContent) && !strings.Contains(message, "not permitted") && !strings.Contains(message, "unsupported") &&
		(strings.Contains(message, "pass") || strings.Contains(message, "missing") || strings.Contains(message, "required") || strings.Contains(message, "must"))
}

// WantsShortIDs reports whether an error says that tool call ids must be Mistral's.
func WantsShortIDs(message string) bool {
	return strings.Contains(strings.ToLower(message), "tool call id") && strings.Contains(message, "length of 9")
}

var (
	numbers   = regexp.MustCompile(`\d[\d_]*`)
	tokensIn  = regexp.MustCompile(`(?i)(\d+)(?: tokens)?(?: input tokens| in the messages| in your prompt| of text input| tokens from the input)`)
	contextOf = regexp.MustCompile(`(?i)maximum context length (?:is|of) (\d+)`)
)

// leastTokens is the least that counts as a limit of an answer's tokens; smaller numbers
// in an error are something else.
const leastTokens = 256

// OutputLimit returns the most tokens that an answer may have, as the error of a
// request that asked for more tells; 0 if it is about something else. once is
// whether it holds for this request alone, whose prompt takes up the rest of the
// context.
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

// WithThoughts returns a request for chat completions whose calls have thinking
// before them, a placeholder where there is none.
func WithThoughts(body []byte) []byte { return recalled(jsonscan.Raw(body), noThoughts{}, true).JSON() }

type noThoughts struct{}

func (noThoughts) Any() bool                   { return false }
func (noThoughts) Get(string) json.RawMessage  { return nil }
func (noThoughts) Put(string, json.RawMessage) {}
func (noThoughts) Spoke()                      {}

// WithShortIDs returns a request for chat completions whose calls have Mistral's
// ids.
func WithShortIDs(body []byte) []byte {
	chat := jsonscan.Raw(body)
	list, changed := ShortCallIDs(chat.Get("messages"))
	if !changed {
		return body
	}
	return replaced(chat, "messages", list).JSON()
}
