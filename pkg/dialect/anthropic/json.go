package anthropic

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/fault"
)

// set gives nil for an absent or null value.
func set(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

func invalid(param, message string) error {
	return &fault.Error{Kind: fault.Invalid, Message: message, Param: param}
}

func quote(s string) json.RawMessage { return appendString(nil, s) }

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Only what must be escaped is, so that
// text stays readable; bytes that are no UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// object is a JSON object under construction, its members in order.
type object struct {
	names  []string
	values []json.RawMessage
}

// put sets a member; nil leaves it out.
func (o *object) put(name string, value json.RawMessage) {
	if value == nil {
		return
	}
	for i, n := range o.names {
		if n == name {
			o.values[i] = value
			return
		}
	}
	o.names, o.values = append(o.names, name), append(o.values, value)
}

func (o *object) text(name, value string) { o.put(name, quote(value)) }

// json writes the object out. Values are compact already or come from a
// decoder, which has found them valid.
func (o *object) json() json.RawMessage {
	n := 2
	for i := range o.names {
		n += len(o.names[i]) + len(o.values[i]) + 4
	}
	b := append(make([]byte, 0, n), '{')
	for i, name := range o.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendString(b, name), ':'), o.values[i]...)
	}
	return append(b, '}')
}

// array writes values as a JSON array.
func array(values []json.RawMessage) json.RawMessage {
	b := []byte{'['}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

// compact drops insignificant space; raw is valid.
func compact(raw json.RawMessage) json.RawMessage {
	if !bytes.ContainsAny(raw, " \n\r\t") {
		return raw
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// member is one member of an object that is passed on in its own order.
type member struct {
	name  string
	value json.RawMessage
}

var errNoObject = errors.New("not a JSON object")

// members takes an object apart, keeping the order and each value's own bytes.
func members(raw json.RawMessage) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('{') {
		return nil, errNoObject
	}
	var out []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		out = append(out, member{name.(string), value})
	}
	return out, nil
}

// scan calls f with each member of an object that is known to be valid, without
// decoding the values: bodies hold megabytes of images in them.
func scan(raw []byte, f func(name string, value json.RawMessage)) {
	i := skipSpace(raw, bytes.IndexByte(raw, '{')+1)
	for i < len(raw) && raw[i] == '"' {
		end := skipValue(raw, i)
		var name string
		json.Unmarshal(raw[i:end], &name)
		i = skipSpace(raw, skipSpace(raw, end)+1) // past the colon
		end = skipValue(raw, i)
		f(name, raw[i:end])
		if i = skipSpace(raw, end); i < len(raw) && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue gives the place behind the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				return min(i+depth+1, len(b)) // the end of a bare word belongs to the object around it
			}
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(b)
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		end := bytes.IndexByte(b[i:], '"')
		if end < 0 {
			return len(b)
		}
		slashes := 0
		for end-slashes > 0 && b[i+end-slashes-1] == '\\' {
			slashes++
		}
		if i += end; slashes%2 == 0 {
			return i + 1
		}
	}
	return len(b)
}

// isString reports whether raw, which is valid, is a string.
func isString(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '"' }

// isObject reports whether raw is a valid JSON object.
func isObject(raw []byte) bool {
	raw = bytes.TrimLeft(raw, " \n\r\t")
	return len(raw) > 0 && raw[0] == '{' && json.Valid(raw)
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// decode reads a request's body into v.
func decode(body []byte, v any, dialect string) error {
	if b := bytes.TrimLeft(body, " \n\r\t"); len(b) == 0 || b[0] != '{' {
		return &fault.Error{Kind: fault.Invalid, Message: "the request body is not a JSON object"}
	}
	if err := json.Unmarshal(body, v); err != nil {
		e := &fault.Error{Kind: fault.Invalid, Message: "the request body is not a valid " + dialect + " request: " + err.Error(), Err: err}
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			e.Param = te.Field
			e.Message = "the request body is not a valid " + dialect + " request: " + te.Field + " cannot be a " + te.Value
		}
		return e
	}
	return nil
}

// notes gathers the names of fields that were dropped.
type notes struct{ names []string }

func (n *notes) ignore(name string) {
	for _, known := range n.names {
		if known == name {
			return
		}
	}
	n.names = append(n.names, name)
}
