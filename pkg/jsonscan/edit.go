package jsonscan

import (
	"bytes"
	"slices"
)

// Edit replaces the bytes of a span with others. With no replacement, it deletes
// them.
type Edit struct {
	At   Span
	Text []byte
}

// Apply returns data with the edits applied, or data itself if there are none. The
// edits may come in any order, but must not overlap.
func Apply(data []byte, edits []Edit) []byte {
	if len(edits) == 0 {
		return data
	}
	slices.SortFunc(edits, func(x, y Edit) int { return x.At.Start - y.At.Start })
	size := len(data)
	for _, e := range edits {
		size += len(e.Text) - (e.At.End - e.At.Start)
	}
	out := make([]byte, 0, size)
	from := 0
	for _, e := range edits {
		out = append(append(out, data[from:e.At.Start]...), e.Text...)
		from = e.At.End
	}
	return append(out, data[from:]...)
}

// Cut returns the edits that remove elements, with their commas, from an array. all
// holds the spans of its elements in order.
func Cut(all []Span, cut func(i int) bool) (edits []Edit) {
	kept := -1
	for i, at := range all {
		switch {
		case !cut(i):
			kept = i
		case kept >= 0:
			edits = append(edits, Edit{At: Span{all[i-1].End, at.End}})
		case i+1 < len(all):
			edits = append(edits, Edit{At: Span{at.Start, all[i+1].Start}})
		default:
			edits = append(edits, Edit{At: at})
		}
	}
	return edits
}

// Spans returns the spans, within data, of the elements of the array at the span
// at. It returns nil if there is no array. It reads as Skim does.
func Spans(data []byte, at Span) (all []Span) {
	if at.End <= at.Start || data[at.Start] != '[' {
		return nil
	}
	err := SkimElements(at.Of(data), func(v Span) error {
		all = append(all, Span{at.Start + v.Start, at.Start + v.End})
		return nil
	})
	if err != nil {
		return nil
	}
	return all
}

// Fields returns the spans, within data, of the named members of the object at the
// span at: the last one of each name, and an empty span for a missing one. It reads
// as Skim does.
func Fields(data []byte, at Span, names ...string) []Span {
	found := make([]Span, len(names))
	if at.End <= at.Start || data[at.Start] != '{' {
		return found
	}
	Skim(at.Of(data), func(key []byte, v Span) error {
		if i := slices.Index(names, string(key)); i >= 0 {
			found[i] = Span{at.Start + v.Start, at.Start + v.End}
		}
		return nil
	})
	return found
}

// Opens reports whether text occurs in the first 64 bytes of an object: a cheap
// hint at what the object is.
func Opens(object []byte, text string) bool {
	const head = 64
	return bytes.Contains(object[:min(len(object), head)], []byte(text))
}
