package provider

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Body is what the gateway reads of a JSON request without decoding the rest.
type Body struct {
	// Model is the last `model` member's text, as common decoders have it; ""
	// where there is none or it is null.
	Model string
	// Stream is whether the last `stream` member is true.
	Stream bool
	// Odd is whether there is a member that case-insensitive decoders would take
	// for `model` though it is not called exactly so, or several that differ.
	Odd bool

	data    []byte
	models  []jsonscan.Span
	differ  bool
	options jsonscan.Span // the value of the last stream_options, if any
	asked   bool          // stream_options has include_usage
	streams jsonscan.Span
	prompt  bool
	members int
	closing int
}

// ReadBody reads a JSON request body. The error is fault.Invalid: it is no JSON
// object in UTF-8, or `model` is not a string.
func ReadBody(data []byte) (*Body, error) {
	if !utf8.Valid(data) {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the request body is not valid UTF-8"}
	}
	b := &Body{data: data}
	var last jsonscan.Span
	closing, err := jsonscan.Object(data, func(key []byte, v jsonscan.Span) error {
		b.members++
		switch string(key) {
		case "model":
			if len(b.models) > 0 && !bytes.Equal(last.Of(data), v.Of(data)) {
				b.differ, b.Odd = true, true
			}
			b.models = append(b.models, v)
			last = v
		case "stream":
			b.streams = v
		case "stream_options":
			b.options = v
		case "prompt":
			b.prompt = data[v.Start] == '{'
		default:
			if len(key) == len("model") && bytes.EqualFold(key, []byte("model")) {
				b.Odd = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the request body is not a JSON object", Param: "model", Err: err}
	}
	b.closing = closing
	b.Stream = string(b.streams.Of(data)) == "true"
	if b.options.End > 0 && data[b.options.Start] == '{' {
		_, b.asked = jsonscan.Member(b.options.Of(data), "include_usage")
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

// Data is the body's own bytes.
func (b *Body) Data() []byte { return b.data }

// HasPrompt is whether the body has a `prompt` object: a stored prompt, which
// stands for a model in OpenAI's responses.
func (b *Body) HasPrompt() bool { return b.prompt }

// AsksUsage is whether the caller itself said something of include_usage.
func (b *Body) AsksUsage() bool { return b.asked }

// Edit gives the bytes to send: the body's own (the same slice) where nothing
// changes, else a copy in which every `model` member is the given one and, with
// usage, stream_options asks for include_usage. All other bytes stay.
func (b *Body) Edit(model string, usage bool) []byte {
	type patch struct {
		at   jsonscan.Span
		text []byte
	}
	var patches []patch
	if len(b.models) > 0 && (b.differ || model != b.Model) {
		quoted := jsonscan.Quote(model)
		for _, at := range b.models {
			patches = append(patches, patch{at, quoted})
		}
	}
	if usage && !b.asked {
		switch {
		case b.options.End == 0:
			text := []byte(`,"stream_options":{"include_usage":true}`)
			if b.members == 0 {
				text = text[1:]
			}
			patches = append(patches, patch{jsonscan.Span{Start: b.closing, End: b.closing}, text})
		case b.data[b.options.Start] == '{':
			inner := b.options.Start + 1
			text := []byte(`"include_usage":true`)
			if bytes.TrimLeft(b.data[inner:], " \t\r\n")[0] != '}' {
				text = append(text, ',')
			}
			patches = append(patches, patch{jsonscan.Span{Start: inner, End: inner}, text})
		case string(b.options.Of(b.data)) == "null":
			patches = append(patches, patch{b.options, []byte(`{"include_usage":true}`)})
		}
	}
	if len(patches) == 0 {
		return b.data
	}
	slices.SortFunc(patches, func(x, y patch) int { return x.at.Start - y.at.Start })
	size := len(b.data)
	for _, p := range patches {
		size += len(p.text) - (p.at.End - p.at.Start)
	}
	out := make([]byte, 0, size)
	from := 0
	for _, p := range patches {
		out = append(append(out, b.data[from:p.at.Start]...), p.text...)
		from = p.at.End
	}
	return append(out, b.data[from:]...)
}

// AddsUsage is whether Edit with usage would change anything: then the chunk
// that answers it is not one that the caller asked for.
func (b *Body) AddsUsage() bool {
	if b.asked {
		return false
	}
	return b.options.End == 0 || b.data[b.options.Start] == '{' || string(b.options.Of(b.data)) == "null"
}
