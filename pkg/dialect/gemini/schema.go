package gemini

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// schemaDepth is how deep a schema is followed. It also limits the expansion of a
// $ref that refers to itself.
const schemaDepth = 12

// schemaNodes is the maximum number of nodes that a schema may expand to, over all
// branches.
const schemaNodes = 4096

// kept are the keywords of JSON Schema that Gemini's own Schema has as well
// (https://ai.google.dev/api/caching#Schema).
var kept = []string{
	"type", "format", "title", "description", "nullable", "enum", "items", "properties", "required", "anyOf",
	"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "minimum", "maximum",
	"default", "propertyOrdering",
}

// formats are the values of `format` that Gemini accepts.
var formats = []string{"float", "double", "int32", "int64", "enum", "date-time"}

// CleanSchema converts a JSON schema to the older subset that `parameters` and
// `responseSchema` accept: references are resolved, allOf is merged, const becomes
// enum, oneOf becomes anyOf, a null type becomes nullable, and keywords without an
// equivalent are dropped. The order of keys is kept. Anything that is not an object
// becomes {}.
func CleanSchema(schema json.RawMessage) json.RawMessage {
	c := &cleaner{root: schema, left: schemaNodes}
	return c.clean(schema, 0)
}

type cleaner struct {
	root json.RawMessage
	left int // number of nodes that may still be visited
}

// spent counts one more node at a depth, and reports whether a limit is exceeded.
func (c *cleaner) spent(depth int) bool {
	c.left--
	return c.left < 0 || depth > schemaDepth
}

func (c *cleaner) clean(schema json.RawMessage, depth int) json.RawMessage {
	list, ok := rawjson.Members(schema)
	if !ok || c.spent(depth) {
		return json.RawMessage("{}")
	}
	list = c.fold(list, depth)
	var out rawjson.Object
	nullable := false
	for _, m := range list {
		switch m.Name {
		case "const":
			m = rawjson.M("enum", rawjson.Array([]json.RawMessage{m.Value}))
		case "oneOf":
			m.Name = "anyOf"
		}
		if !slices.Contains(kept, m.Name) || has(out, m.Name) {
			continue
		}
		switch m.Name {
		case "type":
			var null bool
			m.Value, null = typeOf(m.Value)
			nullable = nullable || null
			if m.Value == nil {
				continue
			}
		case "format":
			if f, _ := rawjson.Text(m.Value); !slices.Contains(formats, f) {
				continue
			}
		case "enum":
			m.Value = enum(m.Value)
			if m.Value == nil {
				continue
			}
		case "items":
			m.Value = c.clean(m.Value, depth+1)
		case "properties":
			properties, _ := rawjson.Members(m.Value)
			for i := range properties {
				properties[i].Value = c.clean(properties[i].Value, depth+1)
			}
			m.Value = properties.JSON()
		case "anyOf":
			choices, null := c.choices(m.Value, depth)
			nullable = nullable || null
			if len(choices) == 1 {
				only, _ := rawjson.Members(choices[0])
				for _, o := range only {
					if !has(out, o.Name) {
						out = append(out, o)
					}
				}
				continue
			}
			if len(choices) == 0 {
				continue
			}
			m.Value = rawjson.Array(choices)
		}
		out = append(out, m)
	}
	if nullable && !has(out, "nullable") {
		out = append(out, rawjson.M("nullable", json.RawMessage("true")))
	}
	if has(out, "enum") && !has(out, "type") {
		out = append(out, rawjson.T("type", "string"))
	}
	if kind := slices.IndexFunc(out, func(m rawjson.Member) bool { return m.Name == "type" }); kind >= 0 && !strings.EqualFold(string(out[kind].Value), `"string"`) {
		out = slices.DeleteFunc(out, func(m rawjson.Member) bool { return m.Name == "enum" }) // only strings can have enums
	}
	if has(out, "properties") && !has(out, "type") {
		out = append(out, rawjson.T("type", "object"))
	}
	return out.JSON()
}

// fold merges the members of $ref and allOf into the schema. The schema's own
// members take precedence.
func (c *cleaner) fold(list rawjson.Object, depth int) rawjson.Object {
	if c.spent(depth) {
		return list
	}
	var out, more rawjson.Object
	for _, m := range list {
		switch m.Name {
		case "$ref":
			if pointer, ok := rawjson.Text(m.Value); ok {
				target, _ := rawjson.Members(c.find(pointer))
				more = append(more, c.fold(target, depth+1)...)
			}
		case "allOf":
			all, _ := rawjson.Elements(m.Value)
			for _, one := range all {
				inner, _ := rawjson.Members(one)
				more = append(more, c.fold(inner, depth+1)...)
			}
		default:
			out = append(out, m)
		}
	}
	for _, m := range more {
		i := slices.IndexFunc(out, func(o rawjson.Member) bool { return o.Name == m.Name })
		switch {
		case i < 0:
			out = append(out, m)
		case m.Name == "properties":
			have, _ := rawjson.Members(out[i].Value)
			added, _ := rawjson.Members(m.Value)
			for _, a := range added {
				if !has(have, a.Name) {
					have = append(have, a)
				}
			}
			out[i].Value = have.JSON()
		case m.Name == "required":
			have, _ := rawjson.Elements(out[i].Value)
			added, _ := rawjson.Elements(m.Value)
			out[i].Value = rawjson.Array(append(have, added...))
		}
	}
	return out
}

// find resolves a JSON pointer within the schema, such as #/$defs/Name (RFC 6901).
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
		list, _ := rawjson.Members(at)
		at = nil
		for _, m := range list {
			if m.Name == step {
				at = m.Value
			}
		}
	}
	return at
}

func (c *cleaner) choices(raw json.RawMessage, depth int) (out []json.RawMessage, nullable bool) {
	all, _ := rawjson.Elements(raw)
	for _, one := range all {
		list, _ := rawjson.Members(one)
		if len(list) == 1 && list[0].Name == "type" && string(list[0].Value) == `"null"` {
			nullable = true
			continue
		}
		out = append(out, c.clean(one, depth+1))
	}
	return out, nullable
}

// typeOf removes null from a list of types. If several others remain, it takes the
// first, because a Schema has only one type.
func typeOf(raw json.RawMessage) (kind json.RawMessage, nullable bool) {
	list, ok := rawjson.Elements(raw)
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

// enum converts all values to strings, because enums of other types do not exist.
func enum(raw json.RawMessage) json.RawMessage {
	list, _ := rawjson.Elements(raw)
	var out []json.RawMessage
	for _, v := range list {
		if string(v) == "null" || string(v) == `""` {
			continue
		}
		if _, ok := rawjson.Text(v); !ok {
			v = rawjson.Quote(string(rawjson.Compact(v)))
		}
		out = append(out, v)
	}
	if out == nil {
		return nil
	}
	return rawjson.Array(out)
}

func has(list rawjson.Object, name string) bool {
	return slices.ContainsFunc(list, func(m rawjson.Member) bool { return m.Name == name })
}
