// Package redact takes the text of secrets out of what leaves the process:
// provider responses on their way to a caller, and log lines.
//
// It owns the search for a key in all spellings that JSON has for it, in whole
// texts, in streams that are cut anywhere (Writer) and in log lines (LogWriter,
// which also knows what the common tokens and keys look like). What counts as a
// secret, and how long one must be, is the caller's decision.
package redact

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/secret"
)

// Redactor finds the text of its keys and replaces it by secret.Redacted. The
// zero value finds nothing. A Redactor is immutable and safe for concurrent use.
type Redactor struct{ keys []*pattern }

// New makes a Redactor for those of the keys that have at least min bytes: a
// short word that serves as a key ("ollama") also occurs in ordinary text.
func New(min int, keys ...secret.String) Redactor {
	var r Redactor
	for _, key := range keys {
		if text := key.Reveal(); text != "" && len(text) >= min {
			r.keys = append(r.keys, newPattern(text))
		}
	}
	// Longest first: of two keys of which one begins the other, nothing may stay.
	slices.SortStableFunc(r.keys, func(a, b *pattern) int { return len(b.key) - len(a.key) })
	return r
}

// IsZero reports whether the Redactor has no key to look for.
func (r Redactor) IsZero() bool { return len(r.keys) == 0 }

// Contains reports whether text has one of the keys in it, as it is: headers and
// messages are not JSON.
func (r Redactor) Contains(text string) bool {
	for _, p := range r.keys {
		if strings.Contains(text, p.key) {
			return true
		}
	}
	return false
}

// String redacts a text that is not JSON.
func (r Redactor) String(text string) string {
	for _, p := range r.keys {
		text = strings.ReplaceAll(text, p.key, secret.Redacted)
	}
	return text
}

// Bytes redacts a complete text, JSON or not. It returns data itself if no key
// occurs, and else a copy; data is never changed.
func (r Redactor) Bytes(data []byte) []byte {
	for _, p := range r.keys {
		var out []byte
		at := 0
		for s := p.search(data); s.next(); at = s.end {
			if out == nil {
				out = make([]byte, 0, len(data)+len(secret.Redacted))
			}
			out = append(append(out, data[at:s.start]...), secret.Redacted...)
		}
		if out != nil {
			data = append(out, data[at:]...)
		}
	}
	return data
}

// Mask redacts as Bytes does but keeps the length, for responses whose
// Content-Length has been sent: each occurrence becomes secret.Redacted, cut or
// filled with asterisks.
func (r Redactor) Mask(data []byte) []byte {
	own := false
	for _, p := range r.keys {
		for s := p.search(data); s.next(); {
			if !own {
				data, own = bytes.Clone(data), true
				s.data = data
			}
			span := data[s.start:s.end]
			for i := copy(span, secret.Redacted); i < len(span); i++ {
				span[i] = '*'
			}
		}
	}
	return data
}

// Tail returns how many of the last bytes of data must wait for the next piece
// of a stream, since a key may begin in them. It is 0 unless they really are the
// beginning of one, so that complete SSE events and lines are never delayed; it
// is at most maxTail.
func (r Redactor) Tail(data []byte) int {
	n := 0
	for _, p := range r.keys {
		n = max(n, p.tail(data))
	}
	return n
}
