package responses

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// UpstreamOptions configure FromChat. The zero value is usable.
type UpstreamOptions struct {
	Options // Store is not used
	// Summary asks for a summary of the reasoning, for clients that show it.
	Summary bool
	// Plain neither sends nor requests encrypted reasoning, because the provider
	// has refused it.
	Plain bool
	// Recall remembers reasoning by the tool call after it, for clients that only
	// send the call back. nil remembers nothing.
	Recall Recall
	// Skip reports whether a piece of encrypted reasoning should be left out
	// because the provider has refused it. nil leaves nothing out.
	Skip func(data string) bool
}

// Recall remembers a text for each tool call id. Implementations must be safe for
// concurrent use.
type Recall interface {
	Get(id string) string
	Put(id, text string)
}

// chatRequest is the part of a chat request that the translation reads.
type chatRequest struct {
	Messages            []chatMessage   `json:"messages"`
	Tools               []chatTool      `json:"tools"`
	ToolChoice          jsonscan.Value  `json:"tool_choice"`
	Functions           []chatFunction  `json:"functions"`
	FunctionCall        jsonscan.Value  `json:"function_call"`
	MaxCompletionTokens *int64          `json:"max_completion_tokens"`
	MaxTokens           *int64          `json:"max_tokens"`
	ReasoningEffort     jsonscan.String `json:"reasoning_effort"`
	ResponseFormat      jsonscan.Value  `json:"response_format"`
	Verbosity           jsonscan.Value  `json:"verbosity"`
	WebSearch           jsonscan.Value  `json:"web_search_options"`
	Logprobs            jsonscan.Value  `json:"logprobs"`
	TopLogprobs         jsonscan.Value  `json:"top_logprobs"`
	User                jsonscan.String `json:"user"`
	N                   *int64          `json:"n"`
	Audio               jsonscan.Value  `json:"audio"`
	Modalities          []string        `json:"modalities"`
	Stream              bool            `json:"stream"`
	StreamOptions       *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Rest jsonscan.Rest `json:"-"`
}

// passing are the members that mean the same in both APIs, and those of the
// Responses API that extra_body may contain.
var passing = []string{
	"temperature", "top_p", "parallel_tool_calls", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier", "metadata",
	"truncation", "max_tool_calls", "context_management",
}

// leastOutput is the smallest max_output_tokens that OpenAI accepts.
const leastOutput = 16

// maxUser is the maximum length of `user`, in bytes, that OpenAI accepts.
const maxUser = 64

// FromChat translates chat requests into requests to a provider's Responses API.
// The provider is asked to store nothing: reasoning is passed encrypted through the
// client's own field for thinking, as an element of reasoning_details of the
// intermediate form (openai.Encrypted). Call.Path is "/responses".
func FromChat(options UpstreamOptions) dialect.Translator {
	options.Options = options.withDefaults()
	return func(in dialect.Request) (*dialect.Call, error) {
		var req chatRequest
		if err := in.Value().Decode(&req); err != nil {
			return nil, dialect.Unreadable("chat completion", err)
		}
		t := &fromChat{in: in, req: &req, options: options}
		return t.call()
	}
}

// fromChat is the state of the translation of one request.
type fromChat struct {
	in      dialect.Request
	req     *chatRequest
	options UpstreamOptions

	ignored []string
	input   []jsonscan.Value
	out     jsonscan.Value
	include []jsonscan.Value
	legacy  bool // the client uses functions, not tools
}

func (t *fromChat) ignore(name string) { t.ignored = dialect.Ignore(t.ignored, name) }

func (t *fromChat) call() (*dialect.Call, error) {
	if err := t.refuse(); err != nil {
		return nil, err
	}
	for i := range t.req.Messages {
		if err := t.message(&t.req.Messages[i], "messages["+strconv.Itoa(i)+"]"); err != nil {
			return nil, err
		}
	}
	if len(t.input) == 0 {
		return nil, dialect.Invalid("messages", "messages must contain at least one message")
	}
	t.out = jsonscan.Obj(member("model", jsonscan.Quoted(t.in.Model)), member("input", jsonscan.Arr(t.input)))
	for _, step := range []func() error{t.tools, t.format} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	t.limits()
	t.reasoning()
	t.rest()
	if t.req.Stream {
		t.out.Put("stream", jsonscan.Lit("true"))
	}
	return &dialect.Call{
		Path: "/responses", Body: t.out.JSON(), Stream: t.req.Stream, Ignored: t.ignored,
		Reply: &chatReply{
			options: t.options, model: t.in.Model, provider: t.in.Provider, legacy: t.legacy,
			usage: t.req.StreamOptions != nil && t.req.StreamOptions.IncludeUsage,
		},
	}, nil
}

