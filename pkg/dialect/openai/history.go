package openai

import (
	"bytes"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// history returns the messages in the order that chat completions require: one tool
// message for each call, right after the calls, and no others. It repairs and
// reports everything else, so that a session can continue: see dialect.Pair.
func (p *restriction) history(list jsonscan.Value) jsonscan.Value {
	if list.Kind() != '[' {
		return list
	}
	var messages []jsonscan.Value
	var turns []dialect.Turn
	tools, broken := false, false
	for _, m := range list.Elements() {
		turn := turnOf(m)
		for i := range turn.Calls {
			broken = broken || cutOff(m.Get("tool_calls"), i)
		}
		tools = tools || turn.Result || len(turn.Calls) > 0
		messages, turns = append(messages, m), append(turns, turn)
	}
	if !tools {
		return list
	}
	order, repaired := dialect.Pair(turns)
	if !repaired && !broken && inOrder(order, turns) {
		return list
	}
	if repaired {
		p.ignore("messages.tool_calls.id")
	}
	out := make([]jsonscan.Value, 0, len(order))
	for _, placed := range order {
		var m jsonscan.Value
		switch {
		case placed.Turn < 0:
			p.ignore("messages.tool_calls")
			m = resultMessage(placed.Call.ID, jsonscan.Quoted(dialect.Interrupted))
		case placed.Result:
			m = replaced(messages[placed.Turn], "tool_call_id", jsonscan.Quoted(placed.Call.ID))
		case turns[placed.Turn].Result:
			p.ignore("messages.tool_call_id")
			content := messages[placed.Turn].Get("content")
			if s := content.String(); s.Blank() && content.Kind() != '[' {
				continue
			}
			m = jsonscan.Obj(jsonscan.Field{Name: "role", Value: jsonscan.Lit(`"user"`)}, jsonscan.Field{Name: "content", Value: content})
		case len(turns[placed.Turn].Calls) > 0:
			m = p.calls(messages[placed.Turn], turns[placed.Turn].Calls)
		default:
			m = messages[placed.Turn]
		}
		out = append(out, m)
	}
	return jsonscan.Arr(out)
}

// turnOf returns what Pair needs to know about a message. It ignores the older
// function_call, which no translation produces.
func turnOf(m jsonscan.Value) (turn dialect.Turn) {
	if m.Kind() != '{' {
		return turn
	}
	switch role := m.Get("role"); {
	case role.Is(`"tool"`):
		turn.Result, turn.Of.ID = true, m.Get("tool_call_id").String().Text()
	case role.Is(`"assistant"`):
		for _, call := range m.Get("tool_calls").Elements() {
			ref := dialect.ToolRef{}
			if call.Kind() == '{' {
				ref.ID = call.Get("id").String().Text()
			}
			turn.Calls = append(turn.Calls, ref)
		}
	}
	return turn
}

// inOrder reports whether order is the order of turns, with no result missing and
// none without its call.
func inOrder(order []dialect.Placed, turns []dialect.Turn) bool {
	for i, placed := range order {
		if placed.Turn != i || turns[i].Result != placed.Result || placed.Result && turns[i].Of.ID != placed.Call.ID {
			return false
		}
	}
	return true
}

// calls returns a message with the ids of refs for its tool calls, and with
// arguments that are objects: those of a call that was cut off are wrapped.
func (p *restriction) calls(m jsonscan.Value, refs []dialect.ToolRef) jsonscan.Value {
	var calls []jsonscan.Value
	for i, call := range m.Get("tool_calls").Elements() {
		if call.Kind() != '{' {
			calls = append(calls, call)
			continue
		}
		call = replaced(call, "id", jsonscan.Quoted(refs[i].ID))
		if f := call.Get("function"); isCutOff(f) {
			p.ignore("messages.tool_calls.arguments")
			call = replaced(call, "function", replaced(f, "arguments", invalidArguments(f.Get("arguments").String())))
		}
		calls = append(calls, call)
	}
	return replaced(m, "tool_calls", jsonscan.Arr(calls))
}

func cutOff(calls jsonscan.Value, at int) bool {
	for i, call := range calls.Elements() {
		if i == at {
			return call.Kind() == '{' && isCutOff(call.Get("function"))
		}
	}
	return false
}

// isCutOff reports whether a function's arguments cannot be the text of an object.
// It only checks both ends, because providers that read arguments check the rest.
func isCutOff(function jsonscan.Value) bool {
	if function.Kind() != '{' {
		return false
	}
	s := function.Get("arguments").String()
	if s == nil || s.Blank() {
		return false
	}
	inner := trimSpace(s[1 : len(s)-1])
	return inner[0] != '{' && inner[0] != '\\' || inner[len(inner)-1] != '}'
}

// trimSpace removes white space, and its escapes, from both ends of a string's
// content, which must not be blank.
func trimSpace(inner []byte) []byte {
	for {
		was := len(inner)
		inner = bytes.TrimSpace(inner)
		for _, escape := range [...]string{`\n`, `\r`, `\t`} {
			inner = bytes.TrimPrefix(inner, []byte(escape))
			if cut := bytes.TrimSuffix(inner, []byte(escape)); len(cut) < len(inner) && !bytes.HasSuffix(cut, []byte(`\`)) {
				inner = cut
			}
		}
		if len(inner) == was {
			return inner
		}
	}
}

// invalidArguments wraps the arguments of a call that are not an object.
func invalidArguments(s jsonscan.String) jsonscan.Value {
	if s.Text() == "null" {
		return jsonscan.Lit(`"{}"`)
	}
	o := jsonscan.Obj(jsonscan.Field{Name: "invalid_arguments", Value: jsonscan.Str(s)})
	return jsonscan.Quoted(string(o.JSON()))
}

func resultMessage(id string, content jsonscan.Value) jsonscan.Value {
	return jsonscan.Obj(
		jsonscan.Field{Name: "role", Value: jsonscan.Lit(`"tool"`)},
		jsonscan.Field{Name: "tool_call_id", Value: jsonscan.Quoted(id)},
		jsonscan.Field{Name: "content", Value: content})
}

// replaced returns a copy of an object with another value for one member.
func replaced(v jsonscan.Value, name string, value jsonscan.Value) jsonscan.Value {
	out := jsonscan.Obj()
	for n, old := range v.Members() {
		if n == name {
			old = value
		}
		out.Put(n, old)
	}
	out.Put(name, value)
	return out
}
