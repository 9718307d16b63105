// Package rawjson takes JSON apart and puts it together again without decoding
// what it passes on: numbers keep their digits, members their order, and strings
// are escaped no more than JSON asks for.
//
// It knows nothing of any dialect; the translators share it. The scanning is
// jsonscan's. Whoever parses a stranger's bytes checks or decodes them first: where
// a function wants valid JSON, its comment says so.
package rawjson

import (
	"bytes"
	"encoding/json"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Marshal is json.Marshal without the escaping of <, > and &.
func Marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Must is Marshal for values that always marshal; null stands for any other.
func Must(v any) json.RawMessage {
	b, err := Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

// Set returns nil for an absent or null value, and any other as it is.
func Set(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

// Text decodes a JSON string; ok is false if raw is something else.
func Text(raw json.RawMessage) (s string, ok bool) { return jsonscan.Text(raw) }

// IsString reports whether raw, which is valid and has no space before it, is a
// string.
func IsString(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '"' }

// IsObject reports whether raw, which is valid, is an object.
func IsObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// Compact drops the space between JSON's tokens. It gives null where raw is not
// valid, and shares raw's memory where there is nothing to drop.
func Compact(raw json.RawMessage) json.RawMessage {
	if !json.Valid(raw) {
		return json.RawMessage("null")
	}
	return jsonscan.Compact(raw)
}

// Elements takes an array apart; ok is false if raw is not one.
func Elements(raw json.RawMessage) (list []json.RawMessage, ok bool) {
	ok = jsonscan.KindOf(raw) == '[' && jsonscan.Decode(raw, &list) == nil
	return list, ok
}

// Array puts values together to an array.
func Array(list []json.RawMessage) json.RawMessage {
	n := 2
	for _, e := range list {
		n += len(e) + 1
	}
	b := append(make([]byte, 0, n), '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
	}
	return append(b, ']')
}

// Quote returns s as a JSON string: see AppendString.
func Quote(s string) json.RawMessage { return AppendString(nil, s) }

// AppendString appends s as a JSON string. Only what must be escaped is, so that
// text stays readable; bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte { return jsonscan.AppendQuote(b, s) }
