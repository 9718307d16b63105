package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// request is the part of a Messages request that the translation reads.
type request struct {
	MaxTokens     *int64            `json:"max_tokens"`
	System        jsonscan.Value    `json:"system"`
	Messages      []inMessage       `json:"messages"`
	Tools         []inTool          `json:"tools"`
	ToolChoice    json.RawMessage   `json:"tool_choice"`
	StopSequences []jsonscan.String `json:"stop_sequences"`
	Temperature   json.RawMessage   `json:"temperature"`
	TopP          json.RawMessage   `json:"top_p"`
	Stream        bool              `json:"stream"`
	ServiceTier   string            `json:"service_tier"`
	Metadata      struct {
		UserID string `json:"user_id"`
	} `json:"metadata"`
	Thinking struct {
		Type   string `json:"type"`
		Budget int64  `json:"budget_tokens"`
	} `json:"thinking"`
	OutputConfig struct {
		Effort string          `json:"effort"`
		Format json.RawMessage `json:"format"`
	} `json:"output_config"`
	OutputFormat json.RawMessage `json:"output_format"` // from before it moved into output_config
	Servers      json.RawMessage `json:"mcp_servers"`

	Container    jsonscan.Value `json:"container"`
	InferenceGeo jsonscan.Value `json:"inference_geo"`
	Rest         jsonscan.Rest  `json:"-"`
}

// nothingLost are the top-level fields that need neither be read nor reported.
var nothingLost = []string{"model", "cache_control"}

// ToChat translates Messages requests into chat requests. Call.Path is
// "/chat/completions". Pings are sent by the gateway: see Ping.
func ToChat(options Options) dialect.Translator {
	options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req request
		if err := decode(in.Value(), &req, "Messages"); err != nil {
			return nil, err
		}
		t := &toChat{
			in: in, req: &req, options: options, messages: make([]jsonscan.Value, 0, len(req.Messages)+8),
			model: options.Models(in.Provider, in.Model, ModelByName(in.Model)),
			up:    options.Takes(in.Provider),
			long:  map[string]string{},
		}
		return t.call()
	}
}

// toChat is the state of the translation of one request.
type toChat struct {
	notes
	in      dialect.Request
	req     *request
	options Options
	model   Model
	up      openai.Facts

	messages []jsonscan.Value // of the chat request
	out      jsonscan.Value
	stops    []string
	long     map[string]string // original names of tools that are too long for chat, by their short names
	search   *dialect.WebSearch
}

func (t *toChat) call() (*dialect.Call, error) {
	if err := t.checkFields(); err != nil {
		return nil, err
	}
	t.out.PutText("model", t.in.Model)
	if err := t.readMessages(); err != nil {
		return nil, err
	}
	t.out.Put("messages", jsonscan.Arr(t.messages))
	for _, step := range []func() error{t.tools, t.limits, t.thinking, t.format} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	t.rest()
	if t.req.Stream {
		t.out.Put("stream", jsonscan.Lit("true"))
		t.out.Put("stream_options", jsonscan.Lit(`{"include_usage":true}`))
	}
	call := &dialect.Call{
		Path: "/chat/completions", Header: http.Header{"Content-Type": {"application/json"}},
		Stream: t.req.Stream, Ignored: t.names,
		Reply: &messageReply{
			options: t.options, model: t.in.Model, long: t.long, stops: t.stops, searching: t.search != nil,
			estimate: func() int { n, _ := EstimateTokens(t.in.JSON()); return n },
		},
	}
	call.SetChat(t.in, t.out)
	return call, nil
}

// checkFields returns an error for top-level fields that change the meaning of the
// request, and notes the ignored ones that do not.
func (t *toChat) checkFields() error {
	if t.req.InferenceGeo.Set() {
		return dialect.Invalid("inference_geo", "inference_geo is only offered by Anthropic and cannot be used with this provider")
	}
	if t.req.Container.Set() {
		t.ignore("container") // of Anthropic's code execution, in an earlier turn
	}
	t.ignoreRest(t.req.Rest, nothingLost)
	if servers := rawjson.Set(t.req.Servers); servers != nil && string(rawjson.Compact(servers)) != "[]" {
		return dialect.Invalid("mcp_servers", "mcp_servers are called by Anthropic and cannot be used with this provider")
	}
	return nil
}

