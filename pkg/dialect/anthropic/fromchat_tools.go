package anthropic

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

type chatTool struct {
	Type     string          `json:"type"`
	Function chatFunction    `json:"function"`
	Cache    json.RawMessage `json:"cache_control"`
}

type chatFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`
	Cache       json.RawMessage `json:"cache_control"`
}

func (t *fromChat) toolsAndChoice() error {
	for i := range t.req.Tools {
		tool := &t.req.Tools[i]
		if tool.Type != "function" && tool.Type != "" {
			return dialect.Invalid(fmt.Sprintf("tools[%d].type", i), fmt.Sprintf("tools of type %q cannot be used with this provider", tool.Type))
		}
		cache := tool.Cache
		if rawjson.Set(cache) == nil {
			cache = tool.Function.Cache
		}
		if err := t.tool(&tool.Function, cache, fmt.Sprintf("tools[%d].function", i)); err != nil {
			return err
		}
	}
	for i := range t.req.Functions {
		t.legacy = len(t.req.Tools) == 0
		if err := t.tool(&t.req.Functions[i], nil, fmt.Sprintf("functions[%d]", i)); err != nil {
			return err
		}
	}
	name, err := t.toolChoice()
	if err != nil {
		return err
	}
	if len(t.tools) == 0 {
		if t.choice == "any" || t.choice == "tool" {
			return dialect.Invalid("tool_choice", "tool_choice asks for a tool, but there are no tools")
		}
		t.choice = ""
		if t.req.ParallelToolCalls != nil {
			t.ignore("parallel_tool_calls")
		}
		return nil
	}
	if t.choice == "tool" && !slices.Contains(t.toolNames, name) {
		return dialect.Invalid("tool_choice", fmt.Sprintf("tool_choice names the tool %q, which is not among the tools", name))
	}
	t.putChoice(name, t.legacy || t.req.ParallelToolCalls != nil && !*t.req.ParallelToolCalls)
	return nil
}

func (t *fromChat) putChoice(name string, single bool) {
	if single && t.choice == "" {
		t.choice = "auto"
	}
	if t.choice == "" {
		return
	}
	var o rawjson.Object
	o.PutText("type", t.choice)
	if t.choice == "tool" {
		o.PutText("name", name)
	}
	if single && t.choice != "none" {
		o.Put("disable_parallel_tool_use", json.RawMessage("true"))
	}
	t.out.Put("tool_choice", o.JSON())
}

func (t *fromChat) tool(f *chatFunction, cache json.RawMessage, at string) error {
	if f.Name == "" {
		return dialect.Invalid(at+".name", "a tool needs a name")
	}
	var o rawjson.Object
	o.PutText("name", f.Name)
	if f.Description != "" {
		o.PutText("description", f.Description)
	}
	schema := rawjson.Set(f.Parameters)
	switch {
	case schema == nil || string(rawjson.Compact(schema)) == "{}":
		schema = json.RawMessage(`{"type":"object","properties":{}}`)
	case !isObject(schema):
		return dialect.Invalid(at+".parameters", "parameters must be a JSON schema of an object")
	default:
		schema = typed(rawjson.Compact(schema))
	}
	o.Put("input_schema", schema)
	if f.Strict != nil && *f.Strict {
		if t.model.Structured {
			o.Put("strict", json.RawMessage("true"))
		} else {
			t.ignore("tools.function.strict")
		}
	}
	if rawjson.Set(cache) != nil {
		o.Put("cache_control", rawjson.Compact(cache))
	}
	t.tools, t.toolNames = append(t.tools, o.JSON()), append(t.toolNames, f.Name)
	return nil
}

// typed gives a schema the type that Anthropic wants it to say; all else stays.
func typed(schema json.RawMessage) json.RawMessage {
	var s struct {
		Type json.RawMessage `json:"type"`
	}
	if json.Unmarshal(schema, &s) != nil || rawjson.Set(s.Type) != nil {
		return schema
	}
	return append(json.RawMessage(`{"type":"object",`), schema[1:]...)
}

// toolChoice reads tool_choice or its predecessor function_call into t.choice;
// allowed_tools also filters the tools.
func (t *fromChat) toolChoice() (name string, err error) {
	raw, field := rawjson.Set(t.req.ToolChoice), "tool_choice"
	if raw == nil {
		raw, field = rawjson.Set(t.req.FunctionCall), "function_call"
	}
	if raw == nil {
		return "", nil
	}
	var word string
	if json.Unmarshal(raw, &word) == nil {
		switch word {
		case "auto", "none":
			t.choice = word
		case "required", "any":
			t.choice = "any"
		default:
			return "", dialect.Invalid(field, fmt.Sprintf("%s cannot be %q", field, word))
		}
		return "", nil
	}
	var c struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
		Allowed struct {
			Mode  string `json:"mode"`
			Tools []struct {
				Name     string `json:"name"`
				Function struct {
					Name string `json:"name"`
				} `json:"function"`
			} `json:"tools"`
		} `json:"allowed_tools"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", dialect.Invalid(field, field+" must be a word or an object")
	}
	switch {
	case c.Type == "function" || c.Type == "" && field == "function_call":
		if name = c.Function.Name; name == "" {
			name = c.Name
		}
		t.choice = "tool"
		return name, nil
	case c.Type == "allowed_tools":
		var allowed []string
		for _, tool := range c.Allowed.Tools {
			if tool.Function.Name == "" {
				tool.Function.Name = tool.Name
			}
			if !slices.Contains(t.toolNames, tool.Function.Name) {
				return "", dialect.Invalid(field, fmt.Sprintf("%s names the tool %q, which is not among the tools", field, tool.Function.Name))
			}
			allowed = append(allowed, tool.Function.Name)
		}
		t.filter(allowed)
		if t.choice = "auto"; c.Allowed.Mode == "required" {
			t.choice = "any"
		}
		return "", nil
	}
	return "", dialect.Invalid(field, fmt.Sprintf("%s of type %q cannot be used with this provider", field, c.Type))
}

