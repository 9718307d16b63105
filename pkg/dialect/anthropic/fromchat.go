package anthropic

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// version is the API version that this package implements.
const version = "2023-06-01"

// filesBeta is the beta that Anthropic requires if a file id is used.
const filesBeta = "files-api-2025-04-14"

// chatRequest is the part of a chat request that the translation reads.
type chatRequest struct {
	Messages            []chatMessage   `json:"messages"`
	Tools               []chatTool      `json:"tools"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	Functions           []chatFunction  `json:"functions"`
	FunctionCall        json.RawMessage `json:"function_call"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
	MaxCompletionTokens *int64          `json:"max_completion_tokens"`
	MaxTokens           *int64          `json:"max_tokens"`
	Temperature         json.RawMessage `json:"temperature"`
	TopP                json.RawMessage `json:"top_p"`
	TopK                json.RawMessage `json:"top_k"`
	Stop                json.RawMessage `json:"stop"`
	ResponseFormat      json.RawMessage `json:"response_format"`
	ReasoningEffort     *string         `json:"reasoning_effort"`
	Thinking            json.RawMessage `json:"thinking"`
	SafetyIdentifier    *string         `json:"safety_identifier"`
	User                *string         `json:"user"`
	ServiceTier         *string         `json:"service_tier"`
	N                   *int64          `json:"n"`
	Modalities          []string        `json:"modalities"`
	Stream              bool            `json:"stream"`
	StreamOptions       *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	ExtraBody struct {
		Rest jsonscan.Rest `json:"-"` // provider-specific fields
	} `json:"extra_body"`

	Cache     jsonscan.Value `json:"cache_control"`
	Audio     jsonscan.Value `json:"audio"`
	WebSearch jsonscan.Value `json:"web_search_options"`
	Rest      jsonscan.Rest  `json:"-"`
}

// FromChat translates chat requests into Messages requests. Call.Path is
// "/messages", relative to a base URL that ends in its version (…/v1).
func FromChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req chatRequest
		if err := decode(in.Value(), &req, "chat completion"); err != nil {
			return nil, err
		}
		t := &fromChat{in: in, req: &req, options: options, model: options.Models(in.Provider, in.Model, ModelByName(in.Model))}
		return t.call()
	}
}

// fromChat is the state of the translation of one request.
type fromChat struct {
	notes
	in      dialect.Request
	req     *chatRequest
	options Options
	model   Model

	system  []jsonscan.Value
	turns   []turn
	files   bool // a file id is used
	fetches bool // the model may read pages by URL

	mustSearch bool // the client requires a search of the web

	inResult    bool           // a tool's result is being read
	resultCache jsonscan.Value // its mark for the prompt cache

	out       []jsonscan.Field
	tools     []jsonscan.Value
	toolNames []string
	choice    string // type of tool_choice: "", auto, any, tool or none
	hidden    string // the tool that stands for a response format
	legacy    bool   // the client uses functions, not tools
	maxTokens int64
}

func (t *fromChat) call() (*dialect.Call, error) {
	for _, step := range []func() error{t.checkFields, t.readMessages, t.toolsAndChoice, t.format, t.limits, t.rest} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	body, err := t.body()
	if err != nil {
		return nil, err
	}
	header := http.Header{"Anthropic-Version": {version}, "Content-Type": {"application/json"}}
	if betas := t.betas(); len(betas) > 0 {
		header["Anthropic-Beta"] = []string{strings.Join(betas, ",")}
	}
	stream := t.req.Stream
	return &dialect.Call{
		Path: "/messages", Header: header, Body: body, Stream: stream, Ignored: t.names,
		Reply: &chatReply{
			options: t.options, model: t.in.Model, hidden: t.hidden, legacy: t.legacy,
			usage: t.req.StreamOptions != nil && t.req.StreamOptions.IncludeUsage,
		},
	}, nil
}

// betas returns the client's betas and those that the request needs.
func (t *fromChat) betas() []string {
	betas := slices.Clone(t.in.Header.Values("Anthropic-Beta"))
	for _, needed := range [...]struct {
		is   bool
		beta string
	}{{t.files, filesBeta}, {t.fetches, fetchBeta}} {
		if needed.is && !strings.Contains(strings.Join(betas, ","), needed.beta) {
			betas = append(betas, needed.beta)
		}
	}
	return betas
}

