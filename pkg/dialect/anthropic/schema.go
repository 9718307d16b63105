package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// kept are the keywords of JSON Schema that Anthropic's structured outputs accept
// unchanged
// (https://platform.claude.com/docs/en/build-with-claude/structured-outputs).
var kept = map[string]bool{
	"type": true, "enum": true, "const": true, "required": true, "title": true, "default": true,
	"$ref": true, "$id": true, "$anchor": true,
}

var formats = []string{"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}

const maxDepth = 64

var errDepth = errors.New("it is nested too deeply")

// strictSchema rewrites a schema for output_config.format: it closes objects, turns
// oneOf into anyOf, and appends what cannot be enforced to the description, for the
// model. Members keep their order, which is the order of the response.
func strictSchema(raw json.RawMessage) (json.RawMessage, error) { return strictAt(raw, 0) }

func strictAt(raw json.RawMessage, depth int) (json.RawMessage, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	if rawjson.Set(raw) == nil || string(raw) == "true" || string(raw) == "false" {
		return raw, nil
	}
	list, ok := rawjson.Members(raw)
	if !ok {
		return nil, errNoObject
	}
	var o rawjson.Object
	var notes []string
	description, isObj := "", false
	for _, m := range list {
		var err error
		value, note := rawjson.Compact(m.Value), false
		switch m.Name {
		case "description":
			if json.Unmarshal(m.Value, &description) != nil {
				return nil, errors.New("a description is not a string")
			}
			o.Put("description", value) // keeps its position
			continue
		case "$schema", "additionalProperties":
			note = m.Name == "additionalProperties" && isObject(m.Value)
			value = nil
		case "properties", "$defs", "definitions":
			isObj = isObj || m.Name == "properties"
			value, err = eachMember(m.Value, depth)
		case "items":
			if isObject(m.Value) {
				value, err = strictAt(m.Value, depth+1)
			}
		case "anyOf", "oneOf", "allOf":
			value, err = eachElement(m.Value, depth)
			if m.Name == "oneOf" {
				m.Name = "anyOf"
			}
		case "format":
			var f string
			json.Unmarshal(m.Value, &f)
			note = !slices.Contains(formats, f)
		case "minItems":
			note = string(value) != "0" && string(value) != "1"
		case "type":
			isObj = isObj || strings.Contains(string(value), `"object"`)
		default:
			note = !kept[m.Name]
		}
		if err != nil {
			return nil, err
		}
		if note {
			notes = append(notes, m.Name+": "+string(rawjson.Compact(m.Value)))
			continue
		}
		o.Put(m.Name, value)
	}
	if isObj {
		o.Put("additionalProperties", json.RawMessage("false"))
	}
	if len(notes) > 0 {
		if description != "" {
			description += "\n\n"
		}
		o.PutText("description", fmt.Sprintf("%s{%s}", description, strings.Join(notes, ", ")))
	}
	return o.JSON(), nil
}

func eachMember(raw json.RawMessage, depth int) (json.RawMessage, error) {
	list, ok := rawjson.Members(raw)
	if !ok {
		return nil, errNoObject
	}
	var o rawjson.Object
	for _, m := range list {
		value, err := strictAt(m.Value, depth+1)
		if err != nil {
			return nil, err
		}
		o = append(o, rawjson.M(m.Name, value))
	}
	return o.JSON(), nil
}

func eachElement(raw json.RawMessage, depth int) (json.RawMessage, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	for i := range list {
		value, err := strictAt(list[i], depth+1)
		if err != nil {
			return nil, err
		}
		list[i] = value
	}
	return rawjson.Array(list), nil
}

// strictable reports whether a schema follows the rules of OpenAI's strict mode:
// each object is closed and requires all of its properties.
func strictable(raw json.RawMessage, depth int) bool {
	if depth > maxDepth || jsonscan.KindOf(raw) != '{' {
		return len(raw) == 0 || string(raw) == "null"
	}
	var s struct {
		Properties jsonscan.Value    `json:"properties"`
		Required   []string          `json:"required"`
		Additional jsonscan.Value    `json:"additionalProperties"`
		Items      json.RawMessage   `json:"items"`
		AnyOf      []json.RawMessage `json:"anyOf"`
		OneOf      jsonscan.Value    `json:"oneOf"`
		AllOf      jsonscan.Value    `json:"allOf"`
		Defs       jsonscan.Value    `json:"$defs"`
	}
	if jsonscan.Decode(raw, &s) != nil || s.OneOf.Set() || s.AllOf.Set() {
		return false
	}
	for _, object := range []jsonscan.Value{s.Properties, s.Defs} {
		if object.Set() && object.Kind() != '{' {
			return false
		}
	}
	if s.Properties.Set() && !s.Additional.Is("false") {
		return false
	}
	for name, p := range s.Properties.Members() {
		if !slices.Contains(s.Required, name) || !strictable(p.JSON(), depth+1) {
			return false
		}
	}
	for _, d := range s.Defs.Members() {
		if !strictable(d.JSON(), depth+1) {
			return false
		}
	}
	for _, a := range s.AnyOf {
		if !strictable(a, depth+1) {
			return false
		}
	}
	return rawjson.Set(s.Items) == nil || strictable(s.Items, depth+1)
}
