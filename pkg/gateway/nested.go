package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/fault"
)

// checkNested refuses, for a token that is limited to certain models, a body whose
// inner parts name another model than the token may use: hosted tools that run
// one of their own (image generation, an advisor), fallbacks, the graders of a
// fine-tuning. Names are compared as the most lenient decoder reads them, and
// each of several members of one name counts.
func (c *exchange) checkNested(data []byte) error {
	if !c.limited() {
		return nil
	}
	members, ok := rawjson.Members(data)
	if !ok { // of what is nearly JSON, the provider may read something else
		return fault.New(fault.Invalid, "the request body is not a JSON object")
	}
	for _, m := range members {
		switch strings.ToLower(m.Name) {
		case "models", "fallbacks":
			return &fault.Error{Kind: fault.Scope, Message: m.Name + " cannot be used with a bridge token that is limited to certain models", Param: m.Name}
		case "tools":
			tools, ok := rawjson.Elements(m.Value)
			if !ok && rawjson.Set(m.Value) != nil {
				return &fault.Error{Kind: fault.Invalid, Message: "tools must be a list", Param: m.Name}
			}
			for _, tool := range tools {
				if err := c.namesAllowed(tool, m.Name); err != nil {
					return err
				}
			}
		case "method":
			if err := c.allNamesAllowed(m.Value, m.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// namesAllowed checks the model that an object names, if it does.
func (c *exchange) namesAllowed(object json.RawMessage, param string) error {
	members, _ := rawjson.Members(object)
	for _, m := range members {
		if !strings.EqualFold(m.Name, "model") {
			continue
		}
		name, ok := rawjson.Text(m.Value)
		if !ok || name == "" {
			continue // no model, or what no provider takes for one
		}
		if t, err := c.target(name); err != nil || c.inScope(t.Provider, t.Model) != nil {
			return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("this bridge token may not use model %q in %s", name, param), Param: param, Code: "model_not_allowed"}
		}
	}
	return nil
}

// allNamesAllowed checks the models that a value names, however deep.
func (c *exchange) allNamesAllowed(value json.RawMessage, param string) error {
	value = bytes.TrimSpace(value)
	if err := c.namesAllowed(value, param); err != nil {
		return err
	}
	inner, _ := rawjson.Elements(value)
	members, _ := rawjson.Members(value)
	for _, m := range members {
		inner = append(inner, m.Value)
	}
	for _, v := range inner {
		if v[0] != '{' && v[0] != '[' {
			continue
		}
		if err := c.allNamesAllowed(v, param); err != nil {
			return err
		}
	}
	return nil
}

// checkGemini refuses, for such a token, a body of Gemini's that names another
// model than its path: its own model, each of a batch's, and the one of the
// request whose tokens are to be counted.
func (c *exchange) checkGemini(data []byte) error {
	if !c.limited() || len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	members, ok := rawjson.Members(data)
	if !ok {
		return fault.New(fault.Invalid, "the request body is not a JSON object")
	}
	if err := c.sameModel(members, "model"); err != nil {
		return err
	}
	for _, m := range members {
		inner := []json.RawMessage{m.Value}
		switch strings.ToLower(strings.ReplaceAll(m.Name, "_", "")) {
		case "requests":
			inner, _ = rawjson.Elements(m.Value)
		case "generatecontentrequest":
		default:
			continue
		}
		for _, raw := range inner {
			request, _ := rawjson.Members(raw)
			if err := c.sameModel(request, m.Name+".model"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *exchange) sameModel(request rawjson.Object, param string) error {
	for _, m := range request {
		if !strings.EqualFold(m.Name, "model") || rawjson.Set(m.Value) == nil {
			continue
		}
		name, _ := rawjson.Text(m.Value)
		if t, err := c.target(strings.TrimPrefix(name, geminiModels)); err != nil || name == "" || t.Model != c.model {
			return &fault.Error{Kind: fault.Scope, Message: fmt.Sprintf("model %q is not the path's, and this bridge token is limited to certain models", name), Param: param, Code: "model_not_allowed"}
		}
	}
	return nil
}
