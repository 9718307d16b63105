package anthropic

import "strings"

const hexDigits = "0123456789abcdef"

// idMark begins a rewritten tool id. Tool ids are [A-Za-z0-9_-]+ in Messages and
// anything in chat. Any other id is rewritten so that it can be restored without
// state: the mark, then each byte other than a letter, digit or '-' as '_' and two
// hexadecimal digits.
const idMark = "hlx_"

// safeID returns a valid id for the Messages API.
func safeID(id string) string {
	ok := id != "" && !strings.HasPrefix(id, idMark)
	for i := 0; ok && i < len(id); i++ {
		ok = plain(id[i]) || id[i] == '_'
	}
	if ok {
		return id
	}
	b := []byte(idMark)
	for i := 0; i < len(id); i++ {
		if plain(id[i]) {
			b = append(b, id[i])
		} else {
			b = append(b, '_', hexDigits[id[i]>>4], hexDigits[id[i]&15])
		}
	}
	return string(b)
}

// ownID reverses safeID.
func ownID(id string) string {
	rest, ok := strings.CutPrefix(id, idMark)
	if !ok {
		return id
	}
	b := make([]byte, 0, len(rest))
	for i := 0; i < len(rest); i++ {
		if rest[i] != '_' {
			b = append(b, rest[i])
			continue
		}
		if i+2 >= len(rest) {
			return id
		}
		high, low := strings.IndexByte(hexDigits, rest[i+1]), strings.IndexByte(hexDigits, rest[i+2])
		if high < 0 || low < 0 {
			return id
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	return string(b)
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

// thoughtMark separates a tool id from Gemini's thought signature, because a
// Messages client has no other place for it.
const thoughtMark = "__thought__"
