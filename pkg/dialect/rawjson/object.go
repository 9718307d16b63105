package rawjson

import (
	"bytes"
	"encoding/json"
)

// Member is one member of an object.
type Member struct {
	Name  string
	Value json.RawMessage // valid JSON
}

// M is the member of that name and value.
func M(name string, value json.RawMessage) Member { return Member{name, value} }

// T is the member of that name whose value is a string.
func T(name, text string) Member { return Member{name, Quote(text)} }

// Object is an object's members in their order. The zero value is {}.
type Object []Member

// Members takes an object apart, keeping order, repetitions and each value's own
// bytes; ok is false where raw is none.
func Members(raw json.RawMessage) (o Object, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, false
		}
		name, isText := key.(string)
		var value json.RawMessage
		if !isText || dec.Decode(&value) != nil {
			return nil, false
		}
		o = append(o, Member{name, value})
	}
	_, err := dec.Token()
	return o, err == nil
}

// Put sets a member, in its place where there is one of that name; a nil value
// changes nothing.
func (o *Object) Put(name string, value json.RawMessage) {
	if value == nil {
		return
	}
	for i := range *o {
		if (*o)[i].Name == name {
			(*o)[i].Value = value
			return
		}
	}
	*o = append(*o, Member{name, value})
}

// PutText sets a member to a string.
func (o *Object) PutText(name, value string) { o.Put(name, Quote(value)) }

// JSON writes the object out.
func (o Object) JSON() json.RawMessage {
	n := 2
	for _, m := range o {
		n += len(m.Name) + len(m.Value) + 4
	}
	b := append(make([]byte, 0, n), '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(AppendString(b, m.Name), ':'), m.Value...)
	}
	return append(b, '}')
}

// Scan calls f with each member of an object that is known to be valid, without
// decoding the values: bodies hold megabytes of images in them. The values share
// raw's memory.
func Scan(raw []byte, f func(name string, value json.RawMessage)) {
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
