package body

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Envelope is what the gateway decides by: read in one pass over a JSON body, of
// which nothing else is decoded.
type Envelope struct {
	// Model is the text of the last `model` member, as common decoders read it; ""
	// where there is none or it is null.
	Model string
	// Stream is whether the last `stream` member is true.
	Stream bool
	// MaxOutput is the largest of the members that limit what is generated, as OpenAI's
	// and Anthropic's APIs have them; 0 where there is none, or no good one.
	MaxOutput int64
	// Ambiguous is whether a member that is not called exactly `model` would be taken
	// for it by a decoder that ignores case, or several `model` members differ.
	Ambiguous bool
	// StoredPrompt is whether `prompt` is an object: a prompt that OpenAI stores, which
	// stands for a model in its responses.
	StoredPrompt bool
	// SearchOptions is whether the last `web_search_options` is there and not null.
	SearchOptions bool
	// Holders are the members in which a request may name further models, in their
	// order: what package policy holds a token's scope against.
	Holders []Member
}

// Member is a member of a JSON body. Value shares the body's memory.
type Member struct {
	Name  string
	Value []byte
}

// holders are the names of members that may name a model besides the one that a
// request is routed by, lower case and without underscores, as the most lenient of
// the providers' decoders read them.
var holders = map[string]bool{
	"model": true, "models": true, "fallbacks": true, "tools": true, "method": true, // OpenAI, Anthropic, OpenRouter
	"requests": true, "generatecontentrequest": true, // Gemini
}

// Body is a JSON request body. It is parsed once, immutable, and safe for concurrent
// use; it shares the memory of the bytes that it was parsed from.
type Body struct {
	Envelope

	data       []byte
	models     []jsonscan.Span
	differ     bool          // several model members differ
	options    jsonscan.Span // the value of the last stream_options, if any
	hasOptions bool
	turns      jsonscan.Span // the value of the last messages or input, if any
	usageAsked bool          // stream_options has include_usage
	members    int
	closing    int // where the closing brace is
}

// Parse reads the envelope of a JSON request body. The body must be an object in
// UTF-8, and no other reader may find other members in it than are found here (see
// jsonscan.Skim); whether the values are good JSON is left to whoever decodes them.
// The error is fault.Invalid.
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
			return nil // with those above, nearly all of the body, and none of the below
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

// holder gives the folded name of a member that may name a model.
func holder(key []byte) (string, bool) {
	if len(key) > 32 {
		return "", false
	}
	name := strings.ToLower(strings.ReplaceAll(string(key), "_", ""))
	return name, holders[name]
}

// Bytes are the body as it came. They must not be changed.
func (b *Body) Bytes() []byte { return b.data }
