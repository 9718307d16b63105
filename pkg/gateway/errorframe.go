package gateway

import (
	"encoding/json"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// errorFrame is the event that tells a WebSocket's caller of an error.
func errorFrame(err error, eventID string) []byte {
	fl := fault.From(err)
	body := respond.OpenAIError(fl)
	body["event_id"] = nil
	if eventID != "" {
		body["event_id"] = eventID
	}
	data, merr := json.Marshal(map[string]any{"type": "error", "status": fl.Kind.Status(), "error": body})
	if merr != nil {
		return []byte(`{"type":"error","status":500,"error":{"type":"internal_error","message":"internal error"}}`)
	}
	return data
}
