package openai

import "encoding/json"

// Request is a chat request as a translation makes it, before Restrict. Values that
// pass as the caller wrote them stay raw; nil and zero ones are left out.
type Request struct {
	Model               string            `json:"model"`
	Messages            []json.RawMessage `json:"messages"`
	Tools               []json.RawMessage `json:"tools,omitempty"`
	ToolChoice          json.RawMessage   `json:"tool_choice,omitempty"`
	Temperature         json.RawMessage   `json:"temperature,omitempty"`
	TopP                json.RawMessage   `json:"top_p,omitempty"`
	MaxCompletionTokens json.RawMessage   `json:"max_completion_tokens,omitempty"`
	Stop                json.RawMessage   `json:"stop,omitempty"`
	N                   json.RawMessage   `json:"n,omitempty"`
	Seed                json.RawMessage   `json:"seed,omitempty"`
	PresencePenalty     json.RawMessage   `json:"presence_penalty,omitempty"`
	FrequencyPenalty    json.RawMessage   `json:"frequency_penalty,omitempty"`
	Logprobs            bool              `json:"logprobs,omitempty"`
	TopLogprobs         json.RawMessage   `json:"top_logprobs,omitempty"`
	ResponseFormat      json.RawMessage   `json:"response_format,omitempty"`
	Modalities          []string          `json:"modalities,omitempty"`
	Audio               json.RawMessage   `json:"audio,omitempty"`
	ReasoningEffort     string            `json:"reasoning_effort,omitempty"`
	WebSearch           json.RawMessage   `json:"web_search_options,omitempty"`
	Stream              bool              `json:"stream,omitempty"`
	StreamOptions       json.RawMessage   `json:"stream_options,omitempty"`
}

// ToolCallDelta is a tool call, or a piece of one in a stream: the pieces of one
// Index belong together, and a piece without ends the one before.
type ToolCallDelta struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}
