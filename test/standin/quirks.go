package standin

import (
	"fmt"
	"regexp"
	"strings"
)

// Requests that particular models refuse in chat completions.

var (
	mistralID  = regexp.MustCompile(`^[a-zA-Z0-9]{9}$`)
	noStopping = regexp.MustCompile(`^(gpt-5|gpt-6|o[1-9])`)
)

// thinks reports whether a model responds with reasoning_content and requires it in the
// next request with a tool call.
func thinks(model string) bool {
	for _, name := range []string{"thinker", "deepseek-v4", "kimi-k2-thinking", "mimo"} {
		if strings.Contains(model, name) {
			return true
		}
	}
	return false
}

// badForModel returns the error of the model named in a chat completion, or "".
func badForModel(req map[string]any) string {
	model := str(req, "model")
	for _, m := range objects(req["messages"]) {
		for _, call := range objects(m["tool_calls"]) {
			if strings.Contains(model, "mistral") && !mistralID.MatchString(str(call, "id")) {
				return fmt.Sprintf("Tool call id was %s but must be a-z, A-Z, 0-9, with a length of 9.", str(call, "id"))
			}
		}
		if m["tool_calls"] != nil && thinks(model) && str(m, "reasoning_content") == "" {
			return "The `reasoning_content` in the thinking mode must be passed back to the API."
		}
	}
	stop := list(req["stop"])
	switch {
	case req["stop"] != nil && noStopping.MatchString(model):
		return "Unsupported parameter: 'stop' is not supported with this model."
	case len(stop) > 4:
		return fmt.Sprintf("Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length %d instead.", len(stop))
	}
	if why := badWord(model, "reasoning_effort", req["reasoning_effort"]); why != "" {
		return why
	}
	if req["max_tokens"] != nil && noStopping.MatchString(model) {
		return "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
	}
	if t, given := req["temperature"]; given && t != 1.0 && noStopping.MatchString(model) {
		return fmt.Sprintf("Unsupported value: 'temperature' does not support %v with this model. Only the default (1) value is supported.", t)
	}
	if most, _ := req["max_tokens"].(float64); strings.Contains(model, "8b-instant") && most > 8192 {
		return "Invalid max_tokens param: max_tokens must be less than or equal to 8192"
	}
	return ""
}

// toolCallID returns the id of a model's tool call.
func toolCallID(model string) string {
	if strings.Contains(model, "mistral") {
		return "aB3dE6gH9"
	}
	return "call_1"
}
