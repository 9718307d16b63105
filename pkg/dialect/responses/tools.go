package responses

import (
	"fmt"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// tool describes the client's tool behind a function that the model sees.
type tool struct {
	custom    bool   // a custom tool: free text in, free text out
	namespace string // the client's namespace for it
	name      string // the name within the namespace
	local     string // type of OpenAI's tool that the client runs itself, or ""
}

type toolSpec struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description jsonscan.String `json:"description"`
	Parameters  jsonscan.Value  `json:"parameters"`
	Strict      jsonscan.Value  `json:"strict"`
	Format      jsonscan.Value  `json:"format"`
	Tools       jsonscan.Value  `json:"tools"`       // of a namespace
	Environment jsonscan.Value  `json:"environment"` // of a shell
	Deferred    jsonscan.Value  `json:"defer_loading"`
	searchSpec
}

// tools translates the client's tools to functions. A hosted tool that is neither
// the only tool nor forced is left out and reported: Codex offers web_search,
// image_generation and tool_search without being asked. If it is the only tool, the
// request depends on it and is refused, because there is no equivalent.
func (c *converter) tools(list, choice jsonscan.Value) ([]jsonscan.Value, error) {
	if !list.Set() {
		return nil, nil
	}
	var specs []toolSpec
	if err := list.Decode(&specs); err != nil {
		return nil, dialect.Invalid("tools", "tools must be a list of tools: "+dialect.Why(err))
	}
	c.kinds = map[string]tool{}
	out := make([]jsonscan.Value, 0, len(specs))
	left := ""
	var locals []string
	for i, spec := range specs {
		if spec.isLocal() {
			locals = append(locals, spec.Type)
			continue
		}
		switch spec.Type {
		case "function", "custom":
			out = append(out, c.function(spec, ""))
		case "namespace":
			var grouped []toolSpec
			if err := spec.Tools.Decode(&grouped); spec.Tools.Set() && err != nil {
				return nil, dialect.Invalid("tools", "tools must be a list of tools: "+dialect.Why(err))
			}
			for _, inner := range grouped {
				if inner.Type != "function" && inner.Type != "custom" {
					c.ignore("tools." + inner.Type)
					continue
				}
				out = append(out, c.function(inner, spec.Name))
			}
		default:
			if isSearch(spec.Type) {
				c.search = spec.webSearch()
				continue
			}
			if spec.Type == imageTool && dialect.MakesPictures(c.model) {
				c.pictures = true
				c.ignoreOptions(elementAt(list, i))
				continue
			}
			if forced(choice) == spec.Type {
				return nil, dialect.Invalid("tool_choice", fmt.Sprintf("this provider does not have the tool %q", spec.Type))
			}
			c.ignore("tools." + spec.Type)
			if left == "" {
				left = spec.Type
			}
		}
	}
	for _, kind := range locals {
		out = append(out, c.local(kind))
	}
	if s := c.search; s != nil {
		s.Forced = isSearch(forced(choice)) || len(out) == 0 && choice.Is(`"required"`)
		s.Required = len(out) == 0 || s.Forced
	} else if left != "" && len(out) == 0 && !c.pictures {
		return nil, hosted("tools[0]", left)
	}
	return out, nil
}

func hosted(at, kind string) error {
	return dialect.Invalid(at+".type", fmt.Sprintf("the hosted tool %q is OpenAI's own and cannot be used with this provider", kind))
}

func (c *converter) function(spec toolSpec, namespace string) jsonscan.Value {
	name := spec.Name
	if namespace != "" {
		name = joinName(namespace, spec.Name)
	}
	if spec.Deferred.Is("true") {
		c.ignore("tools.defer_loading")
	}
	c.kinds[name] = tool{custom: spec.Type == "custom", namespace: namespace, name: spec.Name}
	description, parameters, strict := jsonscan.Str(spec.Description), spec.Parameters, spec.Strict
	if spec.Description.Empty() {
		description = jsonscan.Value{}
	}
	if spec.Type == "custom" {
		parameters, strict = openai.CustomSchema, jsonscan.Value{}
		var format struct {
			Type       string `json:"type"`
			Syntax     string `json:"syntax"`
			Definition string `json:"definition"`
		}
		if spec.Format.Kind() == '{' && spec.Format.Decode(&format) == nil && format.Type == "grammar" {
			description = jsonscan.Quoted(fmt.Sprintf("%s\n\nThe input must follow this %s grammar:\n%s", spec.Description.Text(), format.Syntax, format.Definition))
		}
	}
	f := jsonscan.Obj(member("name", jsonscan.Quoted(name)), member("description", description))
	for _, m := range []jsonscan.Field{member("parameters", parameters), member("strict", strict)} {
		if m.Value.Set() {
			f.Put(m.Name, m.Value.Compact())
		}
	}
	return jsonscan.Obj(member("type", jsonscan.Lit(`"function"`)), member("function", f))
}

// joinName returns one function name for a namespace and a name within it.
func joinName(namespace, name string) string {
	if len(namespace) > 2 && namespace[len(namespace)-2:] == "__" {
		return namespace + name
	}
	return namespace + "__" + name
}

// forced returns the type of a tool_choice object, or "".
func forced(choice jsonscan.Value) string { return choice.Get("type").String().Text() }

func (c *converter) toolChoice(v jsonscan.Value) (jsonscan.Value, error) {
	if !v.Set() || v.String() != nil {
		return v, nil
	}
	if v.Kind() != '{' {
		return v, dialect.Invalid("tool_choice", "tool_choice must be a string or an object")
	}
	switch kind := forced(v); kind {
	case "function", "custom":
		return functionChoice(v), nil
	case "allowed_tools":
		tools := []jsonscan.Value{}
		for _, t := range v.Get("tools").Elements() {
			if kind := forced(t); kind == "function" || kind == "custom" {
				tools = append(tools, functionChoice(t))
			}
		}
		allowed := jsonscan.Obj(member("mode", orEmpty(v.Get("mode").String())), member("tools", jsonscan.Arr(tools)))
		return jsonscan.Obj(member("allowed_tools", allowed), member("type", jsonscan.Lit(`"allowed_tools"`))), nil
	default:
		if _, ok := localTools[kind]; ok {
			return functionChoice(jsonscan.Obj(member("name", jsonscan.Quoted(c.localName(kind))))), nil
		}
		if isSearch(kind) && c.search != nil || kind == imageTool && c.pictures {
			return jsonscan.Value{}, nil
		}
		return v, dialect.Invalid("tool_choice", fmt.Sprintf("tool_choice of type %q cannot be used with this provider", kind))
	}
}

// functionChoice returns the tool_choice for the function that an object of the
// client's names.
func functionChoice(v jsonscan.Value) jsonscan.Value {
	function := jsonscan.Obj(member("name", orEmpty(v.Get("name").String())))
	return jsonscan.Obj(member("function", function), member("type", jsonscan.Lit(`"function"`)))
}
