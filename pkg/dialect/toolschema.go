package dialect

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// emptySchema is the schema of a tool without parameters.
const emptySchema = `{"type":"object","properties":{}}`

// maxRule is the maximum length of the rule that is added to a description.
const maxRule = 2000

// maxBranches is how deep combinators and references may nest at a schema's root.
const maxBranches = 8

// ToolSchema returns the JSON schema of a tool's parameters in the form that
// providers accept: of type object, without anyOf, oneOf, allOf, $ref, enum, const
// or not at its root. Combinators become one object that has the properties of all
// branches and requires what every branch requires. rule describes what was lost,
// for the tool's description; it is "" if nothing was. Everything below the root
// keeps its bytes, and so does a schema that needs no change. ok is false if the
// schema is neither absent nor an object.
func ToolSchema(schema jsonscan.Value) (fit jsonscan.Value, rule string, ok bool) {
	if !schema.Set() || schema.Is("true") || schema.Is("{}") {
		return jsonscan.Lit(emptySchema), "", true
	}
	if schema.Kind() != '{' {
		return schema, "", false
	}
	typed, complete, combined := false, false, false
	for name, value := range schema.Members() {
		switch name {
		case "type":
			typed = value.Is(`"object"`)
		case "properties":
			complete = value.Kind() == '{'
		case "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "not":
			combined = true
		}
	}
	switch {
	case combined:
		fit, rule = flatten(schema)
	case typed && complete:
		fit = schema
	default:
		fit = jsonscan.Obj(jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"object"`)})
		for name, value := range schema.Members() {
			if name != "type" {
				fit.Put(name, value)
			}
		}
		if !complete {
			fit.Put("properties", jsonscan.Lit("{}"))
		}
	}
	return fit, rule, true
}

// branches collects the properties of the branches of a schema's root.
type branches struct {
	root       jsonscan.Value
	properties []jsonscan.Field
	rules      []string
}

func flatten(schema jsonscan.Value) (fit jsonscan.Value, rule string) {
	b := &branches{root: schema}
	required := b.gather(schema, 0)
	fit = jsonscan.Obj(
		jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"object"`)},
		jsonscan.Field{Name: "properties", Value: jsonscan.Obj(b.properties...)})
	for name, value := range schema.Members() {
		switch name {
		case "type", "properties", "required", "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "not":
		default:
			fit.Put(name, value)
		}
	}
	if len(required) > 0 {
		names := make([]jsonscan.Value, len(required))
		for i, name := range required {
			names[i] = jsonscan.Quoted(name)
		}
		fit.Put("required", jsonscan.Arr(names))
	}
	if len(b.rules) > 0 {
		rule = "The input must also satisfy this JSON schema: {" + strings.Join(b.rules, ",") + "}"
	}
	if len(rule) > maxRule {
		rule = "" // too long to be useful
	}
	return fit, rule
}

// gather adds the properties of a schema and of its branches, and returns the names
// that are required in every branch.
func (b *branches) gather(schema jsonscan.Value, depth int) (required []string) {
	if depth > maxBranches || schema.Kind() != '{' {
		return nil
	}
	for name, value := range schema.Members() {
		switch name {
		case "properties":
			for property, of := range value.Members() {
				b.property(property, of)
			}
		case "required":
			for _, one := range value.Elements() {
				required = appendNew(required, one.String().Text())
			}
		}
	}
	for name, value := range schema.Members() {
		switch name {
		case "$ref":
			for _, one := range b.gather(b.resolve(value.String().Text()), depth+1) {
				required = appendNew(required, one)
			}
		case "allOf":
			for _, branch := range value.Elements() {
				for _, one := range b.gather(branch, depth+1) {
					required = appendNew(required, one)
				}
			}
			b.note(name, value, depth)
		case "anyOf", "oneOf":
			var common []string
			for i, branch := range value.Elements() {
				of := b.gather(branch, depth+1)
				if i == 0 {
					common = of
					continue
				}
				common = slices.DeleteFunc(common, func(name string) bool { return !slices.Contains(of, name) })
			}
			for _, one := range common {
				required = appendNew(required, one)
			}
			b.note(name, value, depth)
		case "enum", "const", "not":
			b.note(name, value, depth)
		}
	}
	return required
}

func (b *branches) note(name string, value jsonscan.Value, depth int) {
	if depth == 0 {
		b.rules = append(b.rules, string(jsonscan.Quote(name))+":"+string(value.Compact().JSON()))
	}
}

// property adds a property. If branches define it differently, either definition is
// valid.
func (b *branches) property(name string, schema jsonscan.Value) {
	for i := range b.properties {
		have := &b.properties[i]
		if have.Name != name {
			continue
		}
		if !bytes.Equal(have.Value.Compact().JSON(), schema.Compact().JSON()) {
			have.Value = jsonscan.Obj(jsonscan.Field{Name: "anyOf", Value: jsonscan.Arr([]jsonscan.Value{have.Value, schema})})
		}
		return
	}
	b.properties = append(b.properties, jsonscan.Field{Name: name, Value: schema})
}

// resolve returns the schema that a reference within the root refers to.
func (b *branches) resolve(ref string) jsonscan.Value {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return jsonscan.Value{}
	}
	at := b.root
	for step := range strings.SplitSeq(path, "/") {
		if at.Kind() != '{' {
			return jsonscan.Value{}
		}
		at = at.Get(strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
	}
	return at
}

func appendNew(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

// WithRule returns a tool's description with the rule that its schema lost.
func WithRule(description jsonscan.String, rule string) jsonscan.Value {
	switch {
	case rule == "" && description.Empty():
		return jsonscan.Value{}
	case rule == "":
		return jsonscan.Str(description)
	case description.Empty():
		return jsonscan.Quoted(rule)
	}
	return jsonscan.Join("\n\n", description, jsonscan.Quote(rule))
}
