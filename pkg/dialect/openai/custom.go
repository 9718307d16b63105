package openai

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/sse"
)

// CustomTools returns second, a translator from chat completions, with one
// addition: it turns custom tools, whose input is free text, into functions with
// one string, because other providers have only functions. The client gets its
// calls back as calls of custom tools
// (https://platform.openai.com/docs/guides/function-calling#custom-tools).
func CustomTools(second dialect.Translator) dialect.Translator {
	return func(in dialect.Request) (*dialect.Call, error) {
		if raw, whole := in.Value().Bytes(); whole && !bytes.Contains(raw, []byte(`"custom"`)) {
			return second(in)
		}
		c := &customTools{}
		in.Chat, in.Body = c.request(in.Value()), nil
		call, err := second(in)
		if err == nil && len(c.names) > 0 {
			call.Reply = customReply{call.Reply, c}
		}
		return call, err
	}
}

type customTools struct{ names []string }

// CustomSchema is the schema of the function that carries a custom tool's free
// text.
var CustomSchema = jsonscan.Lit(`{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}`)

var functionType = jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"function"`)}

func (c *customTools) request(chat jsonscan.Value) jsonscan.Value {
	out := jsonscan.Obj()
	for name, value := range chat.Members() {
		switch name {
		case "tools":
			value = eachObject(value, c.tool)
		case "tool_choice":
			value = choiceOf(value)
		case "messages":
			value = eachObject(value, func(m jsonscan.Value) jsonscan.Value {
				calls := m.Get("tool_calls")
				if calls.Kind() != '[' {
					return m
				}
				return replaced(m, "tool_calls", eachObject(calls, customCall))
			})
		}
		out.Put(name, value)
	}
	return out
}

// eachObject applies change to each object of a list.
func eachObject(list jsonscan.Value, change func(jsonscan.Value) jsonscan.Value) jsonscan.Value {
	if list.Kind() != '[' {
		return list
	}
	elements := []jsonscan.Value{}
	for _, e := range list.Elements() {
		if e.Kind() == '{' {
			e = change(e)
		}
		elements = append(elements, e)
	}
	return jsonscan.Arr(elements)
}

// tool returns a function for a custom tool. Its grammar goes into the description.
func (c *customTools) tool(tool jsonscan.Value) jsonscan.Value {
	custom := tool.Get("custom")
	if !tool.Get("type").Is(`"custom"`) || custom.Kind() != '{' {
		return tool
	}
	name, description := custom.Get("name").String().Text(), custom.Get("description").String().Text()
	c.names = append(c.names, name)
	if format := custom.Get("format"); format.Get("type").Is(`"grammar"`) {
		grammar := format.Get("grammar")
		description = fmt.Sprintf("%s\n\nThe input must follow this %s grammar:\n%s", description, grammar.Get("syntax").String().Text(), grammar.Get("definition").String().Text())
	}
	f := jsonscan.Obj(jsonscan.Field{Name: "name", Value: jsonscan.Quoted(name)})
	if description != "" {
		f.PutText("description", description)
	}
	f.Put("parameters", CustomSchema)
	return jsonscan.Obj(functionType, jsonscan.Field{Name: "function", Value: f}, jsonscan.Field{Name: CacheControl, Value: tool.Get(CacheControl)})
}

// choiceOf replaces the custom tools in a tool_choice by functions.
func choiceOf(choice jsonscan.Value) jsonscan.Value {
	if choice.Kind() != '{' {
		return choice
	}
	if allowed := choice.Get("allowed_tools"); allowed.Kind() == '{' {
		return replaced(choice, "allowed_tools", replaced(allowed, "tools", eachObject(allowed.Get("tools"), choiceOf)))
	}
	if !choice.Get("type").Is(`"custom"`) {
		return choice
	}
	return jsonscan.Obj(functionType, jsonscan.Field{Name: "function", Value: choice.Get("custom")})
}

// customCall returns a function call for a custom tool's call in a history.
func customCall(call jsonscan.Value) jsonscan.Value {
	custom := call.Get("custom")
	if !call.Get("type").Is(`"custom"`) || custom.Kind() != '{' {
		return call
	}
	input := custom.Get("input")
	if input.String() == nil {
		input = jsonscan.Lit(`""`)
	}
	arguments := jsonscan.Obj(jsonscan.Field{Name: "input", Value: input}).JSON()
	return jsonscan.Obj(jsonscan.Field{Name: "id", Value: call.Get("id")}, functionType, jsonscan.Field{Name: "function", Value: jsonscan.Obj(
		jsonscan.Field{Name: "name", Value: custom.Get("name")}, jsonscan.Field{Name: "arguments", Value: jsonscan.Quoted(string(arguments))})})
}

// customReply turns calls of custom tools back into such calls.
type customReply struct {
	dialect.Reply
	tools *customTools
}

func (r customReply) Body(body []byte) ([]byte, error) {
	out, err := r.Reply.Body(body)
	if err != nil {
		return nil, err
	}
	completion := jsonscan.Raw(out)
	return replaced(completion, "choices", eachObject(completion.Get("choices"), func(choice jsonscan.Value) jsonscan.Value {
		m := choice.Get("message")
		if m.Get("tool_calls").Kind() != '[' {
			return choice
		}
		return replaced(choice, "message", replaced(m, "tool_calls", eachObject(m.Get("tool_calls"), r.tools.back)))
	})).JSON(), nil
}

// back returns a custom tool's call for a function call.
func (c *customTools) back(call jsonscan.Value) jsonscan.Value {
	f := call.Get("function")
	if name := f.Get("name").String().Text(); !slices.Contains(c.names, name) {
		return call
	}
	return jsonscan.Obj(jsonscan.Field{Name: "id", Value: call.Get("id")}, jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"custom"`)},
		jsonscan.Field{Name: "custom", Value: jsonscan.Obj(jsonscan.Field{Name: "name", Value: f.Get("name")}, jsonscan.Field{Name: "input", Value: jsonscan.Quoted(CustomInput(f.Get("arguments").String().Text()))})})
}

