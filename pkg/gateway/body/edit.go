package body

import (
	"bytes"
	"slices"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// WithModel gives the bytes to send to a provider: the body's own slice where
// nothing changes, else a copy in which every `model` member is the given one and,
// with usage, stream_options asks for include_usage. All other bytes stay.
func (b *Body) WithModel(model string, usage bool) []byte {
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
	if usage && !b.usageAsked {
		switch {
		case !b.hasOptions:
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

// AddsUsage reports whether WithModel adds include_usage: the chunk that answers it
// is then not the caller's.
func (b *Body) AddsUsage() bool {
	if b.usageAsked {
		return false
	}
	return !b.hasOptions || b.data[b.options.Start] == '{' || string(b.options.Of(b.data)) == "null"
}
