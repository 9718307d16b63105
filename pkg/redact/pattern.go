package redact

import (
	"bytes"
)

// pattern is one key, prepared for the search. Text without the key is passed at
// the speed of bytes.IndexByte: the search looks for the key's rarest character,
// and at escapes for those that stand for one of the key's.
type pattern struct {
	key    string
	rare   byte      // the character of key that ordinary text has least of
	rareAt int       // its first place in key
	set    [4]uint64 // the characters of key, a bit each
}

// rarity ranks characters by how seldom JSON, code and prose have them; what is
// not listed is rarer than all that is.
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

// search iterates over the occurrences of a pattern in data, each byte of which
// it looks at a constant number of times.
type search struct {
	p          *pattern
	data       []byte
	start, end int

	plain                   int // the next occurrence without an escape, len(data) for none
	escaped, escapedEnd     int // the next one with an escape
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

// index finds the key as it is in data[from:]; len(data) where it is not there.
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
// character escaped; both are len(data) where there is none. data[from] is not in
// the middle of an escape.
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
			for k := range len(p.key) { // which character of the key it may be
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

// backslashes counts those right before data[at].
func backslashes(data []byte, at int) int {
	n := 0
	for n < at && data[at-n-1] == '\\' {
		n++
	}
	return n
}

// spelled reads the key, from its k-th character on, at the beginning of data; n
// is how much of data it takes. open is whether data ends before the key does.
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
	// maxTail bounds what Tail holds back: an escaped key of up to 1,365 characters.
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
		return 0 // no spelling of the key goes on behind c
	}
	at := max(0, len(data)-min(escapeSize*len(p.key), maxTail))
	if data[at] == '\\' {
		at += backslashes(data, at) % 2 // not into the middle of an escape
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
			at++ // the character behind it is no beginning
		}
	}
	return 0
}

// unescape reads the escape that data begins with (RFC 8259 section 7); c is 0 if
// no key has such a character. size is 0 if data ends within it.
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
		return 0, 2 // not ASCII, or no escape at all: what follows holds no backslash that counts
	}
	high, low := hex(data[4]), hex(data[5])
	if high > 7 || low > 15 {
		return 0, 2
	}
	return high<<4 | low, escapeSize
}

// hex is the value of a hexadecimal digit, 255 for any other character.
func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