// CustomInput returns a custom tool's text from a function's arguments. If a model
// ignored the schema, it returns the arguments themselves.
func CustomInput(arguments string) string {
	var v struct {
		Input *string `json:"input"`
	}
	if jsonscan.Decode([]byte(arguments), &v) == nil && v.Input != nil {
		return *v.Input
	}
	return arguments
}

func (r customReply) Stream() dialect.Stream {
	return &customStream{Stream: r.Reply.Stream(), tools: r.tools}
}

// customStream holds the arguments of custom tools' calls back until they are
// complete.
type customStream struct {
	dialect.Stream
	tools *customTools
	open  []openCustom
}

type openCustom struct{ index, arguments string }

func (s *customStream) Event(ev sse.Event, emit func(sse.Event)) error {
	return s.Stream.Event(ev, func(ev sse.Event) { s.pass(ev, emit) })
}

func (s *customStream) End(cause error, emit func(sse.Event)) error {
	return s.Stream.End(cause, func(ev sse.Event) { s.pass(ev, emit) })
}

func (s *customStream) pass(ev sse.Event, emit func(sse.Event)) {
	if !bytes.Contains(ev.Data, []byte(`"choices"`)) {
		emit(ev)
		return
	}
	chunk := jsonscan.Raw(ev.Data)
	ends, kept := false, true
	chunk = replaced(chunk, "choices", eachObject(chunk.Get("choices"), func(choice jsonscan.Value) jsonscan.Value {
		ends = ends || choice.Get("finish_reason").Set()
		delta := choice.Get("delta")
		calls := delta.Get("tool_calls")
		if calls.Kind() != '[' {
			return choice
		}
		pieces := []jsonscan.Value{}
		for _, piece := range calls.Elements() {
			if piece = s.piece(piece); !piece.Absent() {
				pieces = append(pieces, piece)
			}
		}
		kept = len(pieces) > 0
		return replaced(choice, "delta", replaced(delta, "tool_calls", jsonscan.Arr(pieces)))
	}))
	if ends {
		s.flush(chunk, emit)
	}
	if kept || ends {
		ev.Data = chunk.JSON()
		emit(ev)
	}
}

// piece returns the piece of a call to pass on. It is absent if the arguments are
// held back.
func (s *customStream) piece(piece jsonscan.Value) jsonscan.Value {
	index, f := string(piece.Get("index").JSON()), piece.Get("function")
	name, arguments := f.Get("name").String().Text(), f.Get("arguments").String().Text()
	for i := range s.open {
		if s.open[i].index == index {
			s.open[i].arguments += arguments
			return jsonscan.Value{}
		}
	}
	if !slices.Contains(s.tools.names, name) {
		return piece
	}
	s.open = append(s.open, openCustom{index, arguments})
	return jsonscan.Obj(jsonscan.Field{Name: "index", Value: piece.Get("index")}, jsonscan.Field{Name: "id", Value: piece.Get("id")}, jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"custom"`)},
		jsonscan.Field{Name: "custom", Value: jsonscan.Obj(jsonscan.Field{Name: "name", Value: f.Get("name")}, jsonscan.Field{Name: "input", Value: jsonscan.Lit(`""`)})})
}

// flush sends what was held back, before the chunk that ends the response.
func (s *customStream) flush(last jsonscan.Value, emit func(sse.Event)) {
	for _, o := range s.open {
		piece := jsonscan.Obj(jsonscan.Field{Name: "index", Value: jsonscan.Raw([]byte(o.index))},
			jsonscan.Field{Name: "custom", Value: jsonscan.Obj(jsonscan.Field{Name: "input", Value: jsonscan.Quoted(CustomInput(o.arguments))})})
		delta := jsonscan.Obj(jsonscan.Field{Name: "tool_calls", Value: jsonscan.Arr([]jsonscan.Value{piece})})
		choice := jsonscan.Obj(jsonscan.Field{Name: "index", Value: jsonscan.Lit("0")}, jsonscan.Field{Name: "delta", Value: delta},
			jsonscan.Field{Name: "logprobs", Value: jsonscan.Lit("null")}, jsonscan.Field{Name: "finish_reason", Value: jsonscan.Lit("null")})
		emit(sse.Event{Data: replaced(last, "choices", jsonscan.Arr([]jsonscan.Value{choice})).JSON()})
	}
	s.open = nil
}