// checkFields returns an error for fields that change the meaning of the request,
// and notes the ignored ones that do not.
func (t *fromChat) checkFields() error {
	if t.req.Audio.Set() {
		return dialect.Invalid("audio", "this provider does not support audio output")
	}
	except := []string{"model"}
	for _, f := range t.req.Rest {
		if f.Value.Is("false") && (f.Name == "store" || f.Name == "logprobs") {
			except = append(except, f.Name) // the same without the field
		}
	}
	t.ignoreRest(t.req.Rest, except)
	if t.req.N != nil && *t.req.N != 1 {
		return dialect.Invalid("n", "this provider returns only one choice: n must be 1")
	}
	for _, m := range t.req.Modalities {
		if m != "text" {
			return dialect.Invalid("modalities", fmt.Sprintf("this provider returns only text: modalities cannot contain %q", m))
		}
	}
	return nil
}

// limits sets max_tokens, thinking and the sampling parameters, which depend on
// each other.
func (t *fromChat) limits() error {
	for _, limit := range []struct {
		name  string
		value *int64
	}{{"max_completion_tokens", t.req.MaxCompletionTokens}, {"max_tokens", t.req.MaxTokens}} {
		if limit.value != nil && *limit.value < 1 {
			return dialect.Invalid(limit.name, limit.name+" must be at least 1")
		}
	}
	switch {
	case t.req.MaxCompletionTokens != nil:
		t.maxTokens = *t.req.MaxCompletionTokens
	case t.req.MaxTokens != nil:
		t.maxTokens = *t.req.MaxTokens
	case t.model.MaxOutput > 0:
		t.maxTokens = int64(t.model.MaxOutput)
	default:
		t.maxTokens = 8192
	}
	if most := int64(t.model.MaxOutput); most > 0 {
		t.maxTokens = min(t.maxTokens, most)
	}
	thinks, err := t.thinking()
	if err != nil {
		return err
	}
	return t.sampling(thinks)
}

func (t *fromChat) sampling(thinks bool) error {
	temperature, err := number("temperature", t.req.Temperature, 0, 2)
	if err != nil {
		return err
	}
	topP, err := number("top_p", t.req.TopP, 0, 1)
	if err != nil {
		return err
	}
	topK := rawjson.Set(t.req.TopK)
	if topK != nil {
		if _, err := number("top_k", topK, 0, math.MaxInt32); err != nil {
			return err
		}
	}
	if !t.model.Sampling || thinks {
		for _, f := range []struct {
			name  string
			value json.RawMessage
		}{{"temperature", temperature}, {"top_p", topP}, {"top_k", topK}} {
			if f.value != nil {
				t.ignore(f.name)
			}
		}
		return nil
	}
	if temperature != nil && topP != nil && t.model.OneSampler {
		if isOne(temperature) && !isOne(topP) {
			temperature = nil
			t.ignore("temperature")
		} else {
			topP = nil
			t.ignore("top_p")
		}
	}
	if f, _ := strconv.ParseFloat(string(temperature), 64); f > 1 {
		temperature = json.RawMessage("1") // Anthropic's maximum
		t.ignore("temperature")
	}
	t.put("temperature", jsonscan.Raw(temperature))
	t.put("top_p", jsonscan.Raw(topP))
	t.put("top_k", jsonscan.Raw(topK))
	return nil
}

// put adds a field to the request, after its turns and tools.
func (t *fromChat) put(name string, value jsonscan.Value) {
	t.out = append(t.out, member(name, value))
}

func isOne(raw json.RawMessage) bool {
	f, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && f == 1
}

