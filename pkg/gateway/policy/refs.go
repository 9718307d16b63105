package policy

import (
	"bytes"
	"errors"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// ModelRef is a model that a body names besides the one that the request is routed by.
type ModelRef struct {
	Name  string
	Param string // the top-level member that contains it
}

// ModelRefs returns the models that the holders of a body or message name: the models of
// tools, and any in `method`. Member names are compared as the most lenient decoder reads
// them, and every duplicate counts. The error is fault.Scope if a member's models cannot be
// determined from the request. It is fault.Invalid if a member is not JSON, since a
// provider could read something else in it.
func ModelRefs(holders []body.Member) (refs []ModelRef, err error) {
	for _, m := range holders {
		switch strings.ToLower(m.Name) {
		case "models", "fallbacks":
			return nil, &fault.Error{Kind: fault.Scope, Message: m.Name + " cannot be used with a bridge token that is limited to certain models", Param: m.Name}
		case "tools":
			if refs, err = appendTools(refs, m); err != nil {
				return nil, err
			}
		case "method":
			if err := check(m); err != nil {
				return nil, err
			}
			if refs, err = appendAllNamed(refs, m.Value, m.Name, 0); err != nil {
				return nil, err
			}
		}
	}
	return refs, nil
}

// GeminiModelRefs returns the models that a body of the Gemini API names. A model that is
// not a string is returned as "".
func GeminiModelRefs(b *body.Body) (refs []ModelRef, err error) {
	for _, m := range b.Holders {
		inner := [][]byte{m.Value}
		switch strings.ToLower(strings.ReplaceAll(m.Name, "_", "")) {
		case "model":
			if err := check(m); err != nil {
				return nil, err
			}
			if name, ok := text(m.Value); ok {
				refs = append(refs, ModelRef{name, "model"})
			}
			continue
		case "requests":
			inner = nil
			for _, request := range jsonscan.Elements(m.Value) {
				inner = append(inner, request)
			}
		case "generatecontentrequest":
		default:
			continue
		}
		if err := check(m); err != nil {
			return nil, err
		}
		for _, request := range inner {
			for name, value := range jsonscan.Members(request) {
				if !strings.EqualFold(string(name), "model") {
					continue
				}
				if name, ok := text(value); ok {
					refs = append(refs, ModelRef{name, m.Name + ".model"})
				}
			}
		}
	}
	return refs, nil
}

// text decodes the name of a model. ok is false for null, which names none.
func text(value []byte) (name string, ok bool) {
	if jsonscan.KindOf(value) == 'n' {
		return "", false
	}
	name, _ = jsonscan.Text(value)
	return name, true
}

// check returns an error if the member is not strict JSON.
func check(m body.Member) error {
	if err := jsonscan.Check(m.Value); err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: m.Name + " is not JSON", Param: m.Name, Err: err}
	}
	return nil
}

// appendTools appends the models of tools. Only a direct member of a tool counts, since the
// caller may name the parameters of its functions as it likes.
func appendTools(refs []ModelRef, m body.Member) ([]ModelRef, error) {
	if string(m.Value) == "null" {
		return refs, nil
	}
	err := jsonscan.SkimElements(m.Value, func(at jsonscan.Span) error {
		tool := at.Of(m.Value)
		if tool[0] != '{' {
			return nil
		}
		_, err := jsonscan.Skim(tool, func(name []byte, v jsonscan.Span) error {
			if len(name) != len("model") || !bytes.EqualFold(name, []byte("model")) || tool[v.Start] != '"' {
				return nil // providers accept only strings as models
			}
			model, ok := jsonscan.Text(v.Of(tool))
			if !ok {
				return errors.New("a model is not a JSON string")
			}
			if model != "" {
				refs = append(refs, ModelRef{model, m.Name})
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: "tools must be a list", Param: m.Name, Err: err}
	}
	return refs, nil
}

// appendNamed appends the models that an object names.
func appendNamed(refs []ModelRef, object []byte, param string) []ModelRef {
	for name, value := range jsonscan.Members(object) {
		if strings.EqualFold(string(name), "model") {
			if model, ok := jsonscan.Text(value); ok && model != "" {
				refs = append(refs, ModelRef{model, param})
			}
		}
	}
	return refs
}

// maxNesting limits how deep `method` is searched. A grader of graders is three levels
// deep.
const maxNesting = 64

// appendAllNamed appends the models that a value names at any depth.
func appendAllNamed(refs []ModelRef, value []byte, param string, depth int) ([]ModelRef, error) {
	if depth > maxNesting {
		return nil, &fault.Error{Kind: fault.Invalid, Message: param + " nests too deep", Param: param}
	}
	refs = appendNamed(refs, value, param)
	var err error
	for _, inner := range jsonscan.Members(value) {
		if refs, err = appendAllNamed(refs, inner, param, depth+1); err != nil {
			return nil, err
		}
	}
	for _, inner := range jsonscan.Elements(value) {
		if refs, err = appendAllNamed(refs, inner, param, depth+1); err != nil {
			return nil, err
		}
	}
	return refs, nil
}
