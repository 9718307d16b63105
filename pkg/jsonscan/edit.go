package jsonscan

import (
	"bytes"
	"slices"
)

// Edit replaces the bytes at a place by others: by none, it cuts them out.
type Edit struct {
	At   Span
	Text []byte
}

// Apply returns data with the edits made, which must not overlap, in any order:
// data itself if there are none.
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

// Cut returns the edits that cut elements out of an array, commas and all, each
// element being one of all in their order.
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

// Spans returns the places in data of the elements of the array at a place in it:
// nil if none is there. It reads as Skim does.
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

// Fields returns the places in data of the named members of the object at a place
// in it, the last one of each name; one that is not there is empty. It reads as
// Skim does.
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

// Opens reports whether a text stands at the beginning of an object, within 64 bytes:
// a cheap sign of what the object is.
func Opens(object []byte, text string) bool {
	const head = 64
	return bytes.Contains(object[:min(len(object), head)], []byte(text))
}
