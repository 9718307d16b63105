package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Span is where a JSON value lies in its text: [Start, End).
type Span struct{ Start, End int }

// Of gives the bytes that the span covers, sharing their memory.
func (s Span) Of(data []byte) []byte { return data[s.Start:s.End] }

// ErrNotObject says that a text is no JSON object.
var ErrNotObject = errors.New("not a JSON object")

// maxDepth bounds nesting.
const maxDepth = 1024

// class sorts the bytes that may stand outside strings. Whatever is not in it
// (comments, quotes of other kinds) is refused: a lenient parser upstream must
// not see another object than the one that was judged here.
var class = func() (c [256]byte) {
	for _, b := range " \t\r\n" {
		c[b] = 's'
	}
	for b := '0'; b <= '9'; b++ {
		c[b] = 'l'
	}
	for b := 'a'; b <= 'z'; b++ {
		c[b], c[b-32] = 'l', 'l'
	}
	for _, b := range "+-." {
		c[b] = 'l'
	}
	for _, b := range ",:" {
		c[b] = ','
	}
	for _, b := range "[{" {
		c[b] = '['
	}
	for _, b := range "]}" {
		c[b] = ']'
	}
	c['"'] = '"'
	return c
}()

func syntax(i int) error { return fmt.Errorf("%w: syntax error at byte %d", ErrNotObject, i) }

func space(data []byte, i int) int {
	for i < len(data) && class[data[i]] == 's' {
		i++
	}
	return i
}

// Object visits the members of the JSON object that data is, in their order,
// without decoding their values: key is the member's decoded name and holds only
// during the call. It returns where the closing brace is. An error is
// ErrNotObject, or visit's.
func Object(data []byte, visit func(key []byte, value Span) error) (closing int, err error) {
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return 0, ErrNotObject
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == '}' {
		return finish(data, i)
	}
	for {
		if i >= len(data) || data[i] != '"' {
			return 0, syntax(i)
		}
		end, err := text(data, i)
		if err != nil {
			return 0, err
		}
		key := data[i+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			var decoded string
			if err := json.Unmarshal(data[i:end], &decoded); err != nil {
				return 0, syntax(i)
			}
			key = []byte(decoded)
		}
		if i = space(data, end); i >= len(data) || data[i] != ':' {
			return 0, syntax(i)
		}
		i = space(data, i+1)
		if end, err = value(data, i); err != nil {
			return 0, err
		}
		if err := visit(key, Span{i, end}); err != nil {
			return 0, err
		}
		if i = space(data, end); i >= len(data) {
			return 0, syntax(i)
		}
		switch data[i] {
		case '}':
			return finish(data, i)
		case ',':
			i = space(data, i+1)
		default:
			return 0, syntax(i)
		}
	}
}

func finish(data []byte, closing int) (int, error) {
	if rest := space(data, closing+1); rest != len(data) {
		return 0, syntax(rest)
	}
	return closing, nil
}

// text gives the end of the string that opens at i.
func text(data []byte, i int) (int, error) {
	from := i + 1
	for {
		next := bytes.IndexByte(data[from:], '"')
		if next < 0 {
			return 0, syntax(len(data))
		}
		end := from + next
		escapes := 0
		for k := end - 1; k > i && data[k] == '\\'; k-- {
			escapes++
		}
		if escapes%2 == 0 {
			return end + 1, nil
		}
		from = end + 1
	}
}

// value gives the end of the value that begins at i.
func value(data []byte, i int) (int, error) {
	if i >= len(data) {
		return 0, syntax(i)
	}
	switch class[data[i]] {
	case '"':
		return text(data, i)
	case 'l':
		for i < len(data) && class[data[i]] == 'l' {
			i++
		}
		return i, nil
	case '[':
		return nested(data, i)
	}
	return 0, syntax(i)
}

func nested(data []byte, i int) (int, error) {
	var opened [maxDepth]byte
	depth := 0
	for i < len(data) {
		switch c := data[i]; class[c] {
		case '"':
			end, err := text(data, i)
			if err != nil {
				return 0, err
			}
			i = end
			continue
		case '[':
			if depth == maxDepth {
				return 0, fmt.Errorf("%w: nested deeper than %d", ErrNotObject, maxDepth)
			}
			opened[depth] = c
			depth++
		case ']':
			depth--
			if opened[depth] != c-2 { // '[' and ']' as '{' and '}' lie two apart
				return 0, syntax(i)
			}
			if depth == 0 {
				return i + 1, nil
			}
		case 0:
			return 0, syntax(i)
		}
		i++
	}
	return 0, syntax(i)
}

// Member finds a member of the JSON object that data is; the last one where the
// name comes more than once, as common decoders have it. ok is false where there
// is none, or data is no object.
func Member(data []byte, name string) (value Span, ok bool) {
	_, err := Object(data, func(key []byte, v Span) error {
		if string(key) == name {
			value, ok = v, true
		}
		return nil
	})
	return value, ok && err == nil
}

// Text decodes a JSON string; ok is false where raw is something else. Bytes that
// are no UTF-8 become U+FFFD, as in a decoder.
func Text(raw []byte) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1]), true
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", false
	}
	return s, true
}

// Quote encodes a JSON string without escaping more than JSON asks for.
func Quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return []byte(`""`) // strings always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
