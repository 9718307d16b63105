package jsonscan

import (
	"bytes"
	"encoding/json"
	"iter"
	"reflect"
	"unicode/utf8"
)

// Value is JSON that is passed on or put together: the bytes of a text, which it
// shares, or an object or an array of other Values. It is written once, by Append;
// until then members can be read, left out and added without a copy of the texts
// in them. The zero Value is absent: objects leave such members out. Copies of an
// object that was put together are the same object.
type Value struct {
	raw  []byte
	tree *tree // of a value that was put together; nil for raw
}

type tree struct {
	kind   Kind
	object []Field
	array  []Value
}

// Field is a member of an object that is put together.
type Field struct {
	Name  string
	Value Value
}

// Rest are members that a struct has no field for: see Decode.
type Rest []Field

// Raw is the value whose bytes are raw, which is valid JSON; nil is absent.
func Raw(raw []byte) Value { return Value{raw: raw} }

// Lit is the value that a JSON text in the program stands for.
func Lit(text string) Value { return Value{raw: []byte(text)} }

// Quoted is a string of that text.
func Quoted(text string) Value { return Value{raw: Quote(text)} }

// Str is the string s with its own escapes, as AppendString copies it; absent if s
// is nil.
func Str(s String) Value {
	if bytes.Contains(s, []byte(`\u`)) || !utf8.Valid(s) {
		return Value{raw: AppendString(make([]byte, 0, len(s)), s)}
	}
	return Value{raw: s}
}

// Join is one string of several, with the text sep between them.
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

// Obj is an object of these members, in their order; absent values are left out.
func Obj(fields ...Field) Value { return Value{tree: &tree{kind: '{', object: fields}} }

// Arr is an array of these values.
func Arr(values []Value) Value { return Value{tree: &tree{kind: '[', array: values}} }

// Absent reports whether there is no value.
func (v Value) Absent() bool { return v.tree == nil && len(v.raw) == 0 }

// Set reports whether there is a value other than null.
func (v Value) Set() bool { return !v.Absent() && v.Kind() != 'n' }

// Kind is the value's kind; 0 for an absent one.
func (v Value) Kind() Kind {
	if v.tree != nil {
		return v.tree.kind
	}
	return KindOf(v.raw)
}

// String returns the value as a JSON string; nil if it is not one.
func (v Value) String() String {
	if len(v.raw) > 0 && v.raw[0] == '"' {
		return v.raw
	}
	return nil
}

// Compact is the value without the space between its tokens.
func (v Value) Compact() Value {
	if v.tree == nil {
		return Value{raw: Compact(v.raw)}
	}
	return v
}

// Get returns the last member of that name; absent if there is none.
func (v Value) Get(name string) (found Value) {
	for n, m := range v.Members() {
		if n == name {
			found = m
		}
	}
	return found
}

// Bytes returns the bytes of a raw value; ok is false if it was put together.
func (v Value) Bytes() (raw []byte, ok bool) { return v.raw, v.tree == nil }

// Is reports whether the value's bytes are exactly text; never true of an object or
// array that was put together.
func (v Value) Is(text string) bool { return v.tree == nil && string(v.raw) == text }

// Put sets a member of an object that was put together, in its place where there
// is one of that name; an absent value changes nothing.
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

// Members iterates over an object's members; nothing if the value is not one.
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

// Elements iterates over an array's elements; nothing if the value is not one.
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

// Append writes the value. Raw values keep their bytes, null stands for an absent one.
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

// Size is at least how many bytes Append writes, where no name needs an escape.
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

// JSON writes the value to memory of its own, or gives the bytes of a raw one.
func (v Value) JSON() json.RawMessage {
	if v.tree == nil && len(v.raw) > 0 {
		return v.raw
	}
	return v.Append(make([]byte, 0, v.Size()))
}

// Decode is Decode of what the value would be written as, without writing it:
// fields of type Value, String and json.RawMessage share the value's memory where
// they can.
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

// tree reads a value into a target, as decoder.value does bytes.
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
