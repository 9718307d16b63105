package body

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// WithModel gives the bytes to send to a provider: the body's own slice where
// nothing changes, else a copy in which every `model` member is the given one, with
// usage, stream_options asks for include_usage, and the edits are made, which are to
// places outside of both. All other bytes stay.
func (b *Body) WithModel(model string, usage bool, edits ...jsonscan.Edit) []byte {
	if len(b.models) > 0 && (b.differ || model != b.Model) {
		quoted := jsonscan.Quote(model)
		for _, at := range b.models {
			edits = append(edits, jsonscan.Edit{At: at, Text: quoted})
		}
	}
	if usage && !b.usageAsked {
		switch {
		case !b.hasOptions:
			text := []byte(`,"stream_options":{"include_usage":true}`)
			if b.members == 0 {
				text = text[1:]
			}
			edits = append(edits, jsonscan.Edit{At: jsonscan.Span{Start: b.closing, End: b.closing}, Text: text})
		case b.data[b.options.Start] == '{':
			inner := b.options.Start + 1
			text := []byte(`"include_usage":true`)
			if bytes.TrimLeft(b.data[inner:], " \t\r\n")[0] != '}' {
				text = append(text, ',')
			}
			edits = append(edits, jsonscan.Edit{At: jsonscan.Span{Start: inner, End: inner}, Text: text})
		case string(b.options.Of(b.data)) == "null":
			edits = append(edits, jsonscan.Edit{At: b.options, Text: []byte(`{"include_usage":true}`)})
		}
	}
	return jsonscan.Apply(b.data, edits)
}

// MarksCache is the edit that asks for the prompt cache at the top level of a body
// that says nothing of it; none of another.
func (b *Body) MarksCache() (edits []jsonscan.Edit) {
	if b.members == 0 || bytes.Contains(b.data, []byte(`"cache_control"`)) {
		return nil
	}
	return []jsonscan.Edit{{At: jsonscan.Span{Start: b.closing, End: b.closing}, Text: []byte(`,"cache_control":{"type":"ephemeral"}`)}}
}

// Turns is where the conversation is in the body: the value of its last `messages` or
// `input` member, empty where it has none.
func (b *Body) Turns() jsonscan.Span { return b.turns }

// AddsUsage reports whether WithModel adds include_usage: the chunk that answers it
// is then not the caller's.
func (b *Body) AddsUsage() bool {
	if b.usageAsked {
		return false
	}
	return !b.hasOptions || b.data[b.options.Start] == '{' || string(b.options.Of(b.data)) == "null"
}
