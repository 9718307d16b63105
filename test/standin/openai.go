package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// OpenAIModels are the models that the stand-in lists.
var OpenAIModels = []string{"gpt-4o-mini", "gpt-5", "text-embedding-3-small", "gpt-4o-realtime-preview"}

// OpenAI starts a stand-in for api.openai.com. Its base URL is URL + "/v1". The models
// `err-STATUS` respond with that status.
func OpenAI(t testing.TB, key string) *Server {
	mux := chatMux()
	mux.HandleFunc("POST /v1/responses", openAIResponses)
	mux.HandleFunc("GET /v1/responses", openAISocket)
	mux.HandleFunc("GET /v1/realtime", openAIRealtime)
	mux.HandleFunc("GET /v1/responses/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, responseObject(r.PathValue("id"), "gpt-5", "completed", []any{}))
	})
	mux.HandleFunc("DELETE /v1/responses/{id}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]any{"id": r.PathValue("id"), "object": "response", "deleted": true})
	})
	mux.HandleFunc("POST /v1/embeddings", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]any{"object": "list", "model": "text-embedding-3-small", "data": []any{map[string]any{"object": "embedding", "index": 0, "embedding": []float64{0.25, -0.5}}}, "usage": map[string]any{"prompt_tokens": 2, "total_tokens": 2}})
	})
	mux.HandleFunc("POST /v1/moderations", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]any{"id": "modr-1", "model": "omni-moderation-latest", "results": []any{map[string]any{"flagged": false, "categories": map[string]any{}, "category_scores": map[string]any{}}}})
	})
	mux.HandleFunc("POST /v1/audio/speech", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		for range 4 {
			w.Write([]byte(strings.Repeat("\xff\xfb\x00", 100)))
			w.(http.Flusher).Flush()
		}
	})
	form := func(then func(w http.ResponseWriter, r *http.Request, size int, name string)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			file, header, err := r.FormFile("file")
			if err != nil {
				reply(w, 400, openAIError("invalid_request_error", err.Error()))
				return
			}
			data, _ := io.ReadAll(file)
			then(w, r, len(data), header.Filename)
		}
	}
	mux.HandleFunc("POST /v1/audio/transcriptions", form(func(w http.ResponseWriter, r *http.Request, size int, name string) {
		reply(w, 200, map[string]any{"text": fmt.Sprintf("%d bytes for %s", size, r.FormValue("model"))})
	}))
	mux.HandleFunc("POST /v1/files", form(func(w http.ResponseWriter, r *http.Request, size int, name string) {
		reply(w, 200, map[string]any{"id": "file-1", "object": "file", "bytes": size, "created_at": 1700000000, "filename": name, "purpose": r.FormValue("purpose"), "status": "processed"})
	}))
	mux.HandleFunc("GET /v1/files/{id}/content", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		io.WriteString(w, "content of "+r.PathValue("id"))
	})
	mux.HandleFunc("POST /v1/images/generations", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]any{"created": 1700000000, "data": []any{map[string]any{"b64_json": "iVBORw0KGgo="}}})
	})
	mux.HandleFunc("POST /v1/audio/translations", form(func(w http.ResponseWriter, r *http.Request, size int, name string) {
		reply(w, 200, map[string]any{"text": fmt.Sprintf("%d bytes in English for %s", size, r.FormValue("model"))})
	}))
	openAIRest(mux)
	return startOpenAI(t, key, mux)
}

// Chat starts a stand-in for a server that only has chat completions and models.
func Chat(t testing.TB, key string) *Server { return startOpenAI(t, key, chatMux()) }

func chatMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		data := []any{}
		for _, id := range OpenAIModels {
			data = append(data, map[string]any{"id": id, "object": "model", "created": 1700000000, "owned_by": "openai"})
		}
		reply(w, 200, map[string]any{"object": "list", "data": data})
	})
	mux.HandleFunc("POST /v1/chat/completions", openAIChat)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 404, openAIError("invalid_request_error", "Invalid URL ("+r.Method+" "+r.URL.Path+")"))
	})
	return mux
}

func startOpenAI(t testing.TB, key string, mux *http.ServeMux) *Server {
	return start(t, key, func(r *http.Request, key string) bool { return r.Header.Get("Authorization") == "Bearer "+key },
		func(w http.ResponseWriter, r *http.Request) {
			e := openAIError("invalid_request_error", "Incorrect API key provided: "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+".")
			e["error"].(map[string]any)["code"] = "invalid_api_key"
			reply(w, 401, e)
		}, mux)
}

func openAIError(kind, message string) map[string]any {
	return map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": nil}}
}

func failing(w http.ResponseWriter, model string) bool {
	status, err := strconv.Atoi(strings.TrimPrefix(model, "err-"))
	if !strings.HasPrefix(model, "err-") || err != nil {
		return false
	}
	w.Header().Set("Retry-After", "0")
	w.Header().Set("x-request-id", "req_err")
	w.Header().Set("x-ratelimit-remaining-requests", "0")
	reply(w, status, openAIError("standin_error", "asked to fail"))
	return true
}

