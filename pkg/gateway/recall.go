package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/json"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/respond"
)

// recall is what a bridged connection keeps of its newest response, so that the
// next one can go on from it: the API keeps a connection's newest response in
// memory even where `store` is false
// (https://platform.openai.com/docs/guides/websocket-mode). It belongs to the
// goroutine that answers.
type recall struct {
	id    string
	items []json.RawMessage // all turns up to and including the response
	asked []json.RawMessage // those of the request that is being served; nil where nothing is to be kept
}

// expand puts the turns of a previous response, where it is the one kept here,
// before the request's own input. warmUp is whether no model is going to be
// asked; stored reports whether the translation remembers a response itself.
func (k *recall) expand(members map[string]json.RawMessage, warmUp bool, stored func(id string) bool) error {
	k.asked = nil
	own, err := inputItems(members["input"])
	if err != nil {
		return err
	}
	if warmUp || string(members["store"]) == "false" {
		k.asked = own
	}
	var previous string
	if json.Unmarshal(members["previous_response_id"], &previous) != nil || previous == "" {
		return nil
	}
	if previous != k.id {
		k.asked = nil // what came before it is not known here
		return nil
	}
	all := append(append([]json.RawMessage{}, k.items...), own...)
	if k.asked != nil {
		k.asked = all
	}
	if stored(previous) {
		return nil
	}
	delete(members, "previous_response_id")
	members["input"], err = json.Marshal(all)
	return err
}

// inputItems gives a request's input as items.
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
			return nil, &fault.Error{Kind: fault.Invalid, Message: "input is neither a text nor a list", Param: "input"}
		}
	}
	return items, nil
}

// see takes note of the response that an event ends.
func (k *recall) see(event []byte) {
	if k.asked == nil || !bytes.Contains(event, []byte(`"response.completed"`)) && !bytes.Contains(event, []byte(`"response.incomplete"`)) {
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
	k.keep(ev.Response.ID, ev.Response.Output)
}

// recallLimit bounds the bytes that one connection keeps.
const recallLimit = 16 << 20

func (k *recall) keep(id string, output []json.RawMessage) {
	size := 0
	for _, item := range append(k.asked, output...) {
		size += len(item)
	}
	if size > recallLimit {
		k.id, k.items, k.asked = "", nil, nil
		return
	}
	items := k.asked[:len(k.asked):len(k.asked)]
	for _, item := range output {
		var thought struct {
			Type      string  `json:"type"`
			Encrypted *string `json:"encrypted_content"`
		}
		if json.Unmarshal(item, &thought) == nil && thought.Type == "reasoning" && thought.Encrypted == nil {
			continue // nobody could read it again
		}
		items = append(items, item)
	}
	k.id, k.items, k.asked = id, items, nil
}

// warmUp answers a response.create with `generate: false`: what is asked is kept
// for the response.create that goes on from it, and no model is called.
func (k *recall) warmUp(model string, members map[string]json.RawMessage, created int64, tell func([]byte) error) error {
	if k.asked == nil {
		return &fault.Error{Kind: fault.Invalid, Message: "the previous response is not known here", Param: "previous_response_id", Code: "previous_response_not_found"}
	}
	id := "resp_" + rand.Text()
	k.keep(id, nil)
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
		if err := tell(event); err != nil {
			return respond.ErrDisconnected
		}
	}
	return nil
}
