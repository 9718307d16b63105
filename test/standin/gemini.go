package standin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// GeminiModels are the models that the stand-in lists.
var GeminiModels = []string{"gemini-2.5-flash", "gemini-3-pro"}

// Gemini starts a stand-in for generativelanguage.googleapis.com. Its base URL is URL +
// "/v1beta". A key in the query is refused: it belongs in the header.
func Gemini(t testing.TB, key string) *Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1beta/models", func(w http.ResponseWriter, r *http.Request) {
		models := []any{}
		for _, id := range GeminiModels {
			models = append(models, map[string]any{"name": "models/" + id, "version": "1", "displayName": id, "inputTokenLimit": 1048576, "outputTokenLimit": 65536,
				"supportedGenerationMethods": []any{"generateContent", "countTokens"}})
		}
		reply(w, 200, map[string]any{"models": models})
	})
	mux.HandleFunc("POST /v1beta/models/{call}", func(w http.ResponseWriter, r *http.Request) {
		model, verb, _ := strings.Cut(r.PathValue("call"), ":")
		var req map[string]any
		json.NewDecoder(r.Body).Decode(&req)
		switch verb {
		case "countTokens":
			reply(w, 200, map[string]any{"totalTokens": 42})
		case "embedContent":
			reply(w, 200, map[string]any{"embedding": map[string]any{"values": []float64{0.25, -0.5}}})
		case "batchEmbedContents":
			reply(w, 200, map[string]any{"embeddings": []any{map[string]any{"values": []float64{0.25, -0.5}}}})
		case "generateContent", "streamGenerateContent":
			generate(w, r, model, verb, req)
		default:
			reply(w, 404, geminiError(404, "NOT_FOUND", "no verb "+verb))
		}
	})
	geminiRest(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, 404, geminiError(404, "NOT_FOUND", "no "+r.URL.Path))
	})
	return start(t, key,
		func(r *http.Request, key string) bool {
			return r.Header.Get("x-goog-api-key") == key && !r.URL.Query().Has("key")
		},
		func(w http.ResponseWriter, r *http.Request) {
			reply(w, 400, geminiError(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."))
		}, mux)
}

func geminiError(code int, status, message string) map[string]any {
	return map[string]any{"error": map[string]any{"code": code, "message": message, "status": status}}
}

func generate(w http.ResponseWriter, r *http.Request, model, verb string, req map[string]any) {
	if model == "gemini-exhausted" {
		reply(w, 429, geminiError(429, "RESOURCE_EXHAUSTED", "Quota exceeded"))
		return
	}
	if why := badContents(model, req); why != "" {
		reply(w, 400, geminiError(400, "INVALID_ARGUMENT", why))
		return
	}
	contents, _ := req["contents"].([]any)
	last := map[string]any{}
	if len(contents) > 0 {
		last, _ = contents[len(contents)-1].(map[string]any)
	}
	prompt, others := text(last["parts"])
	if overflows(prompt) {
		reply(w, 400, geminiError(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."))
		return
	}
	answer := echoReply(prompt, others)
	var call map[string]any
	answered := false
	if parts, _ := last["parts"].([]any); len(parts) > 0 {
		for _, p := range parts {
			m, _ := p.(map[string]any)
			if f, ok := m["functionResponse"].(map[string]any); ok && !asks(prompt) {
				answer, answered = "Tool said: "+compact(f["response"]), true
			}
		}
	}
	var functions []any
	tools, _ := req["tools"].([]any)
	for _, raw := range tools {
		t, _ := raw.(map[string]any)
		more, _ := t["functionDeclarations"].([]any)
		functions = append(functions, more...)
	}
	if name, schema := pick(functions, declaration); name != "" && !answered {
		call = map[string]any{"functionCall": map[string]any{"name": name, "args": toolArguments(prompt, name, schema)}, "thoughtSignature": "dGhvdWdodA=="}
	}
	large := false
	if sc, ok := scripted(r, req, functions, declaration); ok {
		large = sc.large
		if sc.tooLong {
			reply(w, 400, geminiError(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."))
			return
		}
		if answer, call = sc.text, nil; sc.tool != "" {
			call = map[string]any{"functionCall": map[string]any{"name": sc.tool, "args": sc.args}, "thoughtSignature": "dGhvdWdodA=="}
		}
	}
	usage := map[string]any{"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 2, "totalTokenCount": 15}
	if large {
		usage["promptTokenCount"], usage["totalTokenCount"] = largePrompt, largePrompt+6
	}
	if n := cached(r); n > 0 {
		usage["cachedContentTokenCount"] = n
	}
	chunk := func(parts []any, finish any) map[string]any {
		c := map[string]any{"index": 0, "content": map[string]any{"role": "model", "parts": parts}}
		if finish != nil {
			c["finishReason"] = finish
			if found := groundingOf(req); found != nil {
				c["groundingMetadata"] = found
			}
		}
		return map[string]any{"candidates": []any{c}, "usageMetadata": usage, "modelVersion": model, "responseId": "gem_1"}
	}
	var parts []any
	if call != nil {
		parts = []any{call}
	} else {
		for _, p := range pieces(answer) {
			parts = append(parts, map[string]any{"text": p})
		}
	}
	if verb == "generateContent" {
		if call == nil {
			parts = []any{map[string]any{"text": answer}}
		}
		reply(w, 200, chunk(parts, "STOP"))
		return
	}
	var chunks []map[string]any
	for i, p := range parts {
		var finish any
		if i == len(parts)-1 {
			finish = "STOP"
		}
		chunks = append(chunks, chunk([]any{p}, finish))
	}
	if r.URL.Query().Get("alt") != "sse" {
		reply(w, 200, chunks)
		return
	}
	s := newStream(w)
	for _, c := range chunks {
		s.send("", c)
	}
}

func declaration(f map[string]any) (string, any) {
	if schema := f["parametersJsonSchema"]; schema != nil {
		return str(f, "name"), schema
	}
	return str(f, "name"), f["parameters"]
}
