package responses

import (
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

type chatTool struct {
	Type     string         `json:"type"`
	Function chatFunction   `json:"function"`
	Custom   jsonscan.Value `json:"custom"`
}

type chatFunction struct {
	Name        jsonscan.String `json:"name"`
	Description jsonscan.String `json:"description"`
	Parameters  jsonscan.Value  `json:"parameters"`
	Strict      jsonscan.Value  `json:"strict"`
}

// tools converts the tools to the flat form. In the Responses API functions are
// strict by default; in chat completions they are not.
func (t *fromChat) tools() error {
	var tools []jsonscan.Value
	for i := range t.req.Tools {
		spec := &t.req.Tools[i]
		switch spec.Type {
		case "function", "":
			tools = append(tools, flat(&spec.Function))
		case "custom":
			tools = append(tools, flatCustom(spec.Custom))
		default:
			return dialect.Invalid("tools", "tools of type \""+spec.Type+"\" cannot be used with this model")
		}
	}
	choice := t.req.ToolChoice
	if len(t.req.Functions) > 0 && len(tools) == 0 {
		t.legacy, choice = true, t.req.FunctionCall
		for i := range t.req.Functions {
			tools = append(tools, flat(&t.req.Functions[i]))
		}
	}
	search, err := dialect.ReadWebSearch(t.req.WebSearch)
	if err != nil {
		return err
	}
	if search != nil {
		tools = append(tools, t.searchTool(search))
		if search.Forced {
			choice = jsonscan.Lit(`{"type":"web_search"}`)
		}
	}
	if len(tools) == 0 {
		return nil
	}
	t.out.Put("tools", jsonscan.Arr(tools))
	if choice.Set() {
		t.out.Put("tool_choice", flatChoice(choice))
	}
	return nil
}

func flat(f *chatFunction) jsonscan.Value {
	o := jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("name", orEmpty(f.Name)), filled("description", f.Description))
	schema, _, ok := dialect.ToolSchema(f.Parameters)
	if !ok {
		schema = f.Parameters
	}
	put(&o, "parameters", schema)
	o.Put("strict", jsonscan.Lit("false"))
	put(&o, "strict", f.Strict)
	return o
}

// flatCustom returns a custom tool in the flat form. Chat completions wrap its
// grammar in another object.
func flatCustom(custom jsonscan.Value) jsonscan.Value {
	o := jsonscan.Obj(member("type", jsonscan.Lit(`"custom"`)))
	for name, value := range custom.Members() {
		if grammar := value.Get("grammar"); name == "format" && grammar.Kind() == '{' {
			format := jsonscan.Obj(member("type", jsonscan.Lit(`"grammar"`)))
			for name, value := range grammar.Members() {
				format.Put(name, value)
			}
			value = format
		}
		put(&o, name, value)
	}
	return o
}

// searchTool returns OpenAI's web search, which also opens pages.
func (t *fromChat) searchTool(w *dialect.WebSearch) jsonscan.Value {
	o := jsonscan.Obj(member("type", jsonscan.Lit(`"web_search"`)))
	if w.Size != "" {
		o.PutText("search_context_size", w.Size)
	}
	if len(w.Allowed) > 0 {
		o.Put("filters", jsonscan.Obj(member("allowed_domains", jsonscan.Raw(rawjson.Must(w.Allowed)))))
	}
	if len(w.Blocked) > 0 {
		t.ignore(w.Name() + ".blocked_domains")
	}
	if w.Location != nil {
		location := jsonscan.Obj(member("type", jsonscan.Lit(`"approximate"`)))
		for name, value := range jsonscan.Raw(rawjson.Must(w.Location.Approximate)).Members() {
			location.Put(name, value)
		}
		o.Put("user_location", location)
	}
	if w.MaxUses > 0 {
		t.out.Put("max_tool_calls", jsonscan.Raw(strconv.AppendInt(nil, w.MaxUses, 10)))
	}
	if t.req.ReasoningEffort.Text() == "minimal" {
		t.req.ReasoningEffort = jsonscan.String(`"low"`) // the lowest effort that allows searches
	}
	t.include = append(t.include, jsonscan.Lit(`"web_search_call.action.sources"`))
	return o
}

// flatChoice returns a tool_choice in the flat form. A string stays a string.
func flatChoice(choice jsonscan.Value) jsonscan.Value {
	if choice.Kind() != '{' {
		return choice
	}
	switch kind := forced(choice); kind {
	case "function", "custom":
		return named(kind, choice.Get(kind))
	case "allowed_tools":
		allowed := choice.Get("allowed_tools")
		var tools []jsonscan.Value
		for _, tool := range allowed.Get("tools").Elements() {
			tools = append(tools, named(forced(tool), tool.Get(forced(tool))))
		}
		return jsonscan.Obj(member("type", jsonscan.Lit(`"allowed_tools"`)), member("mode", orEmpty(allowed.Get("mode").String())), member("tools", jsonscan.Arr(tools)))
	case "": // function_call of the older form
		return named("function", choice)
	}
	return choice
}

func named(kind string, tool jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(member("type", jsonscan.Quoted(kind)), member("name", orEmpty(tool.Get("name").String())))
}
