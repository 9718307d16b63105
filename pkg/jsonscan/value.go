package jsonscan

import (
	"bytes"
	"encoding/json"
	"iter"
	"reflect"
	"unicode/utf8"
)

// Value is JSON that is passed on or assembled: either bytes of a text, which it
// shares, or an object or array of other Values. It is written once, by Append;
// until then members can be read, left out and added without a copy of the text in
// them. The zero Value is absent: objects leave such members out. Copies of an
// assembled object refer to the same object.
type Value struct {
	raw  []byte
	tree *tree // of an assembled value; nil for raw
}

type tree struct {
	kind   Kind
	object []Field
	array  []Value
}

// Field is a member of an assembled object.
type Field struct {
	Name  string
	Value Value
}

// Rest holds the members that a struct has no field for: see Decode.
type Rest []Field

// Raw returns the value whose bytes are raw, which must be valid JSON. nil is
// absent.
func Raw(raw []byte) Value { return Value{raw: raw} }

// Lit returns the value of a JSON literal in the program.
func Lit(text string) Value { return Value{raw: []byte(text)} }

// Quoted returns text as a JSON string.
func Quoted(text string) Value { return Value{raw: Quote(text)} }

// Str returns the string s with its escapes, as AppendString copies it. It is
// absent if s is nil.
func Str(s String) Value {
	if bytes.Contains(s, []byte(`\u`)) || !utf8.Valid(s) {
		return Value{raw: AppendString(make([]byte, 0, len(s)), s)}
	}
	return Value{raw: s}
}

// Join returns one string of several, with the text sep between them.
func Join(sep string, parts ...String) Value {
	if len(parts) == 1 {
		return Str(parts[0])
	}
	n := 2
	for _, s := range parts {
		n += len(s) + len(sep)
	}
	b := append(make([]byte, 0, n), '"')
	for i, s := range parts {
		if i > 0 {
			b = AppendQuoteInner(b, sep)
		}
		b = AppendInner(b, s)
	}
	return Value{raw: append(b, '"')}
}

// Obj returns an object of fields, in order, without the absent values.
func Obj(fields ...Field) Value { return Value{tree: &tree{kind: '{', object: fields}} }

// Arr returns an array of values.
func Arr(values []Value) Value { return Value{tree: &tree{kind: '[', array: values}} }

// Absent reports whether there is no value.
func (v Value) Absent() bool { return v.tree == nil && len(v.raw) == 0 }

// Set reports whether there is a value other than null.
func (v Value) Set() bool { return !v.Absent() && v.Kind() != 'n' }

// Kind returns the value's kind; 0 for an absent one.
func (v Value) Kind() Kind {
	if v.tree != nil {
		return v.tree.kind
	}
	return KindOf(v.raw)
}

// String returns the value as a JSON string; nil if it is not a string.
func (v Value) String() String {
	if len(v.raw) > 0 && v.raw[0] == '"' {
		return v.raw
	}
	return nil
}

// Compact returns the value without the white space between its tokens.
func (v Value) Compact() Value {
	if v.tree == nil {
		return Value{raw: Compact(v.raw)}
	}
	return v
}

// Get returns the last member with the name; absent if there is none.
func (v Value) Get(name string) (found Value) {
	for n, m := range v.Members() {
		if n == name {
			found = m
		}
	}
	return found
}

// Bytes returns the bytes of a raw value. ok is false if the value was assembled.
func (v Value) Bytes() (raw []byte, ok bool) { return v.raw, v.tree == nil }

// Is reports whether the value's bytes are exactly text. It is never true for an
// assembled object or array.
func (v Value) Is(text string) bool { return v.tree == nil && string(v.raw) == text }

// Put sets a member of an assembled object: in place, if there is one with the
// name, and at the end otherwise. An absent value changes nothing.
func (v *Value) Put(name string, value Value) {
	if value.Absent() {
		return
	}
	if v.tree == nil {
		v.raw, v.tree = nil, &tree{kind: '{'}
	}
	for i := range v.tree.object {
		if v.tree.object[i].Name == name {
			v.tree.object[i].Value = value
			return
		}
	}
	v.tree.object = append(v.tree.object, Field{name, value})
}

// PutText sets a member to a string.
func (v *Value) PutText(name, text string) { v.Put(name, Quoted(text)) }