func (t *toChat) limits() error {
	if n := t.req.MaxTokens; n != nil {
		most := *n
		if most < 1 {
			return dialect.Invalid("max_tokens", "max_tokens must be at least 1")
		}
		if t.model.MaxOutput > 0 {
			most = min(most, int64(t.model.MaxOutput)) // clients ask for what Claude supports
		}
		name := "max_tokens"
		if t.up.Takes(openai.MaxCompletionTokens) {
			name = "max_completion_tokens"
		}
		t.out.Put(name, jsonscan.Raw(strconv.AppendInt(nil, most, 10)))
	}
	for _, f := range []struct {
		name string
		raw  json.RawMessage
		high float64
	}{{"temperature", t.req.Temperature, 2}, {"top_p", t.req.TopP, math.Inf(1)}} {
		value, err := number(f.name, f.raw, math.Inf(-1), f.high)
		if err != nil {
			return err
		}
		switch {
		case value == nil:
		case !t.model.Sampling:
			if !isOne(value) {
				t.ignore(f.name)
			}
		case f.name == "top_p" && value[0] == '-':
			t.ignore(f.name) // -1 means the default
		default:
			t.out.Put(f.name, jsonscan.Raw(value))
		}
	}
	var stops []jsonscan.Value
	for _, s := range t.req.StopSequences {
		if !s.Empty() {
			stops = append(stops, jsonscan.Str(s))
		}
	}
	if stops != nil {
		for _, s := range stops {
			t.stops = append(t.stops, s.String().Text())
		}
		t.out.Put("stop", jsonscan.Arr(stops))
	}
	return nil
}

// thinking translates thinking and output_config.effort into reasoning_effort.
func (t *toChat) thinking() error {
	takes := dialect.EffortsOf(t.in.Provider, t.in.Model)
	effort, known := dialect.Effort(t.req.OutputConfig.Effort)
	if !known {
		t.ignore("output_config.effort")
	}
	switch t.req.Thinking.Type {
	case "enabled":
		if effort == "" {
			effort = effortOf(t.req.Thinking.Budget)
		}
	case "adaptive", "between_tools":
		if effort == "" {
			effort = "high" // Anthropic's default
		}
	case "disabled":
		if effort = ""; t.up.Takes(openai.ReasoningDetails) && t.model.Thinking {
			effort = "none"
		}
	case "":
	default:
		t.ignore("thinking.type")
	}
	switch {
	case effort == "":
		return nil
	case !t.model.Thinking && len(takes.Words()) == 0 && !t.ownDetails():
		if t.req.Thinking.Type != "" {
			t.ignore("thinking")
		} else {
			t.ignore("output_config.effort")
		}
		return nil
	case (effort == "xhigh" || effort == "max") && !t.up.All() && !t.ownDetails() && takes == "":
		t.ignore("output_config.effort") // others than the known ones have no such word
		effort = "high"
	}
	t.out.PutText("reasoning_effort", effort)
	return nil
}

// ownDetails reports whether the upstream accepts thinking in its own format, for
// any model.
func (t *toChat) ownDetails() bool { return t.up.Takes(openai.ReasoningDetails) && !t.up.All() }

// format translates structured output.
func (t *toChat) format() error {
	raw, name := rawjson.Set(t.req.OutputConfig.Format), "output_config.format"
	if raw == nil {
		raw, name = rawjson.Set(t.req.OutputFormat), "output_format"
	}
	if raw == nil {
		return nil
	}
	var f struct {
		Type   string          `json:"type"`
		Schema json.RawMessage `json:"schema"`
	}
	if jsonscan.Decode(raw, &f) != nil || f.Type != "json_schema" || !isObject(f.Schema) {
		return dialect.Invalid(name, name+" must be of type json_schema, with a schema")
	}
	answer := jsonscan.Obj(member("name", jsonscan.Lit(`"answer"`)), member("schema", jsonscan.Raw(f.Schema).Compact()))
	if strictable(f.Schema, 0) {
		answer.Put("strict", jsonscan.Lit("true"))
	}
	t.out.Put("response_format", jsonscan.Obj(member("type", jsonscan.Lit(`"json_schema"`)), member("json_schema", answer)))
	return nil
}

func (t *toChat) rest() {
	t.cacheKey()
	if id := t.req.Metadata.UserID; id != "" {
		switch {
		case !t.up.Takes(openai.User):
			t.ignore("metadata.user_id")
		case len(id) <= 64 || t.up.All():
			t.out.PutText("user", id)
		default:
			// OpenAI accepts 64 characters; a hash of that length identifies a user
			// as well.
			sum := sha256.Sum256([]byte(id))
			t.out.PutText("user", hex.EncodeToString(sum[:]))
		}
	}
	if t.req.ServiceTier == "standard_only" && t.up.Takes(openai.ServiceTier) {
		t.out.PutText("service_tier", "default")
	}
}
