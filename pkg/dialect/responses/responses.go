// Package responses translates OpenAI's Responses API to and from chat completions,
// so that a client of the one (Codex, the Agents SDK) can use providers that offer
// only the other, or, with dialect.Chain, the dialects of Anthropic and Gemini.
//
// It owns the mapping of items, tools and events
// (https://platform.openai.com/docs/api-reference/responses) and the store that
// previous_response_id needs if the provider has none. Whether there is such a
// store, and for which requests, is up to the gateway.
package responses

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Options configure a translation. The zero value is usable.
type Options struct {
	// Store resolves previous_response_id and item_reference. If it is nil, both
	// are refused with status 400.
	Store Store
	// Now is the clock for created_at. The default is time.Now.
	Now func() time.Time
	// NewID returns the random part of an id. The default is 16 bytes of
	// crypto/rand in hex.
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
	Model              string         `json:"model"`
	Input              jsonscan.Value `json:"input"`
	Instructions       jsonscan.Value `json:"instructions"`
	Tools              jsonscan.Value `json:"tools"`
	ToolChoice         jsonscan.Value `json:"tool_choice"`
	ParallelToolCalls  jsonscan.Value `json:"parallel_tool_calls"`
	Reasoning          jsonscan.Value `json:"reasoning"`
	Text               jsonscan.Value `json:"text"`
	MaxOutputTokens    jsonscan.Value `json:"max_output_tokens"`
	Temperature        jsonscan.Value `json:"temperature"`
	TopP               jsonscan.Value `json:"top_p"`
	TopLogprobs        jsonscan.Value `json:"top_logprobs"`
	Stream             bool           `json:"stream"`
	Store              *bool          `json:"store"`
	Include            []string       `json:"include"`
	PreviousResponseID string         `json:"previous_response_id"`
	Conversation       jsonscan.Value `json:"conversation"`
	Prompt             jsonscan.Value `json:"prompt"`
	Background         bool           `json:"background"`
	Metadata           jsonscan.Value `json:"metadata"`
	User               jsonscan.Value `json:"user"`
	SafetyIdentifier   jsonscan.Value `json:"safety_identifier"`
	PromptCacheKey     jsonscan.Value `json:"prompt_cache_key"`
	ServiceTier        jsonscan.Value `json:"service_tier"`
	Truncation         jsonscan.Value `json:"truncation"`
	MaxToolCalls       jsonscan.Value `json:"max_tool_calls"`
	ExtraBody          jsonscan.Value `json:"extra_body"`
	Rest               jsonscan.Rest  `json:"-"`
}

// ToChat translates Responses requests into chat completions.
func ToChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req request
		if err := in.Value().Decode(&req); err != nil {
			return nil, dialect.Unreadable("Responses", err)
		}
		return translate(in, &req, options)
	}
}

func translate(in dialect.Request, req *request, options Options) (*dialect.Call, error) {
	if err := refuse(req); err != nil {
		return nil, err
	}
	if isCompaction(req.Input) {
		return compact(in, req, options)
	}
	c := &converter{store: options.Store, model: in.Model}
	tools, err := c.tools(req.Tools, req.ToolChoice)
	if err != nil {
		return nil, err
	}
	if err := c.instructions(req.Instructions); err != nil {
		return nil, err
	}
	history, err := previous(req, options.Store)
	if err != nil {
		return nil, err
	}
	fixed := len(c.messages)
	for _, raw := range history {
		c.messages = append(c.messages, jsonscan.Raw(raw))
	}
	if err := c.input(req.Input); err != nil {
		return nil, err
	}
	out := jsonscan.Obj(member("model", jsonscan.Quoted(in.Model)), member("messages", jsonscan.Arr(c.messages)))
	if len(tools) > 0 {
		choice, err := c.toolChoice(req.ToolChoice)
		if err != nil {
			return nil, err
		}
		out.Put("tools", jsonscan.Arr(tools))
		put(&out, "tool_choice", choice)
		put(&out, "parallel_tool_calls", req.ParallelToolCalls)
	}
	if c.pictures {
		out.Put("modalities", jsonscan.Lit(`["text","image"]`))
	}
	if c.search != nil {
		out.Put("web_search_options", c.search.Value())
	}
	if err := c.reasoning(req.Reasoning, &out); err != nil {
		return nil, err
	}
	if err := c.text(req.Text, &out); err != nil {
		return nil, err
	}
	put(&out, "max_completion_tokens", req.MaxOutputTokens)
	put(&out, "temperature", req.Temperature)
	put(&out, "top_p", req.TopP)
	if req.TopLogprobs.Set() && !req.TopLogprobs.Is("0") {
		out.Put("logprobs", jsonscan.Lit("true"))
		put(&out, "top_logprobs", req.TopLogprobs)
	}
	put(&out, "user", req.User)
	put(&out, "safety_identifier", req.SafetyIdentifier)
	put(&out, "prompt_cache_key", req.PromptCacheKey)
	put(&out, "service_tier", req.ServiceTier)
	put(&out, "extra_body", req.ExtraBody)
	if req.Stream {
		out.Put("stream", jsonscan.Lit("true"))
		out.Put("stream_options", jsonscan.Lit(`{"include_usage":true}`))
	}
	for _, f := range []jsonscan.Field{member("truncation", req.Truncation), member("max_tool_calls", req.MaxToolCalls)} {
		if f.Value.Set() && !f.Value.Is(`"disabled"`) {
			c.ignore(f.Name)
		}
	}
	c.ignoreRest(req)
	if len(c.messages) == 0 {
		return nil, dialect.Invalid("input", "input is empty")
	}
	call := &dialect.Call{
		Path: "/chat/completions", Stream: req.Stream, Ignored: c.ignored,
		Reply: &reply{
			options: options, req: req, tools: c.kinds, history: c.messages[fixed:], store: options.Store,
			encrypted: slices.Contains(req.Include, "reasoning.encrypted_content"),
			sources:   slices.Contains(req.Include, "web_search_call.action.sources"),
		},
	}
	call.SetChat(in, out)
	return call, nil
}

