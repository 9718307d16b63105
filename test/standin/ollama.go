package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// OllamaModels are the models that the stand-in lists. The first one thinks, the last one
// makes embeddings.
var OllamaModels = []string{"qwen3.5:9b", "llama3.2:latest", "nomic-embed-text:latest"}

// Ollama starts a stand-in for Ollama with its own API, and chat completions below /v1,
// where its base URL ends.
func Ollama(t testing.TB, key string) *Server {
	mux := chatMux()
	mux.HandleFunc("POST /api/chat", ollamaChat)
	mux.HandleFunc("POST /api/generate", ollamaGenerate)
	return startOpenAI(t, key, mux)
}

// ollamaRefusal returns Ollama's error for an invalid request to /api/chat, or "".
func ollamaRefusal(req map[string]any) (status int, why string) {
	model := str(req, "model")
	known := false
	for _, id := range OllamaModels {
		known = known || id == model || strings.TrimSuffix(id, ":latest") == model
	}
	switch think := req["think"].(type) {
	case nil, bool:
		if think == true && !strings.HasPrefix(model, "qwen3") {
			return 400, fmt.Sprintf("%q does not support thinking", model)
		}
	case string:
		if think != "high" && think != "medium" && think != "low" {
			return 400, fmt.Sprintf("invalid think value: %q (must be \"high\", \"medium\", \"low\", true, or false)", think)
		}
	}
	switch {
	case !known:
		return 404, fmt.Sprintf("model '%s' not found", model)
	case strings.Contains(model, "embed"):
		return 400, fmt.Sprintf("%q does not support chat", model)
	}
	for i, m := range objects(req["messages"]) {
		switch str(m, "role") {
		case "system", "user", "assistant", "tool":
		default:
			return 400, fmt.Sprintf("invalid role: %q", str(m, "role"))
		}
		if content, given := m["content"]; given && content != nil {
			if _, ok := content.(string); !ok {
				return 400, fmt.Sprintf("json: cannot unmarshal array into Go struct field ChatRequest.messages.%d.content of type string", i)
			}
		}
		for _, call := range objects(m["tool_calls"]) {
			if object(object(call["function"])["arguments"]) == nil {
				return 400, "json: cannot unmarshal string into Go struct field ToolCallFunction.arguments"
			}
		}
	}
	return 0, ""
}

func ollamaGenerate(w http.ResponseWriter, r *http.Request) {
	var req map[string]any
	json.NewDecoder(r.Body).Decode(&req)
	if status, why := ollamaRefusal(req); why != "" {
		reply(w, status, map[string]any{"error": strings.Replace(why, "support chat", "support generate", 1)})
		return
	}
	done := map[string]any{"model": str(req, "model"), "created_at": "2025-01-01T00:00:00Z", "response": echoReply(str(req, "prompt"), 0), "done": true, "done_reason": "stop", "context": []int{1}}
	w.Header().Set("Content-Type", "application/x-ndjson")
	json.NewEncoder(w).Encode(done)
}

func ollamaChat(w http.ResponseWriter, r *http.Request) {
	var req map[string]any
	json.NewDecoder(r.Body).Decode(&req)
	if status, why := ollamaRefusal(req); why != "" {
		reply(w, status, map[string]any{"error": why})
		return
	}
	answer, tool, args := openAITurn(req)
	message := map[string]any{"role": "assistant", "content": answer}
	if tool != "" {
		message["tool_calls"] = []any{map[string]any{"function": map[string]any{"name": tool, "arguments": json.RawMessage(args)}}}
	}
	done := map[string]any{"model": str(req, "model"), "created_at": "2025-01-01T00:00:00Z", "message": message, "done": true, "done_reason": "stop",
		"total_duration": 1, "load_duration": 1, "prompt_eval_count": 9, "prompt_eval_duration": 1, "eval_count": 4, "eval_duration": 1}
	if req["stream"] == false {
		reply(w, 200, done)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	line := func(v any) {
		data, _ := json.Marshal(v)
		w.Write(append(data, '\n'))
		w.(http.Flusher).Flush()
	}
	line(map[string]any{"model": str(req, "model"), "created_at": "2025-01-01T00:00:00Z", "message": message, "done": false})
	done["message"] = map[string]any{"role": "assistant", "content": ""}
	line(done)
}