func (t *fromChat) filter(allowed []string) {
	var tools []json.RawMessage
	var names []string
	for i, name := range t.toolNames {
		if slices.Contains(allowed, name) {
			tools, names = append(tools, t.tools[i]), append(names, name)
		}
	}
	t.tools, t.toolNames = tools, names
}

// format carries response_format.
func (t *fromChat) format() error {
	raw := rawjson.Set(t.req.ResponseFormat)
	if raw == nil {
		return nil
	}
	var f struct {
		Type   string `json:"type"`
		Schema struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Schema      json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return dialect.Invalid("response_format", "response_format must be an object")
	}
	switch f.Type {
	case "text", "":
		return nil
	case "json_object":
		t.system = append(t.system, textBlock("Answer with one valid JSON object and nothing else: no prose before or after it, no code fence."))
		return nil
	case "json_schema":
	default:
		return dialect.Invalid("response_format.type", fmt.Sprintf("response_format.type %q cannot be used with this provider", f.Type))
	}
	if !isObject(f.Schema.Schema) {
		return dialect.Invalid("response_format.json_schema.schema", "response_format.json_schema.schema must be a JSON schema")
	}
	if t.model.Structured {
		schema, err := strictSchema(f.Schema.Schema)
		if err != nil {
			return dialect.Invalid("response_format.json_schema.schema", "response_format.json_schema.schema is no JSON schema that can be enforced: "+err.Error())
		}
		t.out.Put("output_config", json.RawMessage(`{"format":{"type":"json_schema","schema":`+string(schema)+`}}`))
		return nil
	}
	// An older model is made to call a tool whose input is the answer.
	if t.choice == "any" || t.choice == "tool" {
		t.ignore("response_format") // a tool was asked for: that comes first
		return nil
	}
	t.hidden = "json_answer"
	for slices.Contains(t.toolNames, t.hidden) {
		t.hidden += "_"
	}
	description := "Give your final answer by calling this tool."
	if f.Schema.Description != "" {
		description += " " + f.Schema.Description
	}
	if err := t.tool(&chatFunction{Name: t.hidden, Description: description, Parameters: f.Schema.Schema}, nil, "response_format.json_schema"); err != nil {
		return err
	}
	single := t.req.ParallelToolCalls != nil && !*t.req.ParallelToolCalls
	if len(t.tools) == 1 || t.choice == "none" {
		t.choice = "tool"
	} else {
		t.choice = "any"
	}
	t.putChoice(t.hidden, single)
	return nil
}
