package gemini

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// functions translates tools and toolConfig.
func (f *fromGemini) functions(out *jsonscan.Value) error {
	hosted, hostedAt := "", ""
	for i, raw := range f.req.Tools {
		if !rawjson.IsObject(raw) {
			return dialect.Invalid("tools", fmt.Sprintf("tools[%d] must be an object", i))
		}
		for name, value := range jsonscan.Members(raw) {
			at := fmt.Sprintf("tools[%d].%s", i, name)
			if rawjson.Set(value) == nil {
				continue
			}
			switch string(name) {
			case "functionDeclarations":
				if jsonscan.KindOf(value) != '[' {
					return dialect.Invalid(at, at+" must be a list")
				}
				for k, raw := range jsonscan.Elements(value) {
					if err := f.declare(raw, fmt.Sprintf("%s[%d]", at, k)); err != nil {
						return err
					}
				}
			case "googleSearch", "googleSearchRetrieval", "enterpriseWebSearch":
				f.web("googleSearch").NoSearch = false
			case "urlContext":
				f.web("urlContext").Fetch = true
			default:
				if hosted == "" {
					hosted, hostedAt = string(name), at
				}
				f.ignored = dialect.Ignore(f.ignored, "tools."+string(name))
			}
		}
	}
	if hosted != "" && len(f.tools) == 0 && f.search == nil { // what the request is about
		return dialect.Invalid(hostedAt, hosted+" is run by Google and cannot be used with this provider")
	}
	if f.search != nil {
		f.search.Required = len(f.tools) == 0
	}
	if len(f.tools) == 0 {
		return nil
	}
	out.Put("tools", jsonscan.Arr(f.tools))
	return f.choice(out)
}

// web returns the web search options to fill in, and creates them if necessary.
func (f *fromGemini) web(name string) *dialect.WebSearch {
	if f.search == nil {
		f.search = &dialect.WebSearch{From: "tools." + name, NoSearch: true}
	}
	return f.search
}

// nativeDeclaration is a FunctionDeclaration.
type nativeDeclaration struct {
	Name        jsonscan.String `json:"name"`
	Description jsonscan.String `json:"description"`
	JSONSchema  json.RawMessage `json:"parametersJsonSchema"`
	Parameters  json.RawMessage `json:"parameters"`
}

// declare adds a function to the tools.
func (f *fromGemini) declare(raw json.RawMessage, at string) error {
	var d nativeDeclaration
	if err := jsonscan.Decode(raw, &d); err != nil || d.Name.Empty() {
		return dialect.Invalid(at, at+" is not a function declaration")
	}
	schema := jsonscan.Lit(`{"type":"object","properties":{}}`)
	switch {
	case rawjson.Set(d.JSONSchema) != nil:
		schema = jsonscan.Raw(d.JSONSchema)
	case rawjson.Set(d.Parameters) != nil:
		schema = jsonscan.Raw(StandardSchema(d.Parameters))
	}
	function := jsonscan.Obj(member("name", jsonscan.Str(d.Name)))
	if !d.Description.Empty() {
		function.Put("description", jsonscan.Str(d.Description))
	}
	function.Put("parameters", schema)
	f.tools = append(f.tools, jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("function", function)))
	return nil
}

// choice translates functionCallingConfig into tool_choice.
func (f *fromGemini) choice(out *jsonscan.Value) error {
	c := f.req.ToolConfig.Calling
	named := func(name string) jsonscan.Value {
		return jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("function", jsonscan.Obj(member("name", jsonscan.Quoted(name)))))
	}
	allowed := func(mode string) jsonscan.Value {
		var tools []jsonscan.Value
		for _, name := range c.Allowed {
			tools = append(tools, named(name))
		}
		return jsonscan.Obj(
			member("type", jsonscan.Lit(`"allowed_tools"`)),
			member("allowed_tools", jsonscan.Obj(member("mode", jsonscan.Quoted(mode)), member("tools", jsonscan.Arr(tools)))),
		)
	}
	switch mode := strings.ToUpper(c.Mode); {
	case mode == "NONE":
		out.Put("tool_choice", jsonscan.Lit(`"none"`))
	case mode == "ANY" && len(c.Allowed) == 1:
		out.Put("tool_choice", named(c.Allowed[0]))
	case mode == "ANY" && len(c.Allowed) > 1:
		out.Put("tool_choice", allowed("required"))
	case mode == "ANY":
		out.Put("tool_choice", jsonscan.Lit(`"required"`))
	case mode == "VALIDATED" && len(c.Allowed) > 0:
		out.Put("tool_choice", allowed("auto"))
	case slices.Contains([]string{"", "AUTO", "VALIDATED", "MODE_UNSPECIFIED"}, mode):
	default:
		return dialect.Invalid("toolConfig.functionCallingConfig.mode", fmt.Sprintf("mode %q is unknown: use AUTO, ANY, NONE or VALIDATED", c.Mode))
	}
	return nil
}

// StandardSchema converts Gemini's own Schema (types in capitals, nullable, numbers
// as strings) to JSON Schema. The order of keys is kept. It leaves a JSON Schema
// unchanged.
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
