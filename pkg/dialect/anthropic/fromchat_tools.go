package anthropic

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

type chatTool struct {
	Type     string         `json:"type"`
	Function chatFunction   `json:"function"`
	Cache    jsonscan.Value `json:"cache_control"`
}

type chatFunction struct {
	Name        string          `json:"name"`
	Description jsonscan.String `json:"description"`
	Parameters  jsonscan.Value  `json:"parameters"`
	Strict      *bool           `json:"strict"`
	Cache       jsonscan.Value  `json:"cache_control"`
}

// offersFunctions reports whether a function is among tools, so that the others can be
// left out.
func offersFunctions(tools []chatTool) bool {
	return slices.ContainsFunc(tools, func(tool chatTool) bool { return tool.Type == "function" || tool.Type == "" })
}

func (t *fromChat) toolsAndChoice() error {
	for i := range t.req.Tools {
		tool := &t.req.Tools[i]
		if tool.Type != "function" && tool.Type != "" {
			if offersFunctions(t.req.Tools) {
				t.ignore("tools." + tool.Type)
				continue
			}
			return dialect.Invalid(fmt.Sprintf("tools[%d].type", i), fmt.Sprintf("tools of type %q cannot be used with this provider", tool.Type))
		}
		cache := tool.Cache
		if !cache.Set() {
			cache = tool.Function.Cache
		}
		if err := t.tool(&tool.Function, cache, fmt.Sprintf("tools[%d].function", i)); err != nil {
			return err
		}
	}
	for i := range t.req.Functions {
		t.legacy = len(t.req.Tools) == 0
		if err := t.tool(&t.req.Functions[i], jsonscan.Value{}, fmt.Sprintf("functions[%d]", i)); err != nil {
			return err
		}
	}
	name, err := t.toolChoice()
	if err != nil {
		return err
	}
	functions := len(t.tools)
	if err := t.putSearch(); err != nil {
		return err
	}
	switch search := len(t.tools) > functions; {
	case search && t.mustSearch:
		t.choice, name = "tool", searchTool
	case search && functions == 0:
		t.choice = "" // it was for functions, and there are none
		return nil
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
	o := jsonscan.Obj(member("type", text(t.choice)))
	if t.choice == "tool" {
		o.PutText("name", name)
	}
	if single && t.choice != "none" {
		o.Put("disable_parallel_tool_use", jsonscan.Lit("true"))
	}
	t.put("tool_choice", o)
}

func (t *fromChat) tool(f *chatFunction, cache jsonscan.Value, at string) error {
	if f.Name == "" {
		return dialect.Invalid(at+".name", "a tool needs a name")
	}
	schema, rule, ok := dialect.ToolSchema(f.Parameters)
	if !ok {
		return dialect.Invalid(at+".parameters", "parameters must be a JSON schema of an object")
	}
	o := jsonscan.Obj(member("name", text(f.Name)))
	if description := dialect.WithRule(f.Description, rule); description.Set() {
		o.Put("description", description)
	}
	schema = schema.Compact()
	o.Put("input_schema", schema)
	if f.Strict != nil && *f.Strict {
		if t.model.Structured {
			o.Put("strict", jsonscan.Lit("true"))
		} else {
			t.ignore("tools.function.strict")
		}
	}
	if cache.Set() {
		o.Put("cache_control", cache.Compact())
	}
	t.tools, t.toolNames = append(t.tools, o), append(t.toolNames, f.Name)
	return nil
}

// toolChoice reads tool_choice, or its predecessor function_call, into t.choice.
// allowed_tools also filters the tools.
func (t *fromChat) toolChoice() (name string, err error) {
	raw, field := rawjson.Set(t.req.ToolChoice), "tool_choice"
	if raw == nil {
		raw, field = rawjson.Set(t.req.FunctionCall), "function_call"
	}
	if raw == nil {
		return "", nil
	}
	if word, ok := jsonscan.Text(raw); ok {
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
	if err := jsonscan.Decode(raw, &c); err != nil {
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
	var tools []jsonscan.Value
	var names []string
	for i, name := range t.toolNames {
		if slices.Contains(allowed, name) {
			tools, names = append(tools, t.tools[i]), append(names, name)
		}
	}
	t.tools, t.toolNames = tools, names
}

// format translates response_format.
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
	if err := jsonscan.Decode(raw, &f); err != nil {
		return dialect.Invalid("response_format", "response_format must be an object")
	}
	switch f.Type {
	case "text", "":
		return nil
	case "json_object":
		t.system = append(t.system, textBlock(text("Answer with one valid JSON object and nothing else: no prose before or after it, no code fence.")))
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
			return dialect.Invalid("response_format.json_schema.schema", "response_format.json_schema.schema cannot be enforced: "+err.Error())
		}
		t.put("output_config", jsonscan.Obj(member("format", jsonscan.Obj(member("type", text("json_schema")), member("schema", jsonscan.Raw(schema))))))
		return nil
	}
	// An older model is made to call a tool whose input is the response.
	if t.choice == "any" || t.choice == "tool" {
		t.ignore("response_format") // a forced tool takes precedence
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
	if err := t.tool(&chatFunction{Name: t.hidden, Description: jsonscan.Quote(description), Parameters: jsonscan.Raw(f.Schema.Schema)}, jsonscan.Value{}, "response_format.json_schema"); err != nil {
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
