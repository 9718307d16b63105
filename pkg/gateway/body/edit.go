package body

import (
	"bytes"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// WithModel returns the bytes to send to a provider, with every `model` member replaced by
// model. If usage is set, include_usage is added to stream_options. The edits, which must
// not overlap these places, are applied too. All other bytes are unchanged; if nothing
// changes, the result is the body's own slice.
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

// MarksCache returns the edit that enables the prompt cache at the top level of the body.
// It returns nil for an empty body and for one that has a cache_control already.
func (b *Body) MarksCache() (edits []jsonscan.Edit) {
	if b.members == 0 || bytes.Contains(b.data, []byte(`"cache_control"`)) {
		return nil
	}
	return []jsonscan.Edit{{At: jsonscan.Span{Start: b.closing, End: b.closing}, Text: []byte(`,"cache_control":{"type":"ephemeral"}`)}}
}

// Turns returns the position of the conversation: the value of the last `messages` or
// `input` member. It is empty if there is none.
func (b *Body) Turns() jsonscan.Span { return b.turns }

// AddsUsage reports whether WithModel adds include_usage. If so, the usage chunk of the
// response must not be forwarded to the caller.
func (b *Body) AddsUsage() bool {
	if b.usageAsked {
		return false
	}
	return !b.hasOptions || b.data[b.options.Start] == '{' || string(b.options.Of(b.data)) == "null"
}
