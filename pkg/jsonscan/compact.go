package jsonscan

import (
	"bytes"
	"encoding/json"
)

// AppendCompact appends a value without the white space between its tokens. raw
// must be valid JSON; from the first byte that is not, it is copied as far as
// possible.
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

// Compact is AppendCompact into new memory. It returns raw itself if there is no
// white space to drop.
func Compact(raw []byte) json.RawMessage {
	if bytes.IndexByte(raw, ' ') < 0 && bytes.IndexByte(raw, '\n') < 0 && !bytes.ContainsAny(raw, "\t\r") {
		return raw
	}
	return AppendCompact(make([]byte, 0, len(raw)), raw)
}

// AppendCompactQuoted appends a value, without the white space between its tokens,
// as the content of a JSON string: it turns an object into the arguments of a tool
// call.
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
