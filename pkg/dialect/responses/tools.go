package responses

import (
	"encoding/json"
	"fmt"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
)

// tool remembers what a function that the model sees was to the client.
type tool struct {
	custom    bool   // a custom tool: free text in, free text out
	namespace string // the namespace that the client grouped it in
	name      string // the name within the namespace
}

type toolSpec struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      json.RawMessage `json:"strict"`
	Format      json.RawMessage `json:"format"`
	Tools       []toolSpec      `json:"tools"`
}

type chatTool struct {
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      json.RawMessage `json:"strict,omitempty"`
}

// customSchema is how a custom tool's free text travels through a function.
var customSchema = json.RawMessage(`{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}`)

// tools maps the client's tools to functions. A web search that is offered among
// others and not demanded is left out and reported: Codex offers it without being
// asked. Alone it is what the request is about, and is refused, as are all other
// hosted tools, which have no equal.
func (c *converter) tools(raw, choice json.RawMessage) ([]json.RawMessage, error) {
	if rawjson.Set(raw) == nil {
		return nil, nil
	}
	var specs []toolSpec
	if err := json.Unmarshal(raw, &specs); err != nil {
		return nil, dialect.Invalid("tools", "tools must be a list of tools: "+dialect.Why(err))
	}
	c.kinds = map[string]tool{}
	var out []json.RawMessage
	searches := ""
	for i, spec := range specs {
		at := fmt.Sprintf("tools[%d]", i)
		switch spec.Type {
		case "function", "custom":
			out = append(out, c.function(spec, ""))
		case "namespace":
			for _, inner := range spec.Tools {
				if inner.Type != "function" && inner.Type != "custom" {
					return nil, dialect.Invalid(at+".tools", fmt.Sprintf("a namespace's tool cannot be %q with this provider", inner.Type))
				}
				out = append(out, c.function(inner, spec.Name))
			}
		case "web_search", "web_search_preview", "web_search_2025_08_26", "web_search_preview_2025_03_11":
			if forced(choice) == spec.Type {
				return nil, dialect.Invalid("tool_choice", "this provider has no web search to be demanded")
			}
			c.ignore("tools." + spec.Type)
			searches = spec.Type
		default:
			return nil, hosted(at, spec.Type)
		}
	}
	if searches != "" && len(out) == 0 {
		return nil, hosted("tools[0]", searches)
	}
	return out, nil
}

func hosted(at, kind string) error {
	return dialect.Invalid(at+".type", fmt.Sprintf("hosted tool %q is OpenAI's own and cannot be used with this provider", kind))
}

func (c *converter) function(spec toolSpec, namespace string) json.RawMessage {
	name := spec.Name
	if namespace != "" {
		name = joinName(namespace, spec.Name)
	}
	c.kinds[name] = tool{custom: spec.Type == "custom", namespace: namespace, name: spec.Name}
	f := chatFunction{Name: name, Description: spec.Description, Parameters: rawjson.Set(spec.Parameters), Strict: rawjson.Set(spec.Strict)}
	if spec.Type == "custom" {
		f.Parameters, f.Strict = customSchema, nil
		var format struct {
			Type, Syntax, Definition string
		}
		if json.Unmarshal(spec.Format, &format) == nil && format.Type == "grammar" {
			f.Description += fmt.Sprintf("\n\nThe input must follow this %s grammar:\n%s", format.Syntax, format.Definition)
		}
	}
	return rawjson.Must(chatTool{Type: "function", Function: f})
}

// joinName makes one function name of a namespace and a name within it.
func joinName(namespace, name string) string {
	if len(namespace) > 2 && namespace[len(namespace)-2:] == "__" {
		return namespace + name
	}
	return namespace + "__" + name
}

// forced gives the type of a tool_choice object, or "".
func forced(choice json.RawMessage) string {
	var v struct {
		Type string `json:"type"`
	}
	json.Unmarshal(choice, &v)
	return v.Type
}

func (c *converter) toolChoice(raw json.RawMessage) (json.RawMessage, error) {
	if rawjson.Set(raw) == nil {
		return nil, nil
	}
	var word string
	if json.Unmarshal(raw, &word) == nil {
		return raw, nil
	}
	var v struct {
		Type  string            `json:"type"`
		Name  string            `json:"name"`
		Mode  string            `json:"mode"`
		Tools []json.RawMessage `json:"tools"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, dialect.Invalid("tool_choice", "tool_choice must be a string or an object")
	}
	switch v.Type {
	case "function", "custom":
		return rawjson.Must(map[string]any{"type": "function", "function": map[string]string{"name": v.Name}}), nil
	case "allowed_tools":
		tools := make([]any, 0, len(v.Tools))
		for _, t := range v.Tools {
			var one struct {
				Type string `json:"type"`
				Name string `json:"name"`
			}
			if json.Unmarshal(t, &one) == nil && (one.Type == "function" || one.Type == "custom") {
				tools = append(tools, map[string]any{"type": "function", "function": map[string]string{"name": one.Name}})
			}
		}
		return rawjson.Must(map[string]any{"type": "allowed_tools", "allowed_tools": map[string]any{"mode": v.Mode, "tools": tools}}), nil
	}
	return nil, dialect.Invalid("tool_choice", fmt.Sprintf("tool_choice of type %q cannot be used with this provider", v.Type))
}
