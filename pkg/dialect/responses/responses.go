// Package responses translates OpenAI's Responses API to and from chat
// completions, so that a client of the one (Codex, the Agents SDK) runs on
// providers that offer only the other, or, by dialect.Chain, on Anthropic's and
// Gemini's own dialects.
//
// It owns the mapping of items, tools and events
// (https://platform.openai.com/docs/api-reference/responses) and the memory
// that previous_response_id needs where the provider keeps none. Whether there
// is such a memory, and for whom, is the gateway's decision.
package responses

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

// Options are what a translation needs from outside. The zero value works.
type Options struct {
	// Store answers previous_response_id and item_reference; nil refuses both with 400.
	Store Store
	// Now is the clock of created_at; nil is time.Now.
	Now func() time.Time
	// NewID makes the random part of an id; nil is 16 bytes of crypto/rand in hex.
	NewID func() string
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string {
			var b [16]byte
			rand.Read(b[:])
			return hex.EncodeToString(b[:])
		}
	}
	return o
}

// request is the part of a Responses request that the translation reads.
type request struct {
	Model              string          `json:"model"`
	Input              json.RawMessage `json:"input"`
	Instructions       json.RawMessage `json:"instructions"`
	Tools              json.RawMessage `json:"tools"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
	ParallelToolCalls  json.RawMessage `json:"parallel_tool_calls"`
	Reasoning          json.RawMessage `json:"reasoning"`
	Text               json.RawMessage `json:"text"`
	MaxOutputTokens    json.RawMessage `json:"max_output_tokens"`
	Temperature        json.RawMessage `json:"temperature"`
	TopP               json.RawMessage `json:"top_p"`
	TopLogprobs        json.RawMessage `json:"top_logprobs"`
	Stream             bool            `json:"stream"`
	Store              *bool           `json:"store"`
	Include            []string        `json:"include"`
	PreviousResponseID string          `json:"previous_response_id"`
	Conversation       json.RawMessage `json:"conversation"`
	Prompt             json.RawMessage `json:"prompt"`
	Background         bool            `json:"background"`
	Metadata           json.RawMessage `json:"metadata"`
	User               json.RawMessage `json:"user"`
	SafetyIdentifier   json.RawMessage `json:"safety_identifier"`
	PromptCacheKey     json.RawMessage `json:"prompt_cache_key"`
	ServiceTier        json.RawMessage `json:"service_tier"`
	Truncation         json.RawMessage `json:"truncation"`
	MaxToolCalls       json.RawMessage `json:"max_tool_calls"`
	ExtraBody          json.RawMessage `json:"extra_body"`
}

// chat is the request of the middle dialect.
type chat struct {
	Model               string            `json:"model"`
	Messages            []json.RawMessage `json:"messages"`
	Tools               []json.RawMessage `json:"tools,omitempty"`
	ToolChoice          json.RawMessage   `json:"tool_choice,omitempty"`
	ParallelToolCalls   json.RawMessage   `json:"parallel_tool_calls,omitempty"`
	ReasoningEffort     string            `json:"reasoning_effort,omitempty"`
	ResponseFormat      json.RawMessage   `json:"response_format,omitempty"`
	Verbosity           json.RawMessage   `json:"verbosity,omitempty"`
	MaxCompletionTokens json.RawMessage   `json:"max_completion_tokens,omitempty"`
	Temperature         json.RawMessage   `json:"temperature,omitempty"`
	TopP                json.RawMessage   `json:"top_p,omitempty"`
	Logprobs            bool              `json:"logprobs,omitempty"`
	TopLogprobs         json.RawMessage   `json:"top_logprobs,omitempty"`
	User                json.RawMessage   `json:"user,omitempty"`
	SafetyIdentifier    json.RawMessage   `json:"safety_identifier,omitempty"`
	PromptCacheKey      json.RawMessage   `json:"prompt_cache_key,omitempty"`
	ServiceTier         json.RawMessage   `json:"service_tier,omitempty"`
	ExtraBody           json.RawMessage   `json:"extra_body,omitempty"`
	Stream              bool              `json:"stream,omitempty"`
	StreamOptions       json.RawMessage   `json:"stream_options,omitempty"`
}

// ToChat translates Responses requests into chat completions.
func ToChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req request
		if err := json.Unmarshal(in.Body, &req); err != nil {
			return nil, dialect.Unreadable("Responses", err)
		}
		return translate(in, &req, options)
	}
}

func translate(in dialect.Request, req *request, options Options) (*dialect.Call, error) {
	if err := refuse(req); err != nil {
		return nil, err
	}
	out := chat{
		Model: in.Model, Stream: req.Stream,
		MaxCompletionTokens: rawjson.Set(req.MaxOutputTokens), Temperature: rawjson.Set(req.Temperature), TopP: rawjson.Set(req.TopP),
		User: rawjson.Set(req.User), SafetyIdentifier: rawjson.Set(req.SafetyIdentifier), PromptCacheKey: rawjson.Set(req.PromptCacheKey),
		ServiceTier: rawjson.Set(req.ServiceTier), ExtraBody: rawjson.Set(req.ExtraBody),
	}
	if top := rawjson.Set(req.TopLogprobs); top != nil && string(top) != "0" {
		out.Logprobs, out.TopLogprobs = true, top
	}
	if req.Stream {
		out.StreamOptions = json.RawMessage(`{"include_usage":true}`)
	}
	c := &converter{store: options.Store}
	if err := c.instructions(req.Instructions); err != nil {
		return nil, err
	}
	history, err := previous(req, options.Store)
	if err != nil {
		return nil, err
	}
	c.messages = append(c.messages, history...)
	fixed := len(c.messages) - len(history)
	if err := c.input(req.Input); err != nil {
		return nil, err
	}
	tools, err := c.tools(req.Tools, req.ToolChoice)
	if err != nil {
		return nil, err
	}
	out.Tools = tools
	if len(tools) > 0 {
		if out.ToolChoice, err = c.toolChoice(req.ToolChoice); err != nil {
			return nil, err
		}
		out.ParallelToolCalls = rawjson.Set(req.ParallelToolCalls)
	}
	if err := c.reasoning(req.Reasoning, &out); err != nil {
		return nil, err
	}
	if err := c.text(req.Text, &out); err != nil {
		return nil, err
	}
	for name, value := range map[string]json.RawMessage{"truncation": req.Truncation, "max_tool_calls": req.MaxToolCalls} {
		if v := rawjson.Set(value); v != nil && string(v) != `"disabled"` {
			c.ignore(name)
		}
	}
	if len(c.messages) == 0 {
		return nil, dialect.Invalid("input", "input holds nothing")
	}
	out.Messages = c.messages
	body, err := rawjson.Marshal(out)
	if err != nil {
		return nil, err
	}
	return &dialect.Call{
		Path: "/chat/completions", Body: body, Stream: req.Stream, Ignored: c.ignored,
		Reply: &reply{
			options: options, req: req, tools: c.kinds, history: c.messages[fixed:], store: options.Store,
			encrypted: slices.Contains(req.Include, "reasoning.encrypted_content"),
		},
	}, nil
}

// refuse names what has no meaning on a provider without the Responses API.
func refuse(req *request) error {
	for name, value := range map[string]json.RawMessage{"conversation": req.Conversation, "prompt": req.Prompt} {
		if rawjson.Set(value) != nil {
			return dialect.Invalid(name, name+" is kept by OpenAI itself and cannot be used with this provider")
		}
	}
	if req.Background {
		return dialect.Invalid("background", "background responses cannot be run with this provider")
	}
	return nil
}

// previous finds the turns that previous_response_id stands for.
func previous(req *request, store Store) ([]json.RawMessage, error) {
	if req.PreviousResponseID == "" {
		return nil, nil
	}
	if store != nil {
		if messages, ok := store.Get(req.PreviousResponseID); ok {
			return messages, nil
		}
	}
	return nil, &fault.Error{
		Kind: fault.Invalid, Param: "previous_response_id", Code: "previous_response_not_found",
		Message: fmt.Sprintf("previous response %q is not known here: this provider keeps no responses, send the whole input", req.PreviousResponseID),
	}
}

// reasoning maps reasoning.effort; a summary comes whenever the model thinks aloud.
func (c *converter) reasoning(raw json.RawMessage, out *chat) error {
	if rawjson.Set(raw) == nil {
		return nil
	}
	var r struct {
		Effort string `json:"effort"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return dialect.Invalid("reasoning", "reasoning must be an object")
	}
	out.ReasoningEffort = r.Effort
	return nil
}