// refuse returns an error for what the Responses API cannot do.
func (t *fromChat) refuse() error {
	if t.req.N != nil && *t.req.N != 1 {
		return dialect.Invalid("n", "this model returns only one choice: n must be 1")
	}
	if t.req.Audio.Set() {
		return dialect.Invalid("audio", "this model does not support audio output")
	}
	for _, m := range t.req.Modalities {
		if m != "text" {
			return dialect.Invalid("modalities", fmt.Sprintf("this model returns only text: modalities cannot contain %q", m))
		}
	}
	return nil
}

func (t *fromChat) limits() {
	limit := t.req.MaxCompletionTokens
	name := "max_completion_tokens"
	if limit == nil {
		limit, name = t.req.MaxTokens, "max_tokens"
	}
	if limit == nil {
		return
	}
	if *limit < leastOutput {
		t.ignore(name)
	}
	t.out.Put("max_output_tokens", jsonscan.Raw(strconv.AppendInt(nil, max(*limit, leastOutput), 10)))
}

// reasoning requests the effort, and reasoning that can be sent back.
func (t *fromChat) reasoning() {
	t.out.Put("store", jsonscan.Lit("false"))
	if !openai.Reasons(t.in.Model) {
		return
	}
	reasoning := jsonscan.Obj()
	if !t.req.ReasoningEffort.Empty() {
		reasoning.Put("effort", jsonscan.Str(t.req.ReasoningEffort))
	}
	if t.options.Summary && t.req.ReasoningEffort.Text() != "none" {
		reasoning.Put("summary", jsonscan.Lit(`"auto"`))
	}
	for range reasoning.Members() {
		t.out.Put("reasoning", reasoning)
	}
	if !t.options.Plain {
		t.include = append(t.include, jsonscan.Lit(`"reasoning.encrypted_content"`))
	}
}

// rest copies the fields that are the same, and notes those that are left out.
func (t *fromChat) rest() {
	if user := t.req.User; !user.Empty() {
		if text := user.Text(); len(text) > maxUser {
			sum := sha256.Sum256([]byte(text)) // a hash of that length identifies a user as well
			t.out.PutText("user", hex.EncodeToString(sum[:]))
		} else {
			t.out.Put("user", jsonscan.Str(user))
		}
	}
	if t.req.Logprobs.Is("true") {
		t.include = append(t.include, jsonscan.Lit(`"message.output_text.logprobs"`))
		put(&t.out, "top_logprobs", t.req.TopLogprobs)
	}
	for _, f := range t.req.Rest {
		switch {
		case !f.Value.Set() || f.Name == "model":
		case slices.Contains(passing, f.Name):
			t.out.Put(f.Name, f.Value.Compact())
		case f.Name == "include": // from extra_body
			for _, e := range f.Value.Elements() {
				t.include = append(t.include, e)
			}
		case f.Name == "reasoning" || f.Name == "text": // from extra_body, which takes precedence
			for name, value := range f.Value.Members() {
				merged := t.out.Get(f.Name)
				merged.Put(name, value)
				t.out.Put(f.Name, merged)
			}
		case f.Name == "store" && f.Value.Is("false"):
		default:
			t.ignore(f.Name)
		}
	}
	if len(t.include) > 0 {
		t.out.Put("include", jsonscan.Arr(t.include))
	}
}

// format translates structured output and verbosity.
func (t *fromChat) format() error {
	text := jsonscan.Obj()
	if f := t.req.ResponseFormat; f.Set() {
		switch kind := f.Get("type").String().Text(); kind {
		case "text", "":
		case "json_object":
			text.Put("format", jsonscan.Lit(`{"type":"json_object"}`))
		case "json_schema":
			format := jsonscan.Obj(member("type", jsonscan.Lit(`"json_schema"`)))
			for name, value := range f.Get("json_schema").Members() {
				if value.Set() {
					format.Put(name, value.Compact())
				}
			}
			text.Put("format", format)
		default:
			return dialect.Invalid("response_format.type", fmt.Sprintf("response_format.type %q cannot be used with this model: use text, json_object or json_schema", kind))
		}
	}
	put(&text, "verbosity", t.req.Verbosity)
	for range text.Members() {
		t.out.Put("text", text)
	}
	return nil
}

// unreadableResponse returns the error for a body that is not a response.
func unreadableResponse(err error) error { return fmt.Errorf("read response: %w", err) }

// failed returns the code and message of a failed response.
func failed(raw jsonscan.Value) (code, message string) {
	if !raw.Set() {
		return "server_error", "the model failed without a reason"
	}
	return errorOf(raw.JSON())
}
