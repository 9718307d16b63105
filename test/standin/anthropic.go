package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// AnthropicModels are the models that the stand-in lists.
var AnthropicModels = []string{"claude-sonnet-4-5", "claude-haiku-4-5"}

// Anthropic starts a stand-in for api.anthropic.com.
func Anthropic(t testing.TB, key string) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		data := []any{}
		for _, id := range AnthropicModels {
			data = append(data, map[string]any{"type": "model", "id": id, "display_name": id, "created_at": "2025-01-01T00:00:00Z"})
		}
		reply(w, 200, map[string]any{"data": data, "has_more": false, "first_id": AnthropicModels[0], "last_id": AnthropicModels[len(AnthropicModels)-1]})
	})
	mux.HandleFunc("POST /v1/messages/count_tokens", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]any{"input_tokens": 42})
	})
	mux.HandleFunc("POST /v1/messages", messages)
	stored(mux, "/v1/messages/batches", "/v1/files")
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 404, anthropicError("not_found_error", "no "+r.URL.Path))
	})
	return start(t, key,
		func(r *http.Request, key string) bool {
			return r.Header.Get("x-api-key") == key && r.Header.Get("anthropic-version") != ""
		},
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("request-id", "req_anthropic")
			reply(w, 401, anthropicError("authentication_error", "invalid x-api-key"))
		}, mux)
}

func anthropicError(kind, message string) map[string]any {
	return map[string]any{"type": "error", "error": map[string]any{"type": kind, "message": message}, "request_id": "req_anthropic"}
}

