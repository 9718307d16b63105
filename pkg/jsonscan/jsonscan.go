// Package jsonscan reads JSON without decoding it: values are found as spans of the
// original bytes, and text that is passed on keeps its escapes.
//
// It owns the grammar (RFC 8259) and knows nothing about the meaning of a value.
// Every function is strict: anything that is not valid JSON is rejected, so that a
// lenient parser further on cannot see another value than the one that was read
// here. Values nest at most MaxDepth deep, and every function is safe on any bytes.
//
// Usage:
//
//   - Check reports whether bytes are one JSON value in valid UTF-8. All other
//     functions accept any bytes of 0x80 and above within strings, because Check
//     has already established that the text is UTF-8; Unquote and Text replace
//     invalid ones with U+FFFD.
//   - Object visits the members of an object with their spans, in one pass.
//   - Members and Elements iterate over an object or an array whose syntax has
//     already been checked; on bytes that are not JSON they end early.
//   - Decode fills a struct in one pass. Fields of type json.RawMessage and String
//     are spans of the original bytes: nothing is copied.
//   - Value is JSON that is passed on or assembled from spans, and written once.
//   - Unquote and Text read a string, Quote and AppendQuote write one. AppendString
//     and AppendInner copy a string from one JSON text to another without decoding
//     it; AppendCompact does so with any value.
//
// An object may repeat a name. Members, Object and Count see each member; Member
// and Decode take the last one, as common decoders do.
package jsonscan

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
)

// MaxDepth is how deep values may nest.
const MaxDepth = 1024

// ErrNotObject is the error for a text that is not a JSON object, or not JSON at
// all.
var ErrNotObject = errors.New("not a JSON object")

// SyntaxError reports where a text stops being valid JSON.
type SyntaxError struct {
	Offset int    // in bytes from the start of the text
	Reason string // "" for a plain syntax error
}

func (e *SyntaxError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset)
	}
	return fmt.Sprintf("syntax error at byte %d", e.Offset)
}

// Span is the position of a JSON value in a text: [Start, End).
type Span struct{ Start, End int }

// Of returns the bytes that the span covers. They share data's memory.
func (s Span) Of(data []byte) []byte { return data[s.Start:s.End] }

// Check returns nil if data is exactly one JSON value in valid UTF-8, and otherwise
// an error that says why it is not.
func Check(data []byte) error {
	if !utf8.Valid(data) {
		return &SyntaxError{Offset: invalidUTF8(data), Reason: "invalid UTF-8"}
	}
	end, err := skipValue(data, skipSpace(data, 0), 0)
	if err != nil {
		return err
	}
	if end = skipSpace(data, end); end != len(data) {
		return &SyntaxError{Offset: end}
	}
	return nil
}

// Valid reports whether data is exactly one JSON value in valid UTF-8.
func Valid(data []byte) bool { return Check(data) == nil }

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(data)
}

// Object visits the members of the JSON object in data, in order and in one pass.
// key is the member's decoded name and is only valid during the call. Object
// returns the position of the closing brace. The error wraps ErrNotObject, and a
// *SyntaxError if data begins as an object, or it is the error that visit returned.
// Members before a syntax error have been visited by then.
func Object(data []byte, visit func(key []byte, value Span) error) (closing int, err error) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' {
		return 0, ErrNotObject
	}
	for m := range membersAt(data, i, 0, &closing, &err) {
		if verr := visit(m.name, m.value); verr != nil {
			return 0, verr
		}
	}
	if err == nil {
		if rest := skipSpace(data, closing+1); rest != len(data) {
			err = &SyntaxError{Offset: rest}
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotObject, err)
	}
	return closing, nil
}

type member struct {
	name  []byte
	value Span
}

// membersAt iterates over the members of the object that opens at data[i], with
// depth values around it. After the last member, it sets closing to the position of
// the brace, or err to the reason why there is none.
func membersAt(data []byte, i, depth int, closing *int, err *error) iter.Seq[member] {
	return func(yield func(member) bool) {
		if depth >= MaxDepth {
			*err = errDepth(i)
			return
		}
		i = skipSpace(data, i+1)
		if i < len(data) && data[i] == '}' {
			*closing = i
			return
		}
		for {
			if i >= len(data) || data[i] != '"' {
				*err = &SyntaxError{Offset: i}
				return
			}
			end, e := skipString(data, i)
			if e != nil {
				*err = e
				return
			}
			name, _ := Unquote(data[i:end])
			if i = skipSpace(data, end); i >= len(data) || data[i] != ':' {
				*err = &SyntaxError{Offset: i}
				return
			}
			i = skipSpace(data, i+1)
			if end, e = skipValue(data, i, depth+1); e != nil {
				*err = e
				return
			}
			if !yield(member{name, Span{i, end}}) {
				return
			}
			switch i = skipSpace(data, end); {
			case i < len(data) && data[i] == ',':
				i = skipSpace(data, i+1)
			case i < len(data) && data[i] == '}':
				*closing = i
				return
			default:
				*err = &SyntaxError{Offset: i}
				return
			}
		}
	}
}

// Members iterates over the members of an object in order. The values share raw's
// memory. It yields nothing if raw is not an object.
func Members(raw []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		i := skipSpace(raw, 0)
		if i >= len(raw) || raw[i] != '{' {
			return
		}
		var closing int
		var err error
		for m := range membersAt(raw, i, 0, &closing, &err) {
			if !yield(m.name, m.value.Of(raw)) {
				return
			}
		}
	}
}

// Elements iterates over the elements of an array with their indexes. The values
// share raw's memory. It yields nothing if raw is not an array.
func Elements(raw []byte) iter.Seq2[int, json.RawMessage] {
	return func(yield func(int, json.RawMessage) bool) {
		i := skipSpace(raw, 0)
		if i >= len(raw) || raw[i] != '[' {
			return
		}
		i = skipSpace(raw, i+1)
		for n := 0; i < len(raw) && (n > 0 || raw[i] != ']'); n++ {
			end, err := skipValue(raw, i, 1)
			if err != nil || !yield(n, raw[i:end]) {
				return
			}
			if i = skipSpace(raw, end); i >= len(raw) || raw[i] != ',' {
				return
			}
			i = skipSpace(raw, i+1)
		}
	}
}

// Member finds a member of the JSON object in data. If the name occurs more than
// once, it finds the last one, as common decoders do. ok is false if there is none,
// or if data is not an object.
func Member(data []byte, name string) (value Span, ok bool) {
	_, err := Object(data, func(key []byte, v Span) error {
		if string(key) == name {
			value, ok = v, true
		}
		return nil
	})
	return value, ok && err == nil
}

// Kind is the kind of a JSON value: '{', '[', '"', 't' (true), 'f' (false), 'n'
// (null), '0' (a number), or 0 if raw holds none.
type Kind byte

// KindOf returns the kind of the value at the beginning of raw, judged by its first
// byte.
func KindOf(raw []byte) Kind {
	i := skipSpace(raw, 0)
	if i >= len(raw) {
		return 0
	}
	switch c := raw[i]; {
	case c == '{', c == '[', c == '"', c == 't', c == 'f', c == 'n':
		return Kind(c)
	case c == '-', c >= '0' && c <= '9':
		return '0'
	}
	return 0
}

// String names the kind as encoding/json does in its errors.
func (k Kind) String() string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	case '0':
		return "number"
	}
	return "nothing"
}