// text maps text.format and text.verbosity.
func (c *converter) text(raw json.RawMessage, out *chat) error {
	if rawjson.Set(raw) == nil {
		return nil
	}
	var t struct {
		Format    json.RawMessage `json:"format"`
		Verbosity json.RawMessage `json:"verbosity"`
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return dialect.Invalid("text", "text must be an object")
	}
	out.Verbosity = rawjson.Set(t.Verbosity)
	if rawjson.Set(t.Format) == nil {
		return nil
	}
	var f struct {
		Type        string          `json:"type"`
		Name        string          `json:"name,omitempty"`
		Description string          `json:"description,omitempty"`
		Schema      json.RawMessage `json:"schema,omitempty"`
		Strict      json.RawMessage `json:"strict,omitempty"`
	}
	if err := json.Unmarshal(t.Format, &f); err != nil {
		return dialect.Invalid("text.format", "text.format must be an object")
	}
	switch f.Type {
	case "text", "":
		return nil
	case "json_object":
		out.ResponseFormat = json.RawMessage(`{"type":"json_object"}`)
		return nil
	case "json_schema":
		f.Type = ""
		schema, err := rawjson.Marshal(struct {
			Name        string          `json:"name"`
			Description string          `json:"description,omitempty"`
			Schema      json.RawMessage `json:"schema,omitempty"`
			Strict      json.RawMessage `json:"strict,omitempty"`
		}{f.Name, f.Description, f.Schema, rawjson.Set(f.Strict)})
		if err != nil {
			return err
		}
		out.ResponseFormat = concat(`{"type":"json_schema","json_schema":`, schema, `}`)
		return nil
	}
	return dialect.Invalid("text.format.type", fmt.Sprintf("text.format.type %q cannot be used with this provider; use text, json_object or json_schema", f.Type))
}

func concat(before string, middle json.RawMessage, after string) json.RawMessage {
	return append(append([]byte(before), middle...), after...)
}