func messages(w http.ResponseWriter, r *http.Request) {
	var req map[string]any
	json.NewDecoder(r.Body).Decode(&req)
	w.Header().Set("request-id", "req_anthropic")
	if _, ok := req["max_tokens"]; !ok {
		reply(w, 400, anthropicError("invalid_request_error", "max_tokens: Field required"))
		return
	}
	if str(req, "model") == "claude-overloaded" {
		reply(w, 529, anthropicError("overloaded_error", "Overloaded"))
		return
	}
	if why := badMessages(req); why != "" {
		reply(w, 400, anthropicError("invalid_request_error", why))
		return
	}
	turns, _ := req["messages"].([]any)
	last := lastTurn(turns)
	prompt, others := text(last["content"])
	if overflows(prompt) {
		reply(w, 400, anthropicError("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"))
		return
	}
	answer := echoReply(prompt, others)
	var call map[string]any
	if parts, _ := last["content"].([]any); len(parts) > 0 {
		for _, p := range parts {
			if m, _ := p.(map[string]any); str(m, "type") == "tool_result" && !asks(prompt) {
				result, _ := text(m["content"])
				answer, call = "Tool said: "+result, map[string]any{}
			}
		}
	}
	tools, _ := req["tools"].([]any)
	if name, schema := pick(tools, messagesTool); call == nil && name != "" {
		call = map[string]any{"type": "tool_use", "id": "toolu_1", "name": name, "input": toolArguments(prompt, name, schema)}
	}
	if len(call) == 0 {
		call = nil
	}
	if sc, ok := scripted(r, req, tools, messagesTool); ok {
		if sc.tooLong {
			reply(w, 400, anthropicError("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"))
			return
		}
		if answer, call = sc.text, nil; sc.tool != "" {
			call = map[string]any{"type": "tool_use", "id": fmt.Sprintf("toolu_%d", sc.id), "name": sc.tool, "input": sc.args}
		}
	}
	var blocks []any
	stop := "end_turn"
	if thinking, _ := req["thinking"].(map[string]any); thinking != nil && str(thinking, "type") != "disabled" {
		blocks = append(blocks, map[string]any{"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmF0dXJl"})
	}
	usage := map[string]any{"input_tokens": 9, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3, "output_tokens": 4}
	if searched := searchBlocks(req, answer); call == nil && searched != nil {
		blocks = append(blocks, searched...)
		usage["server_tool_use"] = map[string]any{"web_search_requests": 1}
	} else if call != nil {
		stop = "tool_use"
		blocks = append(blocks, call)
	} else {
		blocks = append(blocks, map[string]any{"type": "text", "text": answer})
	}
	if answer := interleaved(prompt, tools); answer != nil {
		blocks, stop = answer, "tool_use"
	}
	message := map[string]any{"id": "msg_1", "type": "message", "role": "assistant", "model": str(req, "model"), "content": blocks, "stop_reason": stop, "stop_sequence": nil,
		"usage": usage}
	if req["stream"] != true {
		reply(w, 200, message)
		return
	}
	s := newStream(w)
	send := func(kind string, fields map[string]any) { fields["type"] = kind; s.send(kind, fields) }
	start := map[string]any{}
	for k, v := range message {
		start[k] = v
	}
	start["content"], start["stop_reason"] = []any{}, nil
	send("message_start", map[string]any{"message": start})
	send("ping", map[string]any{})
	for i, raw := range blocks {
		b := raw.(map[string]any)
		delta := func(d map[string]any) { send("content_block_delta", map[string]any{"index": i, "delta": d}) }
		switch b["type"] {
		case "thinking":
			send("content_block_start", map[string]any{"index": i, "content_block": map[string]any{"type": "thinking", "thinking": "", "signature": ""}})
			delta(map[string]any{"type": "thinking_delta", "thinking": b["thinking"]})
			delta(map[string]any{"type": "signature_delta", "signature": b["signature"]})
		case "web_search_tool_result":
			send("content_block_start", map[string]any{"index": i, "content_block": b})
		case "tool_use", "server_tool_use":
			send("content_block_start", map[string]any{"index": i, "content_block": map[string]any{"type": b["type"], "id": b["id"], "name": b["name"], "input": map[string]any{}}})
			delta(map[string]any{"type": "input_json_delta", "partial_json": ""})
			for _, p := range pieces(compact(b["input"])) {
				delta(map[string]any{"type": "input_json_delta", "partial_json": p})
			}
		default:
			send("content_block_start", map[string]any{"index": i, "content_block": map[string]any{"type": "text", "text": ""}})
			for _, p := range pieces(str(b, "text")) {
				delta(map[string]any{"type": "text_delta", "text": p})
			}
			for _, c := range list(b["citations"]) {
				delta(map[string]any{"type": "citations_delta", "citation": c})
			}
		}
		send("content_block_stop", map[string]any{"index": i})
	}
	send("message_delta", map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": usage})
	send("message_stop", map[string]any{})
}

// Interleaved in a prompt makes the response contain thinking between its tool calls. A
// later request must return them in the same order.
const Interleaved = "think between the calls"

// order is the order of the blocks in such a response, in the format of inOrder.
const order = "thinking:c0E= text tool_use:toolu_i1 thinking:c0I= tool_use:toolu_i2"

func interleaved(prompt string, tools []any) []any {
	name, schema := pick(tools, messagesTool)
	if !strings.Contains(prompt, Interleaved) || name == "" {
		return nil
	}
	call := func(id string) map[string]any {
		return map[string]any{"type": "tool_use", "id": id, "name": name, "input": toolArguments(prompt, name, schema)}
	}
	return []any{
		map[string]any{"type": "thinking", "thinking": "First é.", "signature": "c0E="}, map[string]any{"type": "text", "text": "Both at once."}, call("toolu_i1"),
		map[string]any{"type": "thinking", "thinking": "Then.", "signature": "c0I="}, call("toolu_i2"),
	}
}

// inOrder checks the blocks of a turn that is an interleaved response.
func inOrder(blocks []map[string]any) bool {
	got, ours := []string{}, false
	for _, b := range blocks {
		switch kind := str(b, "type"); kind {
		case "thinking":
			got = append(got, kind+":"+str(b, "signature"))
		case "tool_use":
			got = append(got, kind+":"+str(b, "id"))
			ours = ours || str(b, "id") == "toolu_i1"
		default:
			got = append(got, kind)
		}
	}
	return !ours || strings.Join(got, " ") == order
}

// messagesTool skips Anthropic's own tools, which have no schema.
func messagesTool(t map[string]any) (string, any) {
	if t["input_schema"] == nil {
		return "", nil
	}
	return str(t, "name"), t["input_schema"]
}