// ignoreRest notes the fields for which only OpenAI has an equivalent.
func (c *converter) ignoreRest(req *request) {
	for _, f := range req.Rest {
		if f.Value.Set() && f.Name != "stream_options" {
			c.ignore(f.Name)
		}
	}
	for _, what := range req.Include {
		if what != "reasoning.encrypted_content" && (c.search == nil || !strings.HasPrefix(what, "web_search_call.")) {
			c.ignore("include." + what)
		}
	}
}

// put sets a field that is passed on unchanged. null is left out.
func put(out *jsonscan.Value, name string, value jsonscan.Value) {
	if value.Set() {
		out.Put(name, value.Compact())
	}
}

// refuse returns an error for fields that need a provider's own Responses API.
func refuse(req *request) error {
	for _, f := range []jsonscan.Field{member("conversation", req.Conversation), member("prompt", req.Prompt)} {
		if name := f.Name; f.Value.Set() {
			return dialect.Invalid(name, name+" is stored by OpenAI and cannot be used with this provider")
		}
	}
	if req.Background {
		return dialect.Invalid("background", "background responses cannot be used with this provider")
	}
	return nil
}

// previous returns the turns that previous_response_id stands for.
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
		Message: fmt.Sprintf("previous response %q is unknown: this provider stores no responses, send the whole input", req.PreviousResponseID),
	}
}

// reasoning translates reasoning.effort. A summary is returned whenever the model
// shows its thinking.
func (c *converter) reasoning(v jsonscan.Value, out *jsonscan.Value) error {
	var r struct {
		Effort jsonscan.String `json:"effort"`
	}
	if v.Set() && v.Decode(&r) != nil {
		return dialect.Invalid("reasoning", "reasoning must be an object")
	}
	if r.Effort.Empty() {
		return nil
	}
	effort, known := dialect.Effort(r.Effort.Text())
	if !known {
		c.ignore("reasoning.effort")
	}
	if effort != "" {
		out.PutText("reasoning_effort", effort)
	}
	return nil
}

// text translates text.format and text.verbosity.
func (c *converter) text(v jsonscan.Value, out *jsonscan.Value) error {
	if !v.Set() {
		return nil
	}
	var t struct {
		Format    jsonscan.Value `json:"format"`
		Verbosity jsonscan.Value `json:"verbosity"`
	}
	if v.Decode(&t) != nil {
		return dialect.Invalid("text", "text must be an object")
	}
	if err := c.format(t.Format, out); err != nil {
		return err
	}
	put(out, "verbosity", t.Verbosity)
	return nil
}

func (c *converter) format(v jsonscan.Value, out *jsonscan.Value) error {
	if !v.Set() {
		return nil
	}
	var f struct {
		Type        string          `json:"type"`
		Name        jsonscan.String `json:"name"`
		Description jsonscan.String `json:"description"`
		Schema      jsonscan.Value  `json:"schema"`
		Strict      jsonscan.Value  `json:"strict"`
	}
	if v.Decode(&f) != nil {
		return dialect.Invalid("text.format", "text.format must be an object")
	}
	switch f.Type {
	case "text", "":
		return nil
	case "json_object":
		out.Put("response_format", jsonscan.Lit(`{"type":"json_object"}`))
		return nil
	case "json_schema":
		schema := jsonscan.Obj(member("name", orEmpty(f.Name)), filled("description", f.Description))
		schema.Put("schema", f.Schema.Compact())
		put(&schema, "strict", f.Strict)
		out.Put("response_format", jsonscan.Obj(member("type", jsonscan.Lit(`"json_schema"`)), member("json_schema", schema)))
		return nil
	}
	return dialect.Invalid("text.format.type", fmt.Sprintf("text.format.type %q cannot be used with this provider: use text, json_object or json_schema", f.Type))
}
