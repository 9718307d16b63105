package redact

import (
	"bytes"
)

// pattern is one key, prepared for the search. Text without the key is scanned at
// the speed of bytes.IndexByte: the search looks for the key's rarest character,
// and at escapes for those that encode one of its characters.
type pattern struct {
	key    string
	rare   byte      // the character of key that is rarest in ordinary text
	rareAt int       // its first index in key
	set    [4]uint64 // a bit for each character of key
}

// rarity ranks characters by how rarely they occur in JSON, code and prose.
// Characters that are not listed rank as rarer than all listed ones.
var rarity = func() (ranks [256]byte) {
	const common = `etaoinsrhldcum-pfg_."y,:/w0b1v2k{}[]()=36485S7TCAEIRNPODLMFBGUHx9qjz+WVYKJXQZ`
	for i := range ranks {
		ranks[i] = byte(len(common))
	}
	for i := range len(common) {
		ranks[common[i]] = byte(i)
	}
	return ranks
}()

func newPattern(key string) *pattern {
	p := &pattern{key: key, rare: key[0]}
	for i := range len(key) {
		c := key[i]
		p.set[c>>6] |= 1 << (c & 63)
		if rarity[c] > rarity[p.rare] {
			p.rare, p.rareAt = c, i
		}
	}
	return p
}

// has reports whether c is a character of the key.
func (p *pattern) has(c byte) bool { return p.set[c>>6]&(1<<(c&63)) != 0 }

// search iterates over the occurrences of a pattern in data. It looks at each byte
// a constant number of times.
type search struct {
	p          *pattern
	data       []byte
	start, end int

	plain                   int // the next occurrence without an escape; len(data) if there is none
	escaped, escapedEnd     int // the next occurrence with an escape
	plainKnown, escapeKnown bool
}

func (p *pattern) search(data []byte) search { return search{p: p, data: data} }

// next advances to the next occurrence, data[start:end].
func (s *search) next() bool {
	from := s.end
	if !s.plainKnown || s.plain < from {
		s.plain, s.plainKnown = s.p.index(s.data, from), true
	}
	if !s.escapeKnown || s.escaped < from {
		s.escaped, s.escapedEnd = s.p.indexEscaped(s.data, from)
		s.escapeKnown = true
	}
	switch {
	case s.plain == len(s.data) && s.escaped == len(s.data):
		return false
	case s.plain <= s.escaped:
		s.start, s.end = s.plain, s.plain+len(s.p.key)
	default:
		s.start, s.end = s.escaped, s.escapedEnd
	}
	return true
}

// index finds the key, unescaped, in data[from:]. It returns len(data) if the key
// does not occur.
func (p *pattern) index(data []byte, from int) int {
	for at := from + p.rareAt; at < len(data); at++ {
		i := bytes.IndexByte(data[at:], p.rare)
		if i < 0 {
			break
		}
		at += i
		if start := at - p.rareAt; len(data)-start >= len(p.key) && string(data[start:start+len(p.key)]) == p.key {
			return start
		}
	}
	return len(data)
}

// indexEscaped finds the first occurrence in data[from:] that has at least one
// character escaped. Both results are len(data) if there is none. data[from] must
// not be in the middle of an escape.
func (p *pattern) indexEscaped(data []byte, from int) (start, end int) {
	for at := from; at+1 < len(data); {
		i := bytes.IndexByte(data[at:len(data)-1], '\\')
		if i < 0 {
			break
		}
		at += i
		c, size := unescape(data[at:])
		if size == 0 {
			break
		}
		if c != 0 && p.has(c) {
			for k := range len(p.key) { // index in key of the character that the escape may be
				if p.key[k] != c || k > at-from || string(data[at-k:at]) != p.key[:k] {
					continue
				}
				if n, ok, _ := p.spelled(data[at:], k); ok {
					return at - k, at + n
				}
			}
		}
		at += size
	}
	return len(data), len(data)
}

// backslashes counts the backslashes right before data[at].
func backslashes(data []byte, at int) int {
	n := 0
	for n < at && data[at-n-1] == '\\' {
		n++
	}
	return n
}

// spelled matches the beginning of data with the key from its k-th character on. n
// is the number of bytes matched. open reports that data ends before the key does.
func (p *pattern) spelled(data []byte, k int) (n int, ok, open bool) {
	for ; k < len(p.key); k++ {
		if n == len(data) {
			return n, false, true
		}
		c, size := data[n], 1
		if c == '\\' {
			if c, size = unescape(data[n:]); size == 0 {
				return n, false, true
			}
		}
		if c != p.key[k] {
			return n, false, false
		}
		n += size
	}
	return n, true, false
}

const (
	escapeSize = len(`\u0073`)
	// maxTail bounds what Tail holds back. It fits an escaped key of up to 1,365
	// characters.
	maxTail = 8 << 10
)

// tail is Redactor.Tail for one key.
func (p *pattern) tail(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	switch c := data[len(data)-1]; {
	case p.has(c), c == '\\', c == 'u', '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
	default:
		return 0 // no occurrence of the key continues after c
	}
	at := max(0, len(data)-min(escapeSize*len(p.key), maxTail))
	if data[at] == '\\' {
		at += backslashes(data, at) % 2 // skip the rest of an escape
	}
	for ; at < len(data); at++ {
		c := data[at]
		if c != p.key[0] && c != '\\' {
			continue
		}
		if _, _, open := p.spelled(data[at:], 0); open {
			return len(data) - at
		}
		if c == '\\' {
			at++ // the escaped character cannot be where the key begins
		}
	}
	return 0
}

// unescape decodes the escape at the beginning of data (RFC 8259 section 7). c is 0
// if no key contains the character. size is 0 if data ends within the escape.
func unescape(data []byte) (c byte, size int) {
	if len(data) < 2 {
		return 0, 0
	}
	switch data[1] {
	case '"', '\\', '/':
		return data[1], 2
	case 'u':
	default:
		return 0, 2
	}
	if len(data) < escapeSize {
		return 0, 0
	}
	if data[2] != '0' || data[3] != '0' {
		return 0, 2 // not ASCII, or not a valid escape: no significant backslash follows
	}
	high, low := hex(data[4]), hex(data[5])
	if high > 7 || low > 15 {
		return 0, 2
	}
	return high<<4 | low, escapeSize
}

// hex returns the value of a hexadecimal digit, or 255 for any other character.
func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
