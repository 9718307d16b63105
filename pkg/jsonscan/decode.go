package jsonscan

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Decode fills v, a pointer to a struct, a slice or a plain value, from the JSON
// value that data is. It is one strict pass over data, and reads `json` tags as
// encoding/json does, with these differences:
//
//   - json.RawMessage, String and Value fields share memory with data, which must not
//     change as long as they are used;
//   - member names are matched case-sensitively;
//   - of several members with the same name the last one replaces the others entirely;
//   - maps, interfaces, arrays and json.Unmarshaler are not supported: a field of such a
//     type is a programming error and panics.
//
// A field of type Rest collects the members that no other field matches, whatever its tag.
//
// The error is a *SyntaxError, or a *json.UnmarshalTypeError whose Field is the path
// of the value that has the wrong type: the first one, though the rest is read.
func Decode(data []byte, v any) error {
	target := reflect.ValueOf(v).Elem()
	d := decoder{data: data}
	end, err := d.value(skipSpace(data, 0), target, planOf(target.Type()), 0)
	if err != nil {
		return err
	}
	if end = skipSpace(data, end); end != len(data) {
		return &SyntaxError{Offset: end}
	}
	if d.mismatch != nil {
		return d.mismatch
	}
	return nil
}

type kind uint8

const (
	kindRaw kind = iota
	kindValue
	kindJSONString
	kindString
	kindBool
	kindInt
	kindFloat
	kindStruct
	kindSlice
	kindPointer
)

// plan describes how a type is decoded. It is made once per type.
type plan struct {
	kind   kind
	typ    reflect.Type
	elem   *plan // element type of a slice or a pointer
	fields []field
	byName map[string]int // used if there are more than a few fields
	rest   []int          // index of the field for other members; nil if there is none
}

type field struct {
	name  string
	index []int
	plan  *plan
}

var (
	plans      sync.Map // reflect.Type to *plan
	rawType    = reflect.TypeFor[json.RawMessage]()
	stringType = reflect.TypeFor[String]()
	valueType  = reflect.TypeFor[Value]()
	restType   = reflect.TypeFor[Rest]()
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := makePlan(t)
	plans.Store(t, p)
	return p
}

func makePlan(t reflect.Type) *plan {
	p := &plan{typ: t}
	switch {
	case t == rawType:
		p.kind = kindRaw
	case t == valueType:
		p.kind = kindValue
	case t == stringType:
		p.kind = kindJSONString
	case t.Kind() == reflect.String:
		p.kind = kindString
	case t.Kind() == reflect.Bool:
		p.kind = kindBool
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		p.kind = kindInt
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		p.kind = kindFloat
	case t.Kind() == reflect.Slice:
		p.kind, p.elem = kindSlice, planOf(t.Elem())
	case t.Kind() == reflect.Pointer:
		p.kind, p.elem = kindPointer, planOf(t.Elem())
	case t.Kind() == reflect.Struct:
		p.kind = kindStruct
		p.addFields(t, nil)
		if len(p.fields) > 8 {
			p.byName = make(map[string]int, len(p.fields))
			for i, f := range p.fields {
				p.byName[f.name] = i
			}
		}
	default:
		panic("jsonscan: cannot decode into " + t.String())
	}
	return p
}

func (p *plan) addFields(t reflect.Type, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(append([]int{}, index...), i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Type == restType:
			p.rest = at
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			p.addFields(f.Type, at)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			p.fields = append(p.fields, field{name, at, planOf(f.Type)})
		}
	}
}

func (p *plan) find(name []byte) *field {
	if p.byName != nil {
		if i, ok := p.byName[string(name)]; ok {
			return &p.fields[i]
		}
		return nil
	}
	for i := range p.fields {
		if p.fields[i].name == string(name) {
			return &p.fields[i]
		}
	}
	return nil
}

type decoder struct {
	data     []byte
	path     []string
	mismatch *json.UnmarshalTypeError
}

// wrong records a value whose type does not fit the plan, and skips it.
func (d *decoder) wrong(i int, p *plan, what string, depth int) (int, error) {
	d.note(i, p, what)
	return skipValue(d.data, i, depth)
}

func (d *decoder) note(i int, p *plan, what string) {
	if d.mismatch == nil {
		d.mismatch = &json.UnmarshalTypeError{Value: what, Type: p.typ, Offset: int64(i), Field: strings.Join(d.path, ".")}
	}
}

