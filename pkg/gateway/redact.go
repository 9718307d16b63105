package gateway

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/secret"
)

// Keys shorter than these are no secrets. A local provider's is often a word
// ("ollama", "lm-studio"), which its models may well say.
const (
	minSecret      = 6
	minSecretLocal = 16
	minSecretError = 4 // in an error, which holds nothing else of worth
)

// redactor takes one key's text out of what a provider answers. The zero value
// takes out nothing.
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
	if r.key == "" || !bytes.Contains(data, []byte(r.key)) {
		return data
	}
	return bytes.ReplaceAll(data, []byte(r.key), []byte(secret.Redacted))
}

// sameLength redacts in place without changing the length, for answers whose
// length has been told already.
func (r redactor) sameLength(data []byte) {
	if r.key == "" {
		return
	}
	for {
		i := bytes.Index(data, []byte(r.key))
		if i < 0 {
			return
		}
		end := i + len(r.key)
		n := copy(data[i:end], secret.Redacted)
		for k := i + n; k < end; k++ {
			data[k] = '*'
		}
		data = data[end:]
	}
}

// held is how many of data's last bytes must wait for the next chunk, since the
// key may begin in them: zero unless they really are a beginning of it.
func (r redactor) held(data []byte) int {
	if r.key == "" {
		return 0
	}
	from := max(0, len(data)-len(r.key)+1)
	for i := from; i < len(data); i++ {
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
