package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hostless/hostless/pkg/dialect/openai"
)

type inTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"input_schema"`
	Strict      *bool           `json:"strict"`
	Cache       json.RawMessage `json:"cache_control"`
}

// maxName is how long a function's name may be in chat; Messages takes twice that.
const maxName = 64

// short gives the name that a tool has in chat.
func (t *toChat) short(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	short := name[:maxName-9] + "_" + hex.EncodeToString(sum[:4])
	t.long[short] = name
	return short
}

// tools carries tools and tool_choice. Tools that Anthropic runs, or whose
// schema its models were trained on, are refused: no other model has them.
func (t *toChat) tools() error {
	var list []json.RawMessage
	var names []string
	for i := range t.req.Tools {
		tool := &t.req.Tools[i]
		if tool.Type != "" && tool.Type != "custom" {
			return invalid(fmt.Sprintf("tools[%d].type", i), fmt.Sprintf("tools of type %q are Anthropic's own and cannot be used with this provider", tool.Type))
		}
		if tool.Name == "" {
			return invalid(fmt.Sprintf("tools[%d].name", i), "a tool needs a name")
		}
		var f object
		f.text("name", t.short(tool.Name))
		if tool.Description != "" {
			f.text("description", tool.Description)
		}
		if schema := set(tool.Schema); schema != nil {
			if !isObject(schema) {
				return invalid(fmt.Sprintf("tools[%d].input_schema", i), "input_schema must be a JSON schema")
			}
			f.put("parameters", compact(schema))
		}
		if tool.Strict != nil && *tool.Strict && (t.up.Whole() || strictable(tool.Schema, 0)) {
			f.put("strict", json.RawMessage("true"))
		}
		var o object
		o.text("type", "function")
		o.put("function", f.json())
		if t.up.Takes(openai.CacheControl) && set(tool.Cache) != nil {
			o.put("cache_control", compact(tool.Cache))
		}
		list, names = append(list, o.json()), append(names, tool.Name)
	}
	if len(list) > 0 {
		t.out.put("tools", array(list))
	}
	return t.toolChoice(names)
}

func (t *toChat) toolChoice(names []string) error {
	raw := set(t.req.ToolChoice)
	if raw == nil {
		return nil
	}
	var c struct {
		Type   string `json:"type"`
		Name   string `json:"name"`
		Single bool   `json:"disable_parallel_tool_use"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return invalid("tool_choice", "tool_choice must be an object")
	}
	var choice json.RawMessage
	switch c.Type {
	case "auto", "none":
		choice = quote(c.Type)
	case "any":
		choice = quote("required")
	case "tool":
		if !slices.Contains(names, c.Name) {
			return invalid("tool_choice.name", fmt.Sprintf("tool_choice names the tool %q, which is not among the tools", c.Name))
		}
		choice = json.RawMessage(`{"type":"function","function":{"name":` + string(quote(t.short(c.Name))) + `}}`)
	default:
		return invalid("tool_choice.type", fmt.Sprintf("tool_choice.type must be auto, any, tool or none, not %q", c.Type))
	}
	if len(names) == 0 {
		if c.Type == "any" {
			return invalid("tool_choice", "tool_choice asks for a tool, but there are no tools")
		}
		return nil
	}
	t.out.put("tool_choice", choice)
	if c.Single && c.Type != "none" {
		t.out.put("parallel_tool_calls", json.RawMessage("false"))
	}
	return nil
}
