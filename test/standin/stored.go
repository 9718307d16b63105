package standin

import (
	"io"
	"net/http"
	"strings"
)

// stored serves families of stored objects, which can be created, changed, listed, read
// and deleted, all in the same way.
func stored(mux *http.ServeMux, families ...string) {
	for _, family := range families {
		object := objectOf(family)
		made := func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			id := r.PathValue("id")
			if id == "" {
				id = object + "_1"
			}
			reply(w, 200, map[string]any{"id": id, "object": object, "created_at": 1700000000, "status": "completed"})
		}
		mux.HandleFunc("POST "+family, made)
		mux.HandleFunc("POST "+family+"/{id}", made)
		kept(mux, family)
	}
}

// kept is stored without creation.
func kept(mux *http.ServeMux, families ...string) {
	for _, family := range families {
		object := objectOf(family)
		id := object + "_1"
		mux.HandleFunc("GET "+family, func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, map[string]any{"object": "list", "data": []any{map[string]any{"id": id, "object": object}}, "first_id": id, "last_id": id, "has_more": false})
		})
		mux.HandleFunc("GET "+family+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, map[string]any{"id": r.PathValue("id"), "object": object, "created_at": 1700000000, "status": "completed"})
		})
		mux.HandleFunc("DELETE "+family+"/{id}", func(w http.ResponseWriter, r *http.Request) {
			reply(w, 200, map[string]any{"id": r.PathValue("id"), "object": object + ".deleted", "deleted": true})
		})
	}
}

func objectOf(family string) string {
	return strings.TrimSuffix(family[strings.LastIndexByte(family, '/')+1:], "s")
}

// openAIRest serves OpenAI's API apart from generation.
func openAIRest(mux *http.ServeMux) {
	answer := func(pattern string, v any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			reply(w, 200, v)
		})
	}
	picture := map[string]any{"created": 1700000000, "data": []any{map[string]any{"b64_json": "iVBORw0KGgo="}}}
	answer("POST /v1/completions", map[string]any{"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": "gpt-3.5-turbo-instruct",
		"choices": []any{map[string]any{"index": 0, "text": " there was a stand-in.", "finish_reason": "stop", "logprobs": nil}},
		"usage":   map[string]any{"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}})
	answer("POST /v1/images/edits", picture)
	answer("POST /v1/images/variations", picture)
	answer("POST /v1/responses/compact", map[string]any{"id": "resp_1", "object": "response.compaction", "output": []any{}})
	answer("POST /v1/responses/input_tokens", map[string]any{"object": "response.input_tokens", "input_tokens": 11})
	answer("POST /v1/realtime/client_secrets", map[string]any{"value": "ek_1", "expires_at": 1700000000, "session": map[string]any{"type": "realtime"}})
	mux.HandleFunc("POST /v1/responses/{id}/cancel", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, responseObject(r.PathValue("id"), "gpt-5", "cancelled", []any{}))
	})
	list := map[string]any{"object": "list", "data": []any{}, "has_more": false}
	answer("GET /v1/responses/{id}/input_items", list)
	answer("GET /v1/chat/completions/{id}/messages", list)
	kept(mux, "/v1/chat/completions", "/v1/files")
	stored(mux, "/v1/conversations", "/v1/uploads", "/v1/batches", "/v1/vector_stores", "/v1/containers", "/v1/videos",
		"/v1/skills", "/v1/evals", "/v1/fine_tuning/jobs", "/v1/assistants", "/v1/threads", "/v1/audio/voices")
}

// geminiRest serves Gemini's API apart from generation. A file is uploaded in two steps:
// the first response contains the URL for the bytes.
func geminiRest(mux *http.ServeMux) {
	cached := map[string]any{"name": "cachedContents/1", "model": "models/gemini-2.5-flash"}
	mux.HandleFunc("POST /v1beta/cachedContents", func(w http.ResponseWriter, r *http.Request) { reply(w, 200, cached) })
	mux.HandleFunc("GET /v1beta/cachedContents", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 200, map[string]any{"cachedContents": []any{cached}})
	})
	file := map[string]any{"name": "files/1", "uri": "https://generativelanguage.googleapis.com/v1beta/files/1", "state": "ACTIVE"}
	mux.HandleFunc("GET /v1beta/files", func(w http.ResponseWriter, r *http.Request) { reply(w, 200, map[string]any{"files": []any{file}}) })
	mux.HandleFunc("POST /upload/v1beta/files", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if strings.Contains(r.Header.Get("X-Goog-Upload-Command"), "start") {
			w.Header().Set("X-Goog-Upload-Status", "active")
			w.Header().Set("X-Goog-Upload-Url", "http://"+r.Host+"/upload/v1beta/files?upload_id=1")
			w.WriteHeader(http.StatusOK)
			return
		}
		reply(w, 200, map[string]any{"file": file})
	})
}
