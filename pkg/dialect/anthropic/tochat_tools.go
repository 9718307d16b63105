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
	"github.com/hostless/hostless/pkg/jsonscan"
)

type inTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description jsonscan.String `json:"description"`
	Schema      json.RawMessage `json:"input_schema"`
	Strict      *bool           `json:"strict"`
	Cache       jsonscan.Value  `json:"cache_control"`
	Deferred    jsonscan.Value  `json:"defer_loading"`
	Width       int             `json:"display_width_px"` // of the computer tool
	Height      int             `json:"display_height_px"`
	inSearch
}

// maxName is the maximum length of a function's name in chat completions. Messages
// allows twice that.
const maxName = 64

// shortName returns the name that a tool has in chat completions.
func (t *toChat) shortName(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	short := name[:maxName-9] + "_" + hex.EncodeToString(sum[:4])
	t.long[short] = name
	return short
}

// tools translates tools and tool_choice. Tools that Anthropic runs are left out and
// reported if there are others, and refused if there are none or tool_choice requires
// them, because no other model has them. The exceptions are web search and the reading
// of web pages, which other providers have too, and tools that the client runs itself,
// which become functions.
func (t *toChat) tools() error {
	list, names := make([]jsonscan.Value, 0, len(t.req.Tools)), make([]string, 0, len(t.req.Tools))
	hosted, hostedAt := "", 0
	for i := range t.req.Tools {
		tool := &t.req.Tools[i]
		if tool.web(&t.search) {
			continue
		}
		if tool.Type != "" && tool.Type != "custom" && !tool.clientSide() {
			if hosted == "" {
				hosted, hostedAt = tool.Type, i
			}
			if tool.Name != "" && t.chosen() == tool.Name {
				return notOffered(i, tool.Type)
			}
			t.ignore("tools." + tool.Type)
			continue
		}
		if tool.Name == "" {
			return dialect.Invalid(fmt.Sprintf("tools[%d].name", i), "a tool needs a name")
		}
		if tool.Deferred.Is("true") {
			t.ignore("tools.defer_loading")
		}
		var f jsonscan.Value
		f.PutText("name", t.shortName(tool.Name))
		if !tool.Description.Empty() {
			f.Put("description", jsonscan.Str(tool.Description))
		}
		if schema := jsonscan.Raw(tool.Schema); schema.Set() {
			if schema.Kind() != '{' {
				return dialect.Invalid(fmt.Sprintf("tools[%d].input_schema", i), "input_schema must be a JSON schema")
			}
			f.Put("parameters", schema.Compact())
		}
		if tool.Strict != nil && *tool.Strict && (t.up.All() || strictable(tool.Schema, 0)) {
			f.Put("strict", jsonscan.Lit("true"))
		}
		o := jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("function", f))
		if t.up.Takes(openai.CacheControl) && tool.Cache.Set() {
			o.Put("cache_control", tool.Cache.Compact())
		}
		list, names = append(list, o), append(names, tool.Name)
	}
	if hosted != "" && len(list) == 0 && t.search == nil {
		return notOffered(hostedAt, hosted)
	}
	if len(list) > 0 {
		t.out.Put("tools", jsonscan.Arr(list))
	}
	if err := t.toolChoice(names); err != nil {
		return err
	}
	if s := t.search; s != nil {
		s.Required = s.Required || len(list) == 0
		t.out.Put("web_search_options", s.Value())
	}
	return nil
}

// notOffered is the error for a tool that Anthropic runs.
func notOffered(i int, kind string) error {
	return dialect.Invalid(fmt.Sprintf("tools[%d].type", i), fmt.Sprintf("tools of type %q are Anthropic's own and cannot be used with this provider", kind))
}

// chosen returns the name of the tool that tool_choice requires; "" if there is none.
func (t *toChat) chosen() string {
	return jsonscan.Raw(t.req.ToolChoice).Get("name").String().Text()
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
	if jsonscan.Decode(raw, &c) != nil {
		return dialect.Invalid("tool_choice", "tool_choice must be an object")
	}
	if t.search != nil && (c.Type == "tool" && (c.Name == searchTool || c.Name == fetchTool && t.search.Fetch) && !slices.Contains(names, c.Name) || c.Type == "any" && len(names) == 0) {
		t.search.Required, t.search.Forced = true, true
		return nil
	}
	var choice jsonscan.Value
	switch c.Type {
	case "auto", "none":
		choice = text(c.Type)
	case "any":
		choice = text("required")
	case "tool":
		if !slices.Contains(names, c.Name) {
			return dialect.Invalid("tool_choice.name", fmt.Sprintf("tool_choice names the tool %q, which is not among the tools", c.Name))
		}
		choice = jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("function", jsonscan.Obj(member("name", text(t.shortName(c.Name))))))
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
		t.out.Put("parallel_tool_calls", jsonscan.Lit("false"))
	}
	return nil
}
