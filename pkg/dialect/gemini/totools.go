package gemini

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tools translates tools and toolConfig.
func (f *fromGemini) tools(out *chatOut) error {
	for i, tool := range f.req.Tools {
		for _, m := range tool {
			at := fmt.Sprintf("tools[%d].%s", i, m.name)
			if set(m.value) == nil {
				continue
			}
			switch m.name {
			case "functionDeclarations":
				list, ok := elements(m.value)
				if !ok {
					return invalid(at, at+" must be a list")
				}
				for k, raw := range list {
					tool, err := declared(raw, fmt.Sprintf("%s[%d]", at, k))
					if err != nil {
						return err
					}
					out.Tools = append(out.Tools, tool)
				}
			case "googleSearch", "googleSearchRetrieval":
				out.WebSearch = json.RawMessage("{}")
			default:
				return invalid(at, m.name+" is run by Google itself and cannot be used with this provider")
			}
		}
	}
	if len(out.Tools) > 0 {
		return f.choice(out)
	}
	return nil
}

func declared(raw json.RawMessage, at string) (json.RawMessage, error) {
	var d nativeDeclaration
	if err := json.Unmarshal(raw, &d); err != nil || d.Name == "" {
		return nil, invalid(at, at+" is not a function declaration")
	}
	function := []member{{"name", appendString(nil, d.Name)}}
	if d.Description != "" {
		function = append(function, member{"description", appendString(nil, d.Description)})
	}
	schema := set(d.JSONSchema)
	if schema == nil && set(d.Parameters) != nil {
		schema = StandardSchema(d.Parameters)
	}
	if schema == nil {
		schema = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	function = append(function, member{"parameters", schema})
	return object([]member{{"type", json.RawMessage(`"function"`)}, {"function", object(function)}}), nil
}

func (f *fromGemini) choice(out *chatOut) error {
	c := f.req.ToolConfig.Calling
	named := func(name string) json.RawMessage {
		return object([]member{{"type", json.RawMessage(`"function"`)}, {"function", object([]member{{"name", appendString(nil, name)}})}})
	}
	allowed := func(mode string) json.RawMessage {
		var tools []json.RawMessage
		for _, name := range c.Allowed {
			tools = append(tools, named(name))
		}
		return object([]member{
			{"type", json.RawMessage(`"allowed_tools"`)},
			{"allowed_tools", object([]member{{"mode", appendString(nil, mode)}, {"tools", array(tools)}})},
		})
	}
	switch mode := strings.ToUpper(c.Mode); {
	case mode == "NONE":
		out.ToolChoice = json.RawMessage(`"none"`)
	case mode == "ANY" && len(c.Allowed) == 1:
		out.ToolChoice = named(c.Allowed[0])
	case mode == "ANY" && len(c.Allowed) > 1:
		out.ToolChoice = allowed("required")
	case mode == "ANY":
		out.ToolChoice = json.RawMessage(`"required"`)
	case mode == "VALIDATED" && len(c.Allowed) > 0:
		out.ToolChoice = allowed("auto")
	case slices.Contains([]string{"", "AUTO", "VALIDATED", "MODE_UNSPECIFIED"}, mode):
	default:
		return invalid("toolConfig.functionCallingConfig.mode", fmt.Sprintf("mode %q is not known; use AUTO, ANY, NONE or VALIDATED", c.Mode))
	}
	return nil
}

// StandardSchema writes Gemini's own Schema (types in capitals, nullable,
// numbers as strings) as the JSON Schema that everybody else takes. Key order is
// kept; what is a JSON Schema already stays so.
func StandardSchema(schema json.RawMessage) json.RawMessage { return standard(schema, 0) }

func standard(schema json.RawMessage, depth int) json.RawMessage {
	list, ok := members(schema)
	if !ok || depth > 64 {
		return schema
	}
	nullable := slices.ContainsFunc(list, func(m member) bool { return m.name == "nullable" && string(m.value) == "true" })
	var out []member
	for _, m := range list {
		switch m.name {
		case "nullable", "propertyOrdering", "example":
			continue
		case "type":
			if s, ok := text(m.value); ok {
				m.value = appendString(nil, strings.ToLower(s))
				if nullable {
					m.value = array([]json.RawMessage{m.value, json.RawMessage(`"null"`)})
				}
			}
		case "minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength":
			if s, ok := text(m.value); ok {
				if n, err := strconv.ParseInt(s, 10, 64); err == nil {
					m.value = strconv.AppendInt(nil, n, 10)
				}
			}
		case "items", "additionalProperties", "not":
			m.value = standard(m.value, depth+1)
		case "properties", "$defs", "definitions":
			properties, _ := members(m.value)
			for i := range properties {
				properties[i].value = standard(properties[i].value, depth+1)
			}
			m.value = object(properties)
		case "anyOf", "oneOf", "allOf":
			choices, _ := elements(m.value)
			for i := range choices {
				choices[i] = standard(choices[i], depth+1)
			}
			m.value = array(choices)
		case "enum":
			if values, ok := elements(m.value); ok && nullable {
				m.value = array(append(values, json.RawMessage("null")))
			}
		}
		out = append(out, m)
	}
	return object(out)
}