// openAITurn returns the model's answer: a text or a tool call.
func openAITurn(req map[string]any) (answer, tool, args string) {
	messages, _ := req["messages"].([]any)
	last := lastTurn(messages)
	prompt, others := text(last["content"])
	if str(last, "role") == "tool" {
		return "Tool said: " + prompt, "", ""
	}
	tools, _ := req["tools"].([]any)
	if name, schema := pick(tools, chatTool); name != "" {
		return "", name, compact(toolArguments(prompt, name, schema))
	}
	return echoReply(prompt, others), "", ""
}

func chatTool(t map[string]any) (string, any) {
	f, _ := t["function"].(map[string]any)
	return str(f, "name"), f["parameters"]
}

func openAIChat(w http.ResponseWriter, r *http.Request) {
	var req map[string]any
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		reply(w, 400, openAIError("invalid_request_error", err.Error()))
		return
	}
	model := str(req, "model")
	if failing(w, model) {
		return
	}
	w.Header().Set("x-request-id", "req_chat")
	if responsesOnly.MatchString(model) {
		reply(w, 404, openAIError("invalid_request_error", "This model is only supported in v1/responses and not in v1/chat/completions."))
		return
	}
	why := badChat(req)
	if why == "" {
		why = badForModel(req)
	}
	if why != "" {
		e := openAIError("invalid_request_error", why)
		object(e["error"])["param"] = paramOf(why, "reasoning_effort")
		reply(w, 400, e)
		return
	}
	answer, tool, args := openAITurn(req)
	id := toolCallID(model)
	large := false
	if sc, ok := scripted(r, req, list(req["tools"]), chatTool); ok {
		large = sc.large
		if sc.tooLong {
			reply(w, 400, tooLongHere())
			return
		}
		answer, tool, args, id = sc.text, sc.tool, compact(sc.args), fmt.Sprintf("call_%d", sc.id)
	}
	usage := map[string]any{"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": map[string]any{"cached_tokens": cached(r)}, "completion_tokens_details": map[string]any{"reasoning_tokens": 0}}
	if large {
		usage["prompt_tokens"], usage["total_tokens"] = largePrompt, largePrompt+4
	}
	finish := "stop"
	message := map[string]any{"role": "assistant", "content": answer, "refusal": nil}
	if tool != "" {
		finish = "tool_calls"
		message["content"] = nil
		message["tool_calls"] = []any{map[string]any{"id": id, "type": "function", "function": map[string]any{"name": tool, "arguments": args}}}
	}
	if thinks(model) {
		message["reasoning_content"] = "Look first."
	}
	if req["stream"] != true {
		reply(w, 200, map[string]any{"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model, "usage": usage,
			"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": finish, "logprobs": nil}}})
		return
	}
	s := newStream(w)
	chunk := func(delta map[string]any, finish any) {
		s.send("", map[string]any{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": nil}}})
	}
	chunk(map[string]any{"role": "assistant", "content": ""}, nil)
	if thinks(model) {
		chunk(map[string]any{"reasoning_content": "Look "}, nil)
		chunk(map[string]any{"reasoning_content": "first."}, nil)
	}
	if tool != "" {
		chunk(map[string]any{"tool_calls": []any{map[string]any{"index": 0, "id": id, "type": "function", "function": map[string]any{"name": tool, "arguments": ""}}}}, nil)
		for _, p := range pieces(args) {
			chunk(map[string]any{"tool_calls": []any{map[string]any{"index": 0, "function": map[string]any{"arguments": p}}}}, nil)
		}
	}
	for _, p := range pieces(answer) {
		chunk(map[string]any{"content": p}, nil)
	}
	chunk(map[string]any{}, finish)
	if options, _ := req["stream_options"].(map[string]any); options["include_usage"] == true {
		s.send("", map[string]any{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model, "choices": []any{}, "usage": usage})
	}
	s.send("", "[DONE]")
}

// paramOf returns the param of an error that does not name its field.
func paramOf(why, field string) any {
	if strings.Contains(why, "Supported values are: ") {
		return field
	}
	return nil
}

// tooLongHere returns OpenAI's error for a conversation that is too long.
func tooLongHere() map[string]any {
	e := openAIError("invalid_request_error", "Your input exceeds the context window of this model. Please adjust your input and try again.")
	object(e["error"])["code"], object(e["error"])["param"] = "context_length_exceeded", "input"
	return e
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, Subprotocols: []string{"realtime"}}

// openAISocket implements the Responses API's WebSocket mode. previous_response_id must
// name a response of the same connection.
func openAISocket(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	known := map[string]bool{}
	for n := 1; ; n++ {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		keepFrame(r, data)
		var req map[string]any
		json.Unmarshal(data, &req)
		if prev := str(req, "previous_response_id"); prev != "" && !known[prev] {
			conn.WriteJSON(map[string]any{"type": "error", "status": 400, "error": map[string]any{"type": "invalid_request_error", "code": "previous_response_not_found", "message": "Previous response not found."}})
			continue
		}
		id := fmt.Sprintf("resp_ws_%d", n)
		known[id] = true
		responseEvents(req, id, nil, func(ev map[string]any) { conn.WriteJSON(ev) })
	}
}

// openAIRealtime opens a session and echoes what it receives, text and binary.
func openAIRealtime(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("model") == "refused" {
		reply(w, 403, openAIError("invalid_request_error", "no realtime for you"))
		return
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.WriteJSON(map[string]any{"type": "session.created", "session": map[string]any{"model": r.URL.Query().Get("model"), "object": "realtime.session"}})
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}
