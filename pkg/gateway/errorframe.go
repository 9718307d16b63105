package gateway

import (
	"strconv"

	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// errorFrame is the event that tells a WebSocket's caller of an error.
func errorFrame(err error, eventID string) []byte {
	f := fault.From(err)
	object := openai.ErrorOf(f).Value()
	object.Put("event_id", jsonscan.Lit("null"))
	if eventID != "" {
		object.PutText("event_id", eventID)
	}
	return jsonscan.Obj(
		jsonscan.Field{Name: "type", Value: jsonscan.Lit(`"error"`)},
		jsonscan.Field{Name: "status", Value: jsonscan.Raw(strconv.AppendInt(nil, int64(f.Kind.Status()), 10))},
		jsonscan.Field{Name: "error", Value: object}).JSON()
}
