// Package rawjson takes JSON apart and assembles it again without decoding what is
// passed on: numbers keep their digits and members their order, and strings are
// escaped only where JSON requires it.
//
// It knows nothing about dialects; the translators share it. The scanning is done
// by package jsonscan. Callers that read untrusted bytes must check or decode them
// first: if a function requires valid JSON, its comment says so.
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

// Must is Marshal for values that can always be marshaled. It returns null for any
// other.
func Must(v any) json.RawMessage {
	b, err := Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

// Set returns nil for an absent or null value, and any other value unchanged.
func Set(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

// Text decodes a JSON string; ok is false if raw is something else.
func Text(raw json.RawMessage) (s string, ok bool) { return jsonscan.Text(raw) }

// IsString reports whether raw, which must be valid and have no leading space, is a
// string.
func IsString(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '"' }

// IsObject reports whether raw, which must be valid, is an object.
func IsObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// Compact removes the white space between tokens. It returns null if raw is not
// valid, and shares raw's memory if there is nothing to remove.
func Compact(raw json.RawMessage) json.RawMessage {
	if !json.Valid(raw) {
		return json.RawMessage("null")
	}
	return jsonscan.Compact(raw)
}

// Elements splits an array into its elements. ok is false if raw is not an array.
func Elements(raw json.RawMessage) (list []json.RawMessage, ok bool) {
	ok = jsonscan.KindOf(raw) == '[' && jsonscan.Decode(raw, &list) == nil
	return list, ok
}

// Array returns an array of values.
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

// Quote returns s as a JSON string, as AppendString writes it.
func Quote(s string) json.RawMessage { return AppendString(nil, s) }

// AppendString appends s as a JSON string. It escapes only what must be escaped, so
// that the text stays readable. Bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte { return jsonscan.AppendQuote(b, s) }
