package realtime

import (
	"bytes"
	"crypto/rand"
	"encoding/json"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// Conversation keeps the latest response of a connection, so that the next one can continue
// it. The API keeps it in memory even if `store` is false
// (https://platform.openai.com/docs/guides/websocket-mode). It must be used by the
// goroutine that answers the messages. The zero value is empty.
type Conversation struct {
	id    string
	items []json.RawMessage // all turns, including the response
	asked []json.RawMessage // turns of the current request; nil if its response is not kept
}

// Expand inserts the turns of the previous response before the input of the request, if it
// is the response that is kept. warmUp means that the model is not going to be called.
// stored reports whether the translation itself remembers a response.
func (c *Conversation) Expand(members map[string]json.RawMessage, warmUp bool, stored func(id string) bool) error {
	c.asked = nil
	own, err := inputItems(members["input"])
	if err != nil {
		return err
	}
	if warmUp || string(members["store"]) == "false" {
		c.asked = own
	}
	var previous string
	if json.Unmarshal(members["previous_response_id"], &previous) != nil || previous == "" {
		return nil
	}
	if previous != c.id {
		c.asked = nil // the turns before it are unknown
		return nil
	}
	all := append(append([]json.RawMessage{}, c.items...), own...)
	if c.asked != nil {
		c.asked = all
	}
	if stored(previous) {
		return nil
	}
	delete(members, "previous_response_id")
	members["input"], err = json.Marshal(all)
	return err
}

// inputItems returns the input of a request as a list of items.
func inputItems(input json.RawMessage) ([]json.RawMessage, error) {
	items := []json.RawMessage{}
	switch input = bytes.TrimSpace(input); {
	case len(input) == 0 || string(input) == "null":
	case input[0] == '"':
		turn, err := json.Marshal(map[string]any{"type": "message", "role": "user", "content": input})
		if err != nil {
			return nil, err
		}
		items = append(items, turn)
	default:
		if json.Unmarshal(input, &items) != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Message: "input must be a string or an array", Param: "input"}
		}
	}
	return items, nil
}

// See keeps the response if the event completes it.
func (c *Conversation) See(event []byte) {
	if c.asked == nil || !bytes.Contains(event, []byte(`"response.completed"`)) && !bytes.Contains(event, []byte(`"response.incomplete"`)) {
		return
	}
	var ev struct {
		Type     string `json:"type"`
		Response struct {
			ID     string            `json:"id"`
			Output []json.RawMessage `json:"output"`
		} `json:"response"`
	}
	if json.Unmarshal(event, &ev) != nil || ev.Type != "response.completed" && ev.Type != "response.incomplete" {
		return
	}
	c.keep(ev.Response.ID, ev.Response.Output)
}

// maxConversation limits the bytes that are kept for one connection.
const maxConversation = 16 << 20

func (c *Conversation) keep(id string, output []json.RawMessage) {
	size := 0
	for _, item := range append(c.asked, output...) {
		size += len(item)
	}
	if size > maxConversation {
		c.id, c.items, c.asked = "", nil, nil
		return
	}
	items := c.asked[:len(c.asked):len(c.asked)]
	for _, item := range output {
		var thought struct {
			Type      string  `json:"type"`
			Encrypted *string `json:"encrypted_content"`
		}
		if json.Unmarshal(item, &thought) == nil && thought.Type == "reasoning" && thought.Encrypted == nil {
			continue // without encrypted_content, no provider can read it again
		}
		items = append(items, item)
	}
	c.id, c.items, c.asked = id, items, nil
}

// WarmUp answers a response.create with `generate: false`. It does not call the model, but
// keeps the input for the response.create that continues it.
func (c *Conversation) WarmUp(model string, members map[string]json.RawMessage, created int64, send func([]byte) error) error {
	if c.asked == nil {
		return &fault.Error{Kind: fault.Invalid, Message: "the previous response is not known on this connection", Param: "previous_response_id", Code: "previous_response_not_found"}
	}
	id := "resp_" + rand.Text()
	c.keep(id, nil)
	response := map[string]any{
		"id": id, "object": "response", "created_at": created, "model": model, "output": []any{},
		"error": nil, "incomplete_details": nil, "metadata": map[string]any{}, "usage": nil,
		"parallel_tool_calls": true, "tool_choice": "auto", "tools": []any{}, "temperature": nil, "top_p": nil,
	}
	for _, name := range []string{"instructions", "metadata", "parallel_tool_calls", "tool_choice", "tools", "temperature", "top_p", "store"} {
		if given, ok := members[name]; ok {
			response[name] = given
		}
	}
	for n, kind := range []string{"response.created", "response.in_progress", "response.completed"} {
		response["status"] = "in_progress"
		if kind == "response.completed" {
			response["status"] = "completed"
			response["usage"] = map[string]any{
				"input_tokens": 0, "input_tokens_details": map[string]int{"cached_tokens": 0},
				"output_tokens": 0, "output_tokens_details": map[string]int{"reasoning_tokens": 0}, "total_tokens": 0,
			}
		}
		event, err := json.Marshal(map[string]any{"type": kind, "sequence_number": n, "response": response})
		if err != nil {
			return err
		}
		if err := send(event); err != nil {
			return respond.ErrDisconnected
		}
	}
	return nil
}
