package jsonscan

import (
	"bytes"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// String is a JSON string as it stands in the text, with quotes and escapes; nil if
// there is none or it is null. Decode fills it without a copy.
type String []byte

// Text returns the decoded text.
func (s String) Text() string { t, _ := Text(s); return t }

// Empty reports whether the text is absent or "".
func (s String) Empty() bool { return len(s) <= 2 }

// HasPrefix reports whether the text begins with prefix, which must need no
// escapes, and that part is written without any.
func (s String) HasPrefix(prefix string) bool {
	return len(s) > len(prefix) && string(s[1:1+len(prefix)]) == prefix
}

// Blank reports whether the text is absent or only white space.
func (s String) Blank() bool {
	for i := 1; i < len(s)-1; {
		c := s[i]
		switch {
		case c == ' ':
			i++
		case c == '\\' && (s[i+1] == 'n' || s[i+1] == 'r' || s[i+1] == 't' || s[i+1] == 'f'):
			i += 2
		case c == '\\' && s[i+1] == 'u':
			return len(bytes.TrimSpace([]byte(s.Text()))) == 0
		case c < utf8.RuneSelf:
			return false
		default:
			r, size := utf8.DecodeRune(s[i:])
			if !unicode.IsSpace(r) {
				return false
			}
			i += size
		}
	}
	return true
}

// Unquote decodes a JSON string. The text shares raw's memory if it has no escape.
// ok is false if raw is anything else. Bytes that are not UTF-8, and unpaired
// surrogates, become U+FFFD.
func Unquote(raw []byte) (text []byte, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	end, err := skipString(raw, 0)
	if err != nil || end != len(raw) {
		return nil, false
	}
	inner := raw[1 : end-1]
	slash := bytes.IndexByte(inner, '\\')
	if slash < 0 && utf8.Valid(inner) {
		return inner, true
	}
	return appendUnquoted(make([]byte, 0, len(inner)), inner), true
}

// AppendUnquoted appends the text of a JSON string. It returns b unchanged if raw
// is not one.
func AppendUnquoted(b, raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return b
	}
	if end, err := skipString(raw, 0); err != nil || end != len(raw) {
		return b
	}
	return appendUnquoted(b, raw[1:len(raw)-1])
}

// appendUnquoted decodes the bytes between the quotes of a valid string.
func appendUnquoted(b, inner []byte) []byte {
	for len(inner) > 0 {
		slash := bytes.IndexByte(inner, '\\')
		if slash < 0 {
			return appendValid(b, inner)
		}
		b = appendValid(b, inner[:slash])
		inner = inner[slash:]
		switch inner[1] {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, size := escaped(inner)
			b = utf8.AppendRune(b, r)
			inner = inner[size:]
			continue
		default: // a quote, a slash or a backslash
			b = append(b, inner[1])
		}
		inner = inner[2:]
	}
	return b
}

// escaped decodes the \u escape, or the surrogate pair of two, at the beginning of
// inner.
func escaped(inner []byte) (r rune, size int) {
	r, _ = hex4(inner, 2)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(inner) >= 12 && inner[6] == '\\' && inner[7] == 'u' {
		other, _ := hex4(inner, 8)
		if pair := utf16.DecodeRune(r, other); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func appendValid(b, text []byte) []byte {
	if utf8.Valid(text) {
		return append(b, text...)
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		b = utf8.AppendRune(b, r)
		text = text[size:]
	}
	return b
}

// Text is Unquote with a string as the result.
func Text(raw []byte) (s string, ok bool) {
	text, ok := Unquote(raw)
	return string(text), ok
}

// Quote returns s as a JSON string, as AppendQuote writes it.
func Quote(s string) []byte { return AppendQuote(make([]byte, 0, len(s)+2), s) }

const hexDigits = "0123456789abcdef"

// AppendQuote appends text as a JSON string. It escapes only what must be escaped,
// so that the text stays readable. Bytes that are not UTF-8 become U+FFFD.
func AppendQuote[T string | []byte](b []byte, text T) []byte {
	return append(AppendQuoteInner(append(b, '"'), text), '"')
}

// AppendQuoteInner is AppendQuote without the enclosing quotes.
func AppendQuoteInner[T string | []byte](b []byte, text T) []byte {
	if !valid(text) {
		text = T(appendValid(nil, []byte(text)))
	}
	for from := 0; ; {
		i := special(text, from)
		b = append(b, text[from:i]...)
		if i == len(text) {
			return b
		}
		b = appendEscape(b, text[i])
		from = i + 1
	}
}

func valid[T string | []byte](text T) bool {
	switch text := any(text).(type) {
	case string:
		return utf8.ValidString(text)
	case []byte:
		return utf8.Valid(text)
	}
	return false
}

// appendEscape appends the escape of a quote, a backslash or a control character.
func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// AppendString appends raw, a JSON string of another text, with its quotes. It
// keeps the escapes that the writer chose, except for \u escapes: these are
// decoded, because not every parser reads unpaired surrogates. Bytes that are not
// UTF-8 become U+FFFD.
func AppendString(b []byte, raw String) []byte {
	return append(AppendInner(append(b, '"'), raw), '"')
}

// AppendInner is AppendString without the quotes, to make one string of several.
func AppendInner(b []byte, raw String) []byte {
	if len(raw) < 2 {
		return b
	}
	inner := []byte(raw[1 : len(raw)-1])
	if !utf8.Valid(inner) {
		inner = appendValid(nil, inner)
	}
	for len(inner) > 0 {
		at := bytes.Index(inner, []byte(`\u`))
		if at < 0 {
			break
		}
		if escaped := escapedAt(inner, at); escaped { // the backslash is itself escaped
			b = append(b, inner[:at+1]...)
			inner = inner[at+1:]
			continue
		}
		b = append(b, inner[:at]...)
		r, size := escaped(inner[at:])
		if r < 0x20 || r == '"' || r == '\\' {
			b = appendEscape(b, byte(r))
		} else {
			b = utf8.AppendRune(b, r)
		}
		inner = inner[at+size:]
	}
	return append(b, inner...)
}

// escapedAt reports whether an odd number of backslashes precedes the byte at i.
func escapedAt(inner []byte, i int) bool {
	from := i
	for i > 0 && inner[i-1] == '\\' {
		i--
	}
	return (from-i)%2 == 1
}
