package openai

import (
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Error is an error of OpenAI's dialects
// (https://platform.openai.com/docs/guides/error-codes). Its object always has all
// four members, null if they are empty, because client libraries read each without
// checking.
type Error struct {
	Message, Type string
	Param, Code   jsonscan.Value // absent is written as null
}

// ErrorOf returns the Error for a fault of Hostless.
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

// Fault returns the body of an error response for a fault of Hostless.
func Fault(f *fault.Error) []byte { return ErrorOf(f).Body() }

// Value returns the error object.
func (e Error) Value() jsonscan.Value {
	return jsonscan.Obj(
		jsonscan.Field{Name: "message", Value: jsonscan.Quoted(e.Message)}, jsonscan.Field{Name: "type", Value: jsonscan.Quoted(e.Type)},
		jsonscan.Field{Name: "param", Value: orNull(e.Param)}, jsonscan.Field{Name: "code", Value: orNull(e.Code)})
}

// Body returns the error in its envelope, {"error":{…}}.
func (e Error) Body() []byte {
	return jsonscan.Obj(jsonscan.Field{Name: "error", Value: e.Value()}).JSON()
}

// StreamBody returns the data of the event or frame of the Responses API that ends
// a stream with an error: {"type":"error", …, "error":{…}}. It has the error's
// members where OpenAI has them and, for SDKs that expect an envelope, in an
// envelope as well.
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
