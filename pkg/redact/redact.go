// Package redact removes secrets from text that leaves the process: responses of
// providers and log lines.
//
// It owns the search for a key in every spelling that JSON allows: in complete
// texts, in streams that are cut anywhere (Writer) and in log lines (LogWriter,
// which also knows the shapes of common tokens and keys). What counts as a secret,
// and how long it must be, is decided by the callers.
package redact

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/secret"
)

// Redactor replaces the text of its keys by secret.Redacted. The zero value
// replaces nothing. A Redactor is immutable and safe for concurrent use.
type Redactor struct{ keys []*pattern }

// New returns a Redactor for those keys that have at least min bytes: a short word
// that serves as a key ("ollama") also occurs in ordinary text.
func New(min int, keys ...secret.String) Redactor {
	var r Redactor
	for _, key := range keys {
		if text := key.Reveal(); text != "" && len(text) >= min {
			r.keys = append(r.keys, newPattern(text))
		}
	}
	// Longest first: if one key is a prefix of another, the rest of the longer one
	// must not remain.
	slices.SortStableFunc(r.keys, func(a, b *pattern) int { return len(b.key) - len(a.key) })
	return r
}

// IsZero reports whether the Redactor has no keys.
func (r Redactor) IsZero() bool { return len(r.keys) == 0 }

// Contains reports whether text contains one of the keys, unescaped: it is meant
// for headers and messages, which are not JSON.
func (r Redactor) Contains(text string) bool {
	for _, p := range r.keys {
		if strings.Contains(text, p.key) {
			return true
		}
	}
	return false
}

// String redacts text that is not JSON.
func (r Redactor) String(text string) string {
	for _, p := range r.keys {
		text = strings.ReplaceAll(text, p.key, secret.Redacted)
	}
	return text
}

// Bytes redacts a complete text, JSON or not. It returns data itself if no key
// occurs in it, and a copy otherwise. It never changes data.
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
// Content-Length has been sent: it truncates secret.Redacted, or pads it with
// asterisks, to the length of each occurrence.
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

// Tail returns how many bytes at the end of data must wait for the next piece of a
// stream because a key may begin in them. The result is 0 unless they match the
// beginning of a key, so that complete SSE events and lines are never delayed. It
// is at most maxTail.
func (r Redactor) Tail(data []byte) int {
	n := 0
	for _, p := range r.keys {
		n = max(n, p.tail(data))
	}
	return n
}
