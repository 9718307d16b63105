// Package secret holds strings that must never be printed by accident.
//
// It owns the type for provider keys and bridge tokens, which is used from the moment
// they are read. Packages keys and token own their storage; package redact redacts
// secrets in other text.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Redacted is the text that every formatted non-empty String shows.
const Redacted = "[redacted]"

// String is a secret text. The zero value is the empty secret. Every way of printing,
// logging or marshalling it yields Redacted; only Reveal returns the text. The text is
// behind a pointer, because fmt prints unexported fields by reflection without calling
// their methods; it shows an address instead. A String is immutable and safe for
// concurrent use.
type String struct{ text *string }

// New wraps text.
func New(text string) String {
	if text == "" {
		return String{}
	}
	return String{text: &text}
}

// Reveal returns the secret text. Call it only where the secret is used.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty.
func (s String) IsZero() bool { return s.text == nil }

// Equal compares two secrets in a time that depends only on their lengths.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String implements fmt.Stringer with a redaction.
func (s String) String() string {
	if s.text == nil {
		return ""
	}
	return Redacted
}

// GoString implements fmt.GoStringer with a redaction.
func (s String) GoString() string { return fmt.Sprintf("secret.String(%q)", s.String()) }

// Format implements fmt.Formatter, so that no verb shows the text.
func (s String) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", s.String())
		return
	}
	fmt.Fprint(f, s.String())
}

// LogValue implements slog.LogValuer with a redaction.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler (and so JSON) with a redaction.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: a secret can be read from JSON, but
// is never written to it.
func (s *String) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
