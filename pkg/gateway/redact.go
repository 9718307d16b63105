package gateway

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"github.com/hostless/hostless/pkg/secret"
)

// Keys shorter than these are no secrets. A local provider's is often a word
// ("ollama", "lm-studio"), which its models may well say.
const (
	minSecret      = 6
	minSecretLocal = 16
	minSecretError = 4 // in an error, which holds nothing else of worth
)

// redactor takes one key's text out of what a provider answers, and what JSON
// may write for it: a translation, or the caller, would read the key from
// `\u0073k-…`. The zero value takes out nothing.
type redactor struct{ key string }

// redactFor is the redactor of a key for texts in which one of at least min
// bytes counts.
func redactFor(key secret.String, min int) redactor {
	if text := key.Reveal(); len(text) >= min {
		return redactor{text}
	}
	return redactor{}
}

// redactor is the one for this provider's answers; inError is whether for an
// error.
func (c *exchange) redactor(inError bool) redactor {
	min := minSecret
	switch {
	case inError:
		min = minSecretError
	case c.provider != nil && c.provider.Port > 0:
		min = minSecretLocal
	}
	return redactFor(c.cred.Key, min)
}

func (r redactor) inText(s string) bool { return r.key != "" && strings.Contains(s, r.key) }

func (r redactor) text(s string) string {
	if r.key == "" {
		return s
	}
	return strings.ReplaceAll(s, r.key, secret.Redacted)
}

// whole redacts a complete text; it is data itself where the key is not in it.
func (r redactor) whole(data []byte) []byte {
	if r.key == "" {
		return data
	}
	if bytes.Contains(data, []byte(r.key)) {
		data = bytes.ReplaceAll(data, []byte(r.key), []byte(secret.Redacted))
	}
	from, to := r.escaped(data, 0)
	if from < 0 {
		return data
	}
	out, at := make([]byte, 0, len(data)), 0
	for from >= 0 {
		out = append(append(out, data[at:from]...), secret.Redacted...)
		at = to
		from, to = r.escaped(data, at)
	}
	return append(out, data[at:]...)
}

// sameLength redacts in place without changing the length, for answers whose
// length has been told already.
func (r redactor) sameLength(data []byte) {
	if r.key == "" {
		return
	}
	hide := func(span []byte) {
		for k := copy(span, secret.Redacted); k < len(span); k++ {
			span[k] = '*'
		}
	}
	for rest := data; ; {
		i := bytes.Index(rest, []byte(r.key))
		if i < 0 {
			break
		}
		end := i + len(r.key)
		hide(rest[i:end])
		rest = rest[end:]
	}
	for from, to := r.escaped(data, 0); from >= 0; from, to = r.escaped(data, to) {
		hide(data[from:to])
	}
}

// held is how many of data's last bytes must wait for the next chunk, since the
// key may begin in them: zero unless they really are a beginning of it.
func (r redactor) held(data []byte) int {
	if r.key == "" {
		return 0
	}
	longest := len(r.key)
	window := data[max(0, len(data)-min(escapeSize*longest, maxHeld)):]
	if bytes.IndexByte(window, '\\') >= 0 {
		for i := range window {
			if _, _, open := r.spelt(window[i:], 0); open {
				return len(window) - i
			}
		}
	}
	for i := max(0, len(data)-longest+1); i < len(data); i++ {
		next := bytes.IndexByte(data[i:], r.key[0])
		if next < 0 {
			return 0
		}
		i += next
		if strings.HasPrefix(r.key, string(data[i:])) {
			return len(data) - i
		}
	}
	return 0
}

const (
	escapeSize = len(`\u0073`)
	maxHeld    = 8 << 10 // of what may be an escaped key: less than a chunk
)

// escaped finds the key where at least one of its characters is escaped; from is
// -1 where there is none. It looks at escapes alone, of which texts have few.
func (r redactor) escaped(data []byte, at int) (from, to int) {
	for start := at; ; {
		next := bytes.IndexByte(data[at:], '\\')
		if next < 0 {
			return -1, 0
		}
		at += next
		c, size := unescape(data[at:])
		if size == 0 {
			return -1, 0
		}
		for k := range len(r.key) { // which character of the key it may be
			if r.key[k] == c && k <= at-start && string(data[at-k:at]) == r.key[:k] {
				if n, ok, _ := r.spelt(data[at:], k); ok {
					return at - k, at + n
				}
			}
		}
		at += size
	}
}

// spelt reads the key, from its k-th character on, at the beginning of data; n is
// how much of data it takes. open is whether data ends before the key does.
func (r redactor) spelt(data []byte, k int) (n int, ok, open bool) {
	for ; k < len(r.key); k++ {
		if n == len(data) {
			return n, false, true
		}
		c, size := data[n], 1
		if c == '\\' {
			if c, size = unescape(data[n:]); size == 0 {
				return n, false, true
			}
		}
		if c != r.key[k] {
			return n, false, false
		}
		n += size
	}
	return n, true, false
}

// unescape reads the escape that data begins with (RFC 8259 section 7); c is 0
// where no key has such a character. size is 0 where data ends within it.
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
	code, err := strconv.ParseUint(string(data[2:escapeSize]), 16, 16)
	switch {
	case err != nil:
		return 0, 2
	case code > unicode.MaxASCII:
		return 0, escapeSize
	}
	return byte(code), escapeSize
}
