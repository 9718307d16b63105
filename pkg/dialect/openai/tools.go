package openai

import (
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// tools returns the tools as the provider accepts them.
func (p *restriction) tools(list jsonscan.Value) jsonscan.Value {
	if list.Kind() != '[' {
		return list
	}
	var tools []jsonscan.Value
	changed := false
	for _, tool := range list.Elements() {
		if tool.Kind() == '{' {
			if p.concerned(tool) {
				tool, changed = p.without(tool, CacheControl), true
			}
			if f, ok := withSchema(tool.Get("function")); ok {
				tool, changed = replaced(tool, "function", f), true
			}
		}
		tools = append(tools, tool)
	}
	if !changed {
		return list
	}
	return jsonscan.Arr(tools)
}

// withSchema returns a function with a schema that OpenAI accepts, if its own would
// be refused: an object without properties, or a combinator at the root. ok is
// false if no change is needed.
func withSchema(function jsonscan.Value) (out jsonscan.Value, ok bool) {
	if function.Kind() != '{' {
		return out, false
	}
	given := function.Get("parameters")
	schema, rule, ok := dialect.ToolSchema(given)
	if raw, whole := given.Bytes(); !ok || whole && schema.Is(string(raw)) {
		return out, false
	}
	out = jsonscan.Obj()
	for name, value := range function.Members() {
		if name == "strict" && rule != "" {
			continue // strict mode requires every property
		}
		out.Put(name, value)
	}
	out.Put("parameters", schema)
	if rule != "" {
		out.Put("description", dialect.WithRule(function.Get("description").String(), rule))
	}
	return out, true
}

// withoutEffort disables the thinking of models that accept no function tools with
// it in chat completions, because a session depends on its tools. It always sends
// none, because for some of these models the default counts as an effort.
func (p *restriction) withoutEffort(out *jsonscan.Value) {
	if p.facts.Takes(ReasoningDetails) || p.facts.onward() || !ToolsOrEffort(p.in.Model) || out.Get("tools").Kind() != '[' {
		return
	}
	if given := out.Get("reasoning_effort"); given.Set() && !given.Is(`"none"`) {
		p.ignore("reasoning_effort")
	}
	out.Put("reasoning_effort", jsonscan.Lit(`"none"`))
}
