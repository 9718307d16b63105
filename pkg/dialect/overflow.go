package dialect

import "strings"

// ContextLengthExceeded is OpenAI's code of an error that says that the conversation
// is longer than the model's context.
const ContextLengthExceeded = "context_length_exceeded"

// overflows are the words in which providers and local servers say the same: OpenAI,
// Anthropic, vLLM, llama.cpp, Gemini, Bedrock and those that follow them.
var overflows = []string{
	"exceeds the context window", "maximum context length", "context length exceeded", "exceed_context_size",
	"exceeds the available context size", "prompt is too long", "exceed context limit", "input is too long",
	"exceeds the maximum number of tokens allowed", "exceeds the context length", "maximum prompt length", "context window exceeds limit",
	"exceeded model token limit", "reduce the length of the messages", "greater than the context length",
}

// IsContextOverflow reports whether an error of a provider's, by its code or type and
// its words, says that the conversation is longer than the model's context. Agents
// compact it then, if they hear so in words that they know.
func IsContextOverflow(code, message string) bool {
	if strings.Contains(code, ContextLengthExceeded) || strings.Contains(code, "exceed_context_size") {
		return true
	}
	message = strings.ToLower(message)
	for _, words := range overflows {
		if strings.Contains(message, words) {
			return true
		}
	}
	return false
}
