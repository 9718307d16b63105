package openai

import "encoding/json"

// Request is a chat request as translations produce it, before Restrict. Values
// that are passed on unchanged stay raw. nil and zero values are left out.
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

// ToolCallDelta is a tool call, or a piece of one in a stream. Pieces with the same
// Index belong together; see Numbering for pieces without one.
type ToolCallDelta struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}
