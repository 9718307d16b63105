package gemini

import (
	"encoding/json"
	"slices"
	"strings"
)

// schemaDepth bounds how deep a schema is followed, and so what a $ref that
// points at itself unfolds to.
const schemaDepth = 12

// schemaNodes bounds how much a schema may unfold to, all branches together.
const schemaNodes = 4096

// kept are the keywords of JSON Schema that Gemini's own Schema has too
// (https://ai.google.dev/api/caching#Schema).
var kept = []string{
	"type", "format", "title", "description", "nullable", "enum", "items", "properties", "required", "anyOf",
	"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "minimum", "maximum",
	"default", "propertyOrdering",
}

// formats are the values of `format` that it takes, by type.
var formats = []string{"float", "double", "int32", "int64", "enum", "date-time"}

// CleanSchema writes a JSON schema in the older subset that `parameters` and
// `responseSchema` take: references are put in their places, allOf is folded
// together, const becomes enum, oneOf anyOf, a null type nullable, and what has
// no word there is dropped. Key order is kept. What is no object comes back as {}.
func CleanSchema(schema json.RawMessage) json.RawMessage {
	c := &cleaner{root: schema, left: schemaNodes}
	return c.clean(schema, 0)
}

type cleaner struct {
	root json.RawMessage
	left int // nodes that may still be visited
}

// spent counts one more node at a depth and reports whether it is one too many.
func (c *cleaner) spent(depth int) bool {
	c.left--
	return c.left < 0 || depth > schemaDepth
}

func (c *cleaner) clean(schema json.RawMessage, depth int) json.RawMessage {
	list, ok := members(schema)
	if !ok || c.spent(depth) {
		return json.RawMessage("{}")
	}
	list = c.fold(list, depth)
	var out []member
	nullable := false
	for _, m := range list {
		switch m.name {
		case "const":
			m = member{"enum", array([]json.RawMessage{m.value})}
		case "oneOf":
			m.name = "anyOf"
		}
		if !slices.Contains(kept, m.name) || has(out, m.name) {
			continue
		}
		switch m.name {
		case "type":
			var null bool
			m.value, null = typeOf(m.value)
			nullable = nullable || null
			if m.value == nil {
				continue
			}
		case "format":
			if f, _ := text(m.value); !slices.Contains(formats, f) {
				continue
			}
		case "enum":
			m.value = enum(m.value)
			if m.value == nil {
				continue
			}
		case "items":
			m.value = c.clean(m.value, depth+1)
		case "properties":
			properties, _ := members(m.value)
			for i := range properties {
				properties[i].value = c.clean(properties[i].value, depth+1)
			}
			m.value = object(properties)
		case "anyOf":
			choices, null := c.choices(m.value, depth)
			nullable = nullable || null
			if len(choices) == 1 {
				only, _ := members(choices[0])
				for _, o := range only {
					if !has(out, o.name) {
						out = append(out, o)
					}
				}
				continue
			}
			if len(choices) == 0 {
				continue
			}
			m.value = array(choices)
		}
		out = append(out, m)
	}
	if nullable && !has(out, "nullable") {
		out = append(out, member{"nullable", json.RawMessage("true")})
	}
	if has(out, "enum") && !has(out, "type") {
		out = append(out, member{"type", json.RawMessage(`"string"`)})
	}
	if kind := slices.IndexFunc(out, func(m member) bool { return m.name == "type" }); kind >= 0 && !strings.EqualFold(string(out[kind].value), `"string"`) {
		out = slices.DeleteFunc(out, func(m member) bool { return m.name == "enum" }) // there are enums of strings only
	}
	if has(out, "properties") && !has(out, "type") {
		out = append(out, member{"type", json.RawMessage(`"object"`)})
	}
	return object(out)
}

// fold puts the members of $ref and allOf among the schema's own; those win.
func (c *cleaner) fold(list []member, depth int) []member {
	if c.spent(depth) {
		return list
	}
	var out, more []member
	for _, m := range list {
		switch m.name {
		case "$ref":
			if pointer, ok := text(m.value); ok {
				target, _ := members(c.find(pointer))
				more = append(more, c.fold(target, depth+1)...)
			}
		case "allOf":
			all, _ := elements(m.value)
			for _, one := range all {
				inner, _ := members(one)
				more = append(more, c.fold(inner, depth+1)...)
			}
		default:
			out = append(out, m)
		}
	}
	for _, m := range more {
		i := slices.IndexFunc(out, func(o member) bool { return o.name == m.name })
		switch {
		case i < 0:
			out = append(out, m)
		case m.name == "properties":
			have, _ := members(out[i].value)
			added, _ := members(m.value)
			for _, a := range added {
				if !has(have, a.name) {
					have = append(have, a)
				}
			}
			out[i].value = object(have)
		case m.name == "required":
			have, _ := elements(out[i].value)
			added, _ := elements(m.value)
			out[i].value = array(append(have, added...))
		}
	}
	return out
}

// find follows a pointer into the schema: #/$defs/Name and the like (RFC 6901).
func (c *cleaner) find(pointer string) json.RawMessage {
	rest, ok := strings.CutPrefix(pointer, "#")
	if !ok {
		return nil
	}
	at := c.root
	for _, step := range strings.Split(strings.Trim(rest, "/"), "/") {
		if step == "" {
			continue
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		list, _ := members(at)
		at = nil
		for _, m := range list {
			if m.name == step {
				at = m.value
			}
		}
	}
	return at
}

func (c *cleaner) choices(raw json.RawMessage, depth int) (out []json.RawMessage, nullable bool) {
	all, _ := elements(raw)
	for _, one := range all {
		list, _ := members(one)
		if len(list) == 1 && list[0].name == "type" && string(list[0].value) == `"null"` {
			nullable = true
			continue
		}
		out = append(out, c.clean(one, depth+1))
	}
	return out, nullable
}

// typeOf takes null out of a list of types. Of several others the first stays:
// there is no word for more.
func typeOf(raw json.RawMessage) (kind json.RawMessage, nullable bool) {
	list, ok := elements(raw)
	if !ok {
		list = []json.RawMessage{raw}
	}
	for _, t := range list {
		if string(t) == `"null"` {
			nullable = true
		} else if kind == nil {
			kind = t
		}
	}
	return kind, nullable
}

// enum writes all values as strings, the only ones that there are.
func enum(raw json.RawMessage) json.RawMessage {
	list, _ := elements(raw)
	var out []json.RawMessage
	for _, v := range list {
		if string(v) == "null" || string(v) == `""` {
			continue
		}
		if _, ok := text(v); !ok {
			v = appendString(nil, string(compact(v)))
		}
		out = append(out, v)
	}
	if out == nil {
		return nil
	}
	return array(out)
}

func has(list []member, name string) bool {
	return slices.ContainsFunc(list, func(m member) bool { return m.name == name })
}
