package jsonscan

import (
	"bytes"
	"encoding/json"
)

// AppendCompact appends a value without the space between its tokens. raw is known
// to be JSON; what is not is copied as far as it can be.
func AppendCompact(b, raw []byte) []byte {
	if bytes.IndexByte(raw, ' ') < 0 && bytes.IndexByte(raw, '\n') < 0 && !bytes.ContainsAny(raw, "\t\r") {
		return append(b, raw...)
	}
	from := 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			end, err := skipString(raw, i)
			if err != nil {
				return append(b, raw[from:]...)
			}
			i = end
		case ' ', '\n', '\r', '\t':
			b = append(b, raw[from:i]...)
			i = skipSpace(raw, i)
			from = i
		default:
			i++
		}
	}
	return append(b, raw[from:]...)
}

// Compact is AppendCompact to new memory, or raw itself if there is no space to
// drop.
func Compact(raw []byte) json.RawMessage {
	if bytes.IndexByte(raw, ' ') < 0 && bytes.IndexByte(raw, '\n') < 0 && !bytes.ContainsAny(raw, "\t\r") {
		return raw
	}
	return AppendCompact(make([]byte, 0, len(raw)), raw)
}

// AppendCompactQuoted appends the text of a value, without the space between its
// tokens, as a JSON string: an object becomes the arguments of a tool call.
func AppendCompactQuoted(b, raw []byte) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			end, err := skipString(raw, i)
			if err != nil {
				end = len(raw)
			}
			b = AppendQuoteInner(append(b, raw[from:i]...), raw[i:end])
			i, from = end, end
		case ' ', '\n', '\r', '\t':
			b = append(b, raw[from:i]...)
			i = skipSpace(raw, i)
			from = i
		default:
			i++
		}
	}
	return append(append(b, raw[from:]...), '"')
}