// value decodes the value at data[i:] into v. depth is the number of values around
// it.
func (d *decoder) value(i int, v reflect.Value, p *plan, depth int) (end int, err error) {
	if i >= len(d.data) {
		return 0, &SyntaxError{Offset: i}
	}
	c := d.data[i]
	if p.kind <= kindValue {
		if end, err = skipValue(d.data, i, depth); err == nil {
			if p.kind == kindRaw {
				v.SetBytes(d.data[i:end:end])
			} else {
				*v.Addr().Interface().(*Value) = Value{raw: d.data[i:end:end]}
			}
		}
		return end, err
	}
	if c == 'n' {
		if end, err = skipWord(d.data, i, "null"); err == nil {
			v.SetZero()
		}
		return end, err
	}
	what := KindOf(d.data[i : i+1])
	switch p.kind {
	case kindPointer:
		inner := reflect.New(p.elem.typ)
		end, err = d.value(i, inner.Elem(), p.elem, depth)
		v.Set(inner)
		return end, err
	case kindStruct:
		if c == '{' {
			v.SetZero()
			return d.object(i, v, p, depth)
		}
	case kindSlice:
		if c == '[' {
			return d.array(i, v, p, depth)
		}
	case kindJSONString:
		if c == '"' {
			if end, err = skipString(d.data, i); err == nil {
				v.SetBytes(d.data[i:end:end])
			}
			return end, err
		}
	case kindString:
		if c == '"' {
			if end, err = skipString(d.data, i); err == nil {
				v.SetString(unquoteKnown(d.data[i:end]))
			}
			return end, err
		}
	case kindBool:
		if c == 't' || c == 'f' {
			v.SetBool(c == 't')
			return skipValue(d.data, i, depth)
		}
	case kindInt, kindFloat:
		if what == '0' {
			if end, err = skipNumber(d.data, i); err != nil {
				return end, err
			}
			text := string(d.data[i:end])
			if p.kind == kindInt {
				n, nerr := strconv.ParseInt(text, 10, 64)
				if nerr != nil || v.OverflowInt(n) {
					return d.wrong(i, p, "number "+text, depth)
				}
				v.SetInt(n)
				return end, nil
			}
			n, nerr := strconv.ParseFloat(text, 64)
			if nerr != nil || math.IsInf(n, 0) || v.OverflowFloat(n) {
				return d.wrong(i, p, "number "+text, depth)
			}
			v.SetFloat(n)
			return end, nil
		}
	}
	return d.wrong(i, p, what.String(), depth)
}

// unquoteKnown decodes a string whose syntax has been checked.
func unquoteKnown(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	return string(appendUnquoted(make([]byte, 0, len(inner)), inner))
}

func (d *decoder) object(i int, v reflect.Value, p *plan, depth int) (int, error) {
	if depth >= MaxDepth {
		return 0, errDepth(i)
	}
	i = skipSpace(d.data, i+1)
	if i < len(d.data) && d.data[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(d.data) || d.data[i] != '"' {
			return 0, &SyntaxError{Offset: i}
		}
		end, err := skipString(d.data, i)
		if err != nil {
			return 0, err
		}
		name := d.data[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = appendUnquoted(nil, name)
		}
		if i = skipSpace(d.data, end); i >= len(d.data) || d.data[i] != ':' {
			return 0, &SyntaxError{Offset: i}
		}
		i = skipSpace(d.data, i+1)
		if f := p.find(name); f != nil {
			d.path = append(d.path, f.name)
			end, err = d.value(i, fieldAt(v, f.index), f.plan, depth+1)
			d.path = d.path[:len(d.path)-1]
		} else if end, err = skipValue(d.data, i, depth+1); err == nil && p.rest != nil {
			addRest(v, p, string(name), Value{raw: d.data[i:end:end]})
		}
		if err != nil {
			return 0, err
		}
		if i = skipSpace(d.data, end); i >= len(d.data) {
			return 0, &SyntaxError{Offset: i}
		}
		switch d.data[i] {
		case '}':
			return i + 1, nil
		case ',':
			i = skipSpace(d.data, i+1)
		default:
			return 0, &SyntaxError{Offset: i}
		}
	}
}

func addRest(v reflect.Value, p *plan, name string, value Value) {
	rest := fieldAt(v, p.rest).Addr().Interface().(*Rest)
	*rest = append(*rest, Field{name, value})
}

func fieldAt(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		v = v.Field(i)
	}
	return v
}

func (d *decoder) array(i int, v reflect.Value, p *plan, depth int) (int, error) {
	if depth >= MaxDepth {
		return 0, errDepth(i)
	}
	v.Set(reflect.MakeSlice(p.typ, 0, 0))
	i = skipSpace(d.data, i+1)
	if i < len(d.data) && d.data[i] == ']' {
		return i + 1, nil
	}
	for n := 0; ; n++ {
		if n == v.Cap() {
			v.Grow(max(1, n))
		}
		v.SetLen(n + 1)
		end, err := d.value(i, v.Index(n), p.elem, depth+1)
		if err != nil {
			return 0, err
		}
		if i = skipSpace(d.data, end); i >= len(d.data) {
			return 0, &SyntaxError{Offset: i}
		}
		switch d.data[i] {
		case ']':
			return i + 1, nil
		case ',':
			i = skipSpace(d.data, i+1)
		default:
			return 0, &SyntaxError{Offset: i}
		}
	}
}
