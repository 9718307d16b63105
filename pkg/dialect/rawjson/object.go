package rawjson

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// Member is one member of an object.
type Member struct {
	Name  string
	Value json.RawMessage // valid JSON
}

// M returns a member with a name and a value.
func M(name string, value json.RawMessage) Member { return Member{name, value} }

// T returns a member whose value is a string.
func T(name, text string) Member { return Member{name, Quote(text)} }

// Object is a list of an object's members in order. The zero value is {}.
type Object []Member

// Members splits an object into its members. It keeps their order, repetitions and
// the bytes of each value, whose memory it shares. ok is false if raw is not an
// object.
func Members(raw json.RawMessage) (o Object, ok bool) {
	_, err := jsonscan.Object(raw, func(key []byte, v jsonscan.Span) error {
		o = append(o, Member{string(key), v.Of(raw)})
		return nil
	})
	return o, err == nil
}

// Put sets a member: in place, if there is one with the name, and at the end
// otherwise. A nil value changes nothing.
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

// JSON returns the object as JSON.
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

// Scan calls f with each member of a valid object without decoding the values,
// because bodies contain megabytes of images. The values share raw's memory.
func Scan(raw []byte, f func(name string, value json.RawMessage)) {
	for name, value := range jsonscan.Members(raw) {
		f(string(name), value)
	}
}
