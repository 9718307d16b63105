package dialect

import "strings"

// ContextLengthExceeded is OpenAI's error code for a conversation that is longer
// than the model's context.
const ContextLengthExceeded = "context_length_exceeded"

// overflows are parts of the messages with which providers and local servers report
// the same: OpenAI, Anthropic, vLLM, llama.cpp, Gemini, Bedrock and compatible
// ones.
var overflows = []string{
	"exceeds the context window", "maximum context length", "context length exceeded", "exceed_context_size",
	"exceeds the available context size", "prompt is too long", "exceed context limit", "input is too long",
	"exceeds the maximum number of tokens allowed", "exceeds the context length", "maximum prompt length", "context window exceeds limit",
	"exceeded model token limit", "reduce the length of the messages", "greater than the context length",
}

// IsContextOverflow reports whether a provider's error, judged by its code or type
// and its message, means that the conversation is longer than the model's context.
// Agents compact the conversation if they recognize the error.
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
