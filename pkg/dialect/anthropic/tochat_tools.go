package anthropic

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
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
			return dialect.Invalid(fmt.Sprintf("tools[%d].type", i), fmt.Sprintf("tools of type %q are Anthropic's own and cannot be used with this provider", tool.Type))
		}
		if tool.Name == "" {
			return dialect.Invalid(fmt.Sprintf("tools[%d].name", i), "a tool needs a name")
		}
		var f rawjson.Object
		f.PutText("name", t.short(tool.Name))
		if tool.Description != "" {
			f.PutText("description", tool.Description)
		}
		if schema := rawjson.Set(tool.Schema); schema != nil {
			if !isObject(schema) {
				return dialect.Invalid(fmt.Sprintf("tools[%d].input_schema", i), "input_schema must be a JSON schema")
			}
			f.Put("parameters", rawjson.Compact(schema))
		}
		if tool.Strict != nil && *tool.Strict && (t.up.Whole() || strictable(tool.Schema, 0)) {
			f.Put("strict", json.RawMessage("true"))
		}
		var o rawjson.Object
		o.PutText("type", "function")
		o.Put("function", f.JSON())
		if t.up.Takes(openai.CacheControl) && rawjson.Set(tool.Cache) != nil {
			o.Put("cache_control", rawjson.Compact(tool.Cache))
		}
		list, names = append(list, o.JSON()), append(names, tool.Name)
	}
	if len(list) > 0 {
		t.out.Put("tools", rawjson.Array(list))
	}
	return t.toolChoice(names)
}

func (t *toChat) toolChoice(names []string) error {
	raw := rawjson.Set(t.req.ToolChoice)
	if raw == nil {
		return nil
	}
	var c struct {
		Type   string `json:"type"`
		Name   string `json:"name"`
		Single bool   `json:"disable_parallel_tool_use"`
	}
	if json.Unmarshal(raw, &c) != nil {
		return dialect.Invalid("tool_choice", "tool_choice must be an object")
	}
	var choice json.RawMessage
	switch c.Type {
	case "auto", "none":
		choice = rawjson.Quote(c.Type)
	case "any":
		choice = rawjson.Quote("required")
	case "tool":
		if !slices.Contains(names, c.Name) {
			return dialect.Invalid("tool_choice.name", fmt.Sprintf("tool_choice names the tool %q, which is not among the tools", c.Name))
		}
		choice = json.RawMessage(`{"type":"function","function":{"name":` + string(rawjson.Quote(t.short(c.Name))) + `}}`)
	default:
		return dialect.Invalid("tool_choice.type", fmt.Sprintf("tool_choice.type must be auto, any, tool or none, not %q", c.Type))
	}
	if len(names) == 0 {
		if c.Type == "any" {
			return dialect.Invalid("tool_choice", "tool_choice asks for a tool, but there are no tools")
		}
		return nil
	}
	t.out.Put("tool_choice", choice)
	if c.Single && c.Type != "none" {
		t.out.Put("parallel_tool_calls", json.RawMessage("false"))
	}
	return nil
}
