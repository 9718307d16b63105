package gemini

import (
	"encoding/json"
	"fmt"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// chatTool is one of a chat request's tools.
type chatTool struct {
	Type         string          `json:"type"`
	Function     declaration     `json:"function"`
	CacheControl json.RawMessage `json:"cache_control"`
}

type declaration struct {
	Name        string          `json:"name"`
	Description jsonscan.String `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
}

// offersFunctions reports whether a function is among the tools, so that the others can be
// left out.
func (t *toGemini) offersFunctions() bool {
	for _, raw := range t.req.Tools {
		if kind := raw.Get("type"); kind.Absent() || kind.Is(`"function"`) {
			return true
		}
	}
	return len(t.req.Functions) > 0
}

// tools translates tools and tool_choice. Both results are nil if there are none.
func (t *toGemini) tools() (tools, config json.RawMessage, err error) {
	d := declarations{t: t}
	for i, raw := range t.req.Tools {
		at := fmt.Sprintf("tools[%d]", i)
		var tool chatTool
		if err := raw.Decode(&tool); err != nil {
			return nil, nil, dialect.Invalid(at, at+" is not a tool: "+dialect.Why(err))
		}
		if rawjson.Set(tool.CacheControl) != nil {
			t.ignore("cache_control")
		}
		if tool.Type != "function" && tool.Type != "" {
			if t.offersFunctions() {
				t.ignore("tools." + tool.Type)
				continue
			}
			return nil, nil, dialect.Invalid(at+".type", fmt.Sprintf("tools of type %q cannot be used with this provider", tool.Type))
		}
		if err := d.add(&tool.Function, at+".function"); err != nil {
			return nil, nil, err
		}
	}
	for i, raw := range t.req.Functions {
		at := fmt.Sprintf("functions[%d]", i)
		var f declaration
		if err := raw.Decode(&f); err != nil {
			return nil, nil, dialect.Invalid(at, at+" is not a function: "+dialect.Why(err))
		}
		if err := d.add(&f, at); err != nil {
			return nil, nil, err
		}
	}
	var b []byte
	if d.list != nil {
		b = append(append(append(make([]byte, 0, len(d.list)+64), `[{"functionDeclarations":`...), d.list...), "]}"...)
	}
	search, err := t.search(d.list != nil)
	if err != nil {
		return nil, nil, err
	}
	if search != nil {
		b, d.list = search, nil
	}
	if b != nil {
		b = append(b, ']')
	}
	choice, err := t.choice(d.strict)
	if err != nil || choice == nil || d.list == nil {
		return b, nil, err
	}
	return b, rawjson.Object{rawjson.M("functionCallingConfig", rawjson.Must(choice))}.JSON(), nil
}

// search returns Google's own tools for web_search_options as a list without its
// closing bracket, or nil if there are none. Google accepts either these or
// functions. If a request has both, the functions are left out if the search is
// required, and the search otherwise.
func (t *toGemini) search(functions bool) ([]byte, error) {
	w, err := dialect.ReadWebSearch(t.req.WebSearch)
	switch {
	case w == nil || err != nil:
		return nil, err
	case functions && !w.Required:
		t.ignore(w.Name())
		return nil, nil
	case functions:
		t.ignore("tools")
	}
	for _, f := range [...]struct {
		is   bool
		name string
	}{{len(w.Allowed) > 0, ".allowed_domains"}, {len(w.Blocked) > 0, ".blocked_domains"}, {w.Location != nil, ".user_location"}, {w.Size != "" && w.Size != "medium", ".search_context_size"}} {
		if f.is {
			t.ignore(w.Name() + f.name)
		}
	}
	t.searches = true
	b := []byte{'['}
	if !w.NoSearch {
		b = append(b, `{"googleSearch":{}}`...)
	}
	if w.Fetch {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, `{"urlContext":{}}`...)
	}
	return b, nil
}

// declarations collects FunctionDeclarations.
type declarations struct {
	t      *toGemini
	list   []byte // a JSON array without its closing bracket
	strict bool   // one of the functions is strict
}

func (d *declarations) add(f *declaration, at string) error {
	if f.Name == "" {
		return dialect.Invalid(at+".name", "a function needs a name")
	}
	d.strict = d.strict || f.Strict
	if d.list == nil {
		d.list = []byte{'['}
	} else {
		d.list = append(d.list, ',')
	}
	b := jsonscan.AppendQuote(append(d.list, `{"name":`...), d.t.names.send(f.Name))
	if !f.Description.Empty() {
		b = jsonscan.AppendString(append(b, `,"description":`...), f.Description)
	}
	if schema := rawjson.Set(f.Parameters); schema != nil {
		if !rawjson.IsObject(schema) {
			return dialect.Invalid(at+".parameters", "a function's parameters must be a JSON schema")
		}
		if d.t.options.PlainSchemas {
			b = append(append(b, `,"parameters":`...), CleanSchema(schema)...)
		} else {
			b = append(append(b, `,"parametersJsonSchema":`...), schema...)
		}
	}
	d.list = append(b, '}')
	return nil
}

type callingConfig struct {
	Mode    string   `json:"mode"`
	Allowed []string `json:"allowedFunctionNames,omitempty"`
}

// choice translates tool_choice. It returns nil for Gemini's default.
func (t *toGemini) choice(strict bool) (*callingConfig, error) {
	raw, at := rawjson.Set(t.req.ToolChoice), "tool_choice"
	if raw == nil {
		raw, at = rawjson.Set(t.req.FunctionCall), "function_call"
	}
	word, isText := rawjson.Text(raw)
	if raw == nil {
		word, isText = "auto", true
	}
	if isText {
		switch word {
		case "auto":
			if strict {
				return &callingConfig{Mode: "VALIDATED"}, nil
			}
			if raw == nil {
				return nil, nil
			}
			return &callingConfig{Mode: "AUTO"}, nil
		case "none":
			return &callingConfig{Mode: "NONE"}, nil
		case "required", "any":
			return &callingConfig{Mode: "ANY"}, nil
		}
		return nil, dialect.Invalid(at, fmt.Sprintf("%s %q is unknown: use auto, none, required or a function", at, word))
	}
	type named struct {
		Name string `json:"name"`
	}
	var c struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		Function named  `json:"function"`
		Allowed  struct {
			Mode  string `json:"mode"`
			Tools []struct {
				Function named `json:"function"`
			} `json:"tools"`
		} `json:"allowed_tools"`
	}
	if err := jsonscan.Decode(raw, &c); err != nil {
		return nil, dialect.Invalid(at, at+" must be a string or an object")
	}
	switch {
	case c.Type == "allowed_tools":
		out := &callingConfig{Mode: "VALIDATED"}
		if c.Allowed.Mode == "required" {
			out.Mode = "ANY"
		}
		for _, tool := range c.Allowed.Tools {
			if tool.Function.Name == "" {
				return nil, dialect.Invalid("tool_choice.allowed_tools.tools", "only functions can be allowed with this provider")
			}
			out.Allowed = append(out.Allowed, t.names.send(tool.Function.Name))
		}
		if len(out.Allowed) == 0 {
			out.Mode = "NONE"
		}
		return out, nil
	case c.Function.Name != "":
		return &callingConfig{Mode: "ANY", Allowed: []string{t.names.send(c.Function.Name)}}, nil
	case c.Name != "" && at == "function_call":
		return &callingConfig{Mode: "ANY", Allowed: []string{t.names.send(c.Name)}}, nil
	}
	return nil, dialect.Invalid(at, at+" names no function")
}
