package gemini

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// tools translates tools and toolConfig.
func (f *fromGemini) tools(out *openai.Request) error {
	for i, tool := range f.req.Tools {
		for _, m := range tool {
			at := fmt.Sprintf("tools[%d].%s", i, m.Name)
			if rawjson.Set(m.Value) == nil {
				continue
			}
			switch m.Name {
			case "functionDeclarations":
				list, ok := rawjson.Elements(m.Value)
				if !ok {
					return dialect.Invalid(at, at+" must be a list")
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
				return dialect.Invalid(at, m.Name+" is run by Google itself and cannot be used with this provider")
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
		return nil, dialect.Invalid(at, at+" is not a function declaration")
	}
	function := rawjson.Object{rawjson.T("name", d.Name)}
	if d.Description != "" {
		function = append(function, rawjson.T("description", d.Description))
	}
	schema := rawjson.Set(d.JSONSchema)
	if schema == nil && rawjson.Set(d.Parameters) != nil {
		schema = StandardSchema(d.Parameters)
	}
	if schema == nil {
		schema = json.RawMessage(`{"type":"object","properties":{}}`)
	}
	function = append(function, rawjson.M("parameters", schema))
	return rawjson.Object{rawjson.T("type", "function"), rawjson.M("function", function.JSON())}.JSON(), nil
}

func (f *fromGemini) choice(out *openai.Request) error {
	c := f.req.ToolConfig.Calling
	named := func(name string) json.RawMessage {
		return rawjson.Object{rawjson.T("type", "function"), rawjson.M("function", rawjson.Object{rawjson.T("name", name)}.JSON())}.JSON()
	}
	allowed := func(mode string) json.RawMessage {
		var tools []json.RawMessage
		for _, name := range c.Allowed {
			tools = append(tools, named(name))
		}
		return rawjson.Object{
			rawjson.T("type", "allowed_tools"),
			rawjson.M("allowed_tools", rawjson.Object{rawjson.T("mode", mode), rawjson.M("tools", rawjson.Array(tools))}.JSON()),
		}.JSON()
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
		return dialect.Invalid("toolConfig.functionCallingConfig.mode", fmt.Sprintf("mode %q is not known; use AUTO, ANY, NONE or VALIDATED", c.Mode))
	}
	return nil
}

// StandardSchema writes Gemini's own Schema (types in capitals, nullable,
// numbers as strings) as the JSON Schema that everybody else takes. Key order is
// kept; what is a JSON Schema already stays so.
func StandardSchema(schema json.RawMessage) json.RawMessage { return standard(schema, 0) }

func standard(schema json.RawMessage, depth int) json.RawMessage {
	list, ok := rawjson.Members(schema)
	if !ok || depth > 64 {
		return schema
	}
	nullable := slices.ContainsFunc(list, func(m rawjson.Member) bool { return m.Name == "nullable" && string(m.Value) == "true" })
	var out rawjson.Object
	for _, m := range list {
		switch m.Name {
		case "nullable", "propertyOrdering", "example":
			continue
		case "type":
			if s, ok := rawjson.Text(m.Value); ok {
				m.Value = rawjson.Quote(strings.ToLower(s))
				if nullable {
					m.Value = rawjson.Array([]json.RawMessage{m.Value, json.RawMessage(`"null"`)})
				}
			}
		case "minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength":
			if s, ok := rawjson.Text(m.Value); ok {
				if n, err := strconv.ParseInt(s, 10, 64); err == nil {
					m.Value = strconv.AppendInt(nil, n, 10)
				}
			}
		case "items", "additionalProperties", "not":
			m.Value = standard(m.Value, depth+1)
		case "properties", "$defs", "definitions":
			properties, _ := rawjson.Members(m.Value)
			for i := range properties {
				properties[i].Value = standard(properties[i].Value, depth+1)
			}
			m.Value = properties.JSON()
		case "anyOf", "oneOf", "allOf":
			choices, _ := rawjson.Elements(m.Value)
			for i := range choices {
				choices[i] = standard(choices[i], depth+1)
			}
			m.Value = rawjson.Array(choices)
		case "enum":
			if values, ok := rawjson.Elements(m.Value); ok && nullable {
				m.Value = rawjson.Array(append(values, json.RawMessage("null")))
			}
		}
		out = append(out, m)
	}
	return out.JSON()
}