// Members iterates over an object's members. It yields nothing if the value is not
// an object.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.tree == nil {
			for name, raw := range Members(v.raw) {
				if !yield(string(name), Value{raw: raw}) {
					return
				}
			}
			return
		}
		for _, f := range v.tree.object {
			if !f.Value.Absent() && !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// Elements iterates over an array's elements. It yields nothing if the value is not
// an array.
func (v Value) Elements() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.tree == nil {
			for i, raw := range Elements(v.raw) {
				if !yield(i, Value{raw: raw}) {
					return
				}
			}
			return
		}
		for i, e := range v.tree.array {
			if !yield(i, e) {
				return
			}
		}
	}
}

// Append writes the value. Raw values keep their bytes; an absent value is written
// as null.
func (v Value) Append(b []byte) []byte {
	switch {
	case v.tree == nil && len(v.raw) == 0:
		return append(b, "null"...)
	case v.tree == nil:
		return append(b, v.raw...)
	case v.tree.kind == '{':
		b = append(b, '{')
		comma := false
		for _, f := range v.tree.object {
			if f.Value.Absent() {
				continue
			}
			if comma {
				b = append(b, ',')
			}
			comma = true
			b = f.Value.Append(append(AppendQuote(b, f.Name), ':'))
		}
		return append(b, '}')
	}
	b = append(b, '[')
	for i, e := range v.tree.array {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.Append(b)
	}
	return append(b, ']')
}

// Size returns an upper bound for the number of bytes that Append writes, provided
// that no name needs an escape.
func (v Value) Size() int {
	n := len(v.raw) + 4
	if v.tree == nil {
		return n
	}
	for _, f := range v.tree.object {
		n += len(f.Name) + 4 + f.Value.Size()
	}
	for _, e := range v.tree.array {
		n += 1 + e.Size()
	}
	return n
}

// JSON returns the value's JSON in new memory, or the bytes of a raw value
// themselves.
func (v Value) JSON() json.RawMessage {
	if v.tree == nil && len(v.raw) > 0 {
		return v.raw
	}
	return v.Append(make([]byte, 0, v.Size()))
}

// Decode decodes the JSON that Append would write, without writing it. Fields of
// type Value, String and json.RawMessage share the value's memory where possible.
func (v Value) Decode(dst any) error {
	target := reflect.ValueOf(dst).Elem()
	d := decoder{}
	if err := d.tree(v, target, planOf(target.Type()), 0); err != nil {
		return err
	}
	if d.mismatch != nil {
		return d.mismatch
	}
	return nil
}

// tree decodes a value into target, as decoder.value does for bytes.
func (d *decoder) tree(v Value, target reflect.Value, p *plan, depth int) error {
	if p.kind == kindValue {
		*target.Addr().Interface().(*Value) = v
		return nil
	}
	if v.tree == nil {
		d.data = v.raw
		i := skipSpace(d.data, 0)
		end, err := d.value(i, target, p, depth)
		if err == nil && skipSpace(d.data, end) != len(d.data) {
			err = &SyntaxError{Offset: end}
		}
		return err
	}
	switch {
	case depth >= MaxDepth:
		return errDepth(0)
	case p.kind == kindRaw:
		target.SetBytes(v.JSON())
	case p.kind == kindPointer:
		inner := reflect.New(p.elem.typ)
		err := d.tree(v, inner.Elem(), p.elem, depth)
		target.Set(inner)
		return err
	case p.kind == kindStruct && v.tree.kind == '{':
		target.SetZero()
		for _, m := range v.tree.object {
			f := p.find([]byte(m.Name))
			if m.Value.Absent() {
				continue
			}
			if f == nil {
				if p.rest != nil {
					addRest(target, p, m.Name, m.Value)
				}
				continue
			}
			d.path = append(d.path, f.name)
			err := d.tree(m.Value, fieldAt(target, f.index), f.plan, depth+1)
			d.path = d.path[:len(d.path)-1]
			if err != nil {
				return err
			}
		}
	case p.kind == kindSlice && v.tree.kind == '[':
		target.Set(reflect.MakeSlice(p.typ, len(v.tree.array), len(v.tree.array)))
		for i, e := range v.tree.array {
			if err := d.tree(e, target.Index(i), p.elem, depth+1); err != nil {
				return err
			}
		}
	default:
		d.note(0, p, v.tree.kind.String())
	}
	return nil
}
