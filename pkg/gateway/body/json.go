package body

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Envelope has the members of a JSON body that the gateway bases its decisions on. They are
// read in one pass; nothing else is decoded.
type Envelope struct {
	// Model is the value of the last `model` member, which most decoders use; "" if there
	// is none or it is null.
	Model string
	// Stream is true if the last `stream` member is true.
	Stream bool
	// MaxOutput is the largest value among the members that limit the output tokens in the
	// OpenAI and Anthropic APIs; 0 if there is no valid one.
	MaxOutput int64
	// Ambiguous is true if several `model` members differ, or if a decoder that ignores
	// case would read another member as `model`.
	Ambiguous bool
	// StoredPrompt is true if `prompt` is an object: a reference to a prompt stored at
	// OpenAI, which also determines the model in the Responses API.
	StoredPrompt bool
	// SearchOptions is true if the last `web_search_options` is present and not null.
	SearchOptions bool
	// Holders are the members that may name further models, in order. Package policy checks
	// them against the scope of the token.
	Holders []Member
}

// Member is a member of a JSON body. Value shares the memory of the body.
type Member struct {
	Name  string
	Value []byte
}

// holders has the names of members that may name further models. They are lower case and
// without underscores, as the most lenient decoders of the providers read them.
var holders = map[string]bool{
	"model": true, "models": true, "fallbacks": true, "tools": true, "method": true, // OpenAI, Anthropic, OpenRouter
	"requests": true, "generatecontentrequest": true, // Gemini
}

// Body is a parsed JSON request body. It is immutable and safe for concurrent use. It
// shares the memory of the bytes that it was parsed from.
type Body struct {
	Envelope

	data       []byte
	models     []jsonscan.Span
	differ     bool          // there are several `model` members with different values
	options    jsonscan.Span // value of the last stream_options, if any
	hasOptions bool
	turns      jsonscan.Span // value of the last messages or input, if any
	usageAsked bool          // stream_options has include_usage
	members    int
	closing    int // index of the closing brace
}

// Parse reads the envelope of a JSON request body. The body must be a UTF-8 JSON object in
// which no other parser could find different members (see jsonscan.Skim). The values are
// not validated; their decoders do that. The error is fault.Invalid.
func Parse(data []byte) (*Body, error) {
	b := &Body{data: data}
	var last, stream jsonscan.Span
	closing, err := jsonscan.Skim(data, func(key []byte, v jsonscan.Span) error {
		b.members++
		switch string(key) {
		case "model":
			if len(b.models) > 0 && !bytes.Equal(last.Of(data), v.Of(data)) {
				b.differ, b.Ambiguous = true, true
			}
			b.models = append(b.models, v)
			last = v
		case "messages", "input":
			b.turns = v
			return nil
		case "contents", "system":
			return nil // with the members above, nearly the whole body; none of the members below
		case "stream":
			stream = v
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			if n, err := strconv.ParseInt(string(v.Of(data)), 10, 64); err == nil {
				b.MaxOutput = max(b.MaxOutput, n)
			}
		case "stream_options":
			b.options, b.hasOptions = v, true
		case "web_search_options":
			b.SearchOptions = data[v.Start] != 'n'
		case "prompt":
			b.StoredPrompt = data[v.Start] == '{'
		}
		if name, ok := holder(key); ok {
			b.Ambiguous = b.Ambiguous || name == "model" && string(key) != "model" && len(key) == len("model")
			b.Holders = append(b.Holders, Member{Name: string(key), Value: v.Of(data)})
		}
		return nil
	})
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the request body is not a JSON object in UTF-8", Param: "model", Err: err}
	}
	b.closing = closing
	b.Stream = string(stream.Of(data)) == "true"
	if b.hasOptions && data[b.options.Start] == '{' {
		_, b.usageAsked = jsonscan.Member(b.options.Of(data), "include_usage")
	}
	if len(b.models) > 0 && string(last.Of(data)) != "null" {
		model, ok := jsonscan.Text(last.Of(data))
		if !ok {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "model must be a string", Param: "model"}
		}
		b.Model = model
	}
	return b, nil
}

// holder returns the folded name of a member that may name a model.
func holder(key []byte) (string, bool) {
	if len(key) > 32 {
		return "", false
	}
	name := strings.ToLower(strings.ReplaceAll(string(key), "_", ""))
	return name, holders[name]
}

// Bytes returns the body as received. It must not be modified.
func (b *Body) Bytes() []byte { return b.data }
