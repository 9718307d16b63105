package openai

import (
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Error is an error of OpenAI's dialects
// (https://platform.openai.com/docs/guides/error-codes). Its object has all four
// members, null where they are empty: client libraries read each without asking.
type Error struct {
	Message, Type string
	Param, Code   jsonscan.Value // absent stands for null
}

// ErrorOf is the error that a fault of Hostless's own is.
func ErrorOf(f *fault.Error) Error {
	e := Error{Message: f.Error(), Type: f.Kind.Type()}
	if f.Param != "" {
		e.Param = jsonscan.Quoted(f.Param)
	}
	if f.Code != "" {
		e.Code = jsonscan.Quoted(f.Code)
	}
	return e
}

// Fault is the body of an error answer to a fault of Hostless's own.
func Fault(f *fault.Error) []byte { return ErrorOf(f).Body() }

// Value is the error object.
func (e Error) Value() jsonscan.Value {
	return jsonscan.Obj(
		jsonscan.Field{Name: "message", Value: jsonscan.Quoted(e.Message)}, jsonscan.Field{Name: "type", Value: jsonscan.Quoted(e.Type)},
		jsonscan.Field{Name: "param", Value: orNull(e.Param)}, jsonscan.Field{Name: "code", Value: orNull(e.Code)})
}

// Body is the error in its envelope, {"error":{…}}.
func (e Error) Body() []byte {
	return jsonscan.Obj(jsonscan.Field{Name: "error", Value: e.Value()}).JSON()
}

// StreamBody is the data of an event or a frame of the Responses API that ends its
// stream: {"type":"error", …, "error":{…}}. Hostless puts the error's own members
// where OpenAI has them and, for SDKs that look for an envelope, within one too.
func (e Error) StreamBody() []byte {
	o := e.Value()
	o.Put("error", e.Value())
	o.Put("code", jsonscan.Quoted(e.Type))
	o.Put("type", jsonscan.Lit(`"error"`))
	return o.JSON()
}

func orNull(v jsonscan.Value) jsonscan.Value {
	if !v.Set() {
		return jsonscan.Lit("null")
	}
	return v.Compact()
}