// number validates a number and returns it with its original digits.
func number(name string, raw json.RawMessage, low, high float64) (json.RawMessage, error) {
	if raw = rawjson.Set(raw); raw == nil {
		return nil, nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < low || f > high {
		return nil, dialect.Invalid(name, fmt.Sprintf("%s must be a number from %v to %v", name, low, high))
	}
	return raw, nil
}

// rest copies the fields that depend on no others.
func (t *fromChat) rest() error {
	if raw := rawjson.Set(t.req.Stop); raw != nil {
		var list []string
		var one string
		if jsonscan.Decode(raw, &one) == nil {
			list = []string{one}
		} else if jsonscan.Decode(raw, &list) != nil {
			return dialect.Invalid("stop", "stop must be a string or a list of strings")
		}
		var kept []jsonscan.Value
		for _, s := range list {
			if blank(s) {
				if s != "" {
					t.ignore("stop") // Anthropic refuses stop sequences of white space
				}
				continue
			}
			kept = append(kept, text(s))
		}
		if kept != nil {
			t.put("stop_sequences", jsonscan.Arr(kept))
		}
	}
	id, name := t.req.SafetyIdentifier, "safety_identifier"
	if id == nil {
		id, name = t.req.User, "user"
	} else if t.req.User != nil {
		t.ignore("user")
	}
	if id != nil && *id != "" {
		if len(*id) > 256 {
			t.ignore(name)
		} else {
			t.put("metadata", jsonscan.Obj(member("user_id", text(*id))))
		}
	}
	if tier := t.req.ServiceTier; tier != nil {
		switch *tier {
		case "default":
			t.put("service_tier", text("standard_only"))
		case "auto", "":
		default:
			t.ignore("service_tier")
		}
	}
	return nil
}

// body assembles the request.
func (t *fromChat) body() (json.RawMessage, error) {
	if len(t.turns) == 0 {
		// Messages requires a user turn; a chat may consist of instructions only.
		if len(t.system) == 0 {
			return nil, dialect.Invalid("messages", "messages must contain at least one message with content")
		}
		t.turns, t.system = []turn{{role: "user", blocks: t.system}}, nil
	}
	o := jsonscan.Obj(member("model", text(t.in.Model)), member("max_tokens", jsonscan.Raw(strconv.AppendInt(nil, t.maxTokens, 10))))
	if len(t.system) > 0 {
		o.Put("system", jsonscan.Arr(t.system))
	}
	turns := make([]jsonscan.Value, len(t.turns))
	for i, turn := range t.turns {
		turns[i] = jsonscan.Obj(member("role", text(turn.role)), member("content", jsonscan.Arr(append(turn.results, turn.blocks...))))
	}
	o.Put("messages", jsonscan.Arr(turns))
	if len(t.tools) > 0 {
		o.Put("tools", jsonscan.Arr(t.tools))
	}
	for _, m := range t.out {
		o.Put(m.Name, m.Value)
	}
	if t.req.Stream {
		o.Put("stream", jsonscan.Lit("true"))
	}
	if t.req.Cache.Set() {
		o.Put("cache_control", t.req.Cache.Compact())
	}
	if err := t.extra(&o); err != nil {
		return nil, err
	}
	t.markCache(&o)
	return o.JSON(), nil
}

// extra merges the members of extra_body for this provider, which take precedence.
func (t *fromChat) extra(o *jsonscan.Value) error {
	for _, name := range []string{"anthropic", t.in.Provider} {
		var fields jsonscan.Value
		for _, f := range t.req.ExtraBody.Rest {
			if f.Name == name {
				fields = f.Value
			}
		}
		if !fields.Set() {
			continue
		}
		if fields.Kind() != '{' {
			return dialect.Invalid("extra_body."+name, "extra_body."+name+" must be an object")
		}
		for field, value := range fields.Members() {
			if field == "model" || field == "messages" || field == "stream" {
				return dialect.Invalid("extra_body."+name+"."+field, field+" cannot be set by extra_body")
			}
			o.Put(field, value)
		}
		if t.in.Provider == name {
			break
		}
	}
	var names []string
	for _, f := range t.req.ExtraBody.Rest {
		if f.Name != "anthropic" && f.Name != t.in.Provider {
			names = append(names, "extra_body."+f.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		t.ignore(name)
	}
	return nil
}

// turn is one turn of the conversation.
type turn struct {
	role    string
	results []jsonscan.Value // tool_result blocks, which must come first
	blocks  []jsonscan.Value
}

// add appends blocks to the conversation. It merges adjacent turns of the same
// role.
func (t *fromChat) add(role string, results, blocks []jsonscan.Value) {
	if len(results) == 0 && len(blocks) == 0 {
		return
	}
	if n := len(t.turns); n > 0 && t.turns[n-1].role == role {
		last := &t.turns[n-1]
		last.results, last.blocks = append(last.results, results...), append(last.blocks, blocks...)
		return
	}
	t.turns = append(t.turns, turn{role, results, blocks})
}

// setCache sets cache_control in the last of the blocks.
func setCache(blocks []jsonscan.Value, cache jsonscan.Value) {
	if n := len(blocks); cache.Set() && n > 0 && blocks[n-1].Get("cache_control").Absent() {
		blocks[n-1].Put("cache_control", cache.Compact())
	}
}
