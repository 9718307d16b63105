package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway"
)

// messagesOnly is a provider with Anthropic's dialect only.
func messagesOnly(t *testing.T) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/v1/messages" || r.Header.Get("X-Api-Key") != canary || r.Header.Get("Authorization") != "" {
			t.Errorf("anthropic was asked %s %v", r.URL, r.Header)
		}
		if !strings.Contains(string(b), `"stream":true`) {
			io.WriteString(rw, `{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"pong"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":5}}`)
			return
		}
		send := events(rw)
		for _, e := range []string{
			`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}`,
			`{"type":"ping"}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"pong"}}`, `{"type":"content_block_stop","index":0}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}`, `{"type":"message_stop"}`,
		} {
			var typed struct{ Type string }
			json.Unmarshal([]byte(e), &typed)
			send("event: " + typed.Type + "\ndata: " + e + "\n\n")
		}
	}
}

// geminiOnly is a provider with Gemini's dialect only.
func geminiOnly(t *testing.T) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Goog-Api-Key") != canary || r.URL.Query().Get("key") != "" {
			t.Errorf("google was asked %s %v", r.URL, r.Header)
		}
		piece := `{"candidates":[{"content":{"role":"model","parts":[{"text":"pong"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":5,"totalTokenCount":12}}`
		switch r.URL.Path {
		case "/v1beta/models/gemini-2.5-flash:generateContent":
			io.WriteString(rw, piece)
		case "/v1beta/models/gemini-2.5-flash:streamGenerateContent":
			if r.URL.Query().Get("alt") != "sse" {
				rw.Header().Set("Content-Type", "application/json")
				io.WriteString(rw, "["+piece)
				rw.(http.Flusher).Flush()
				io.WriteString(rw, ",\n"+piece+"]")
				return
			}
			events(rw)("data: " + piece + "\r\n\r\n")
		case "/v1beta/models/gemini-embedding-001:embedContent", "/v1beta/models/gemini-embedding-001:batchEmbedContents":
			io.WriteString(rw, `{"embedding":{"values":[0.5,1]},"embeddings":[{"values":[0.5,1]}]}`)
		default:
			t.Errorf("google was asked %s", r.URL)
			http.NotFound(rw, r)
		}
	}
}

// TestEveryDialectOnEveryProvider sends requests in each dialect to a provider of each
// dialect, with and without streaming.
func TestEveryDialectOnEveryProvider(t *testing.T) {
	w := newWorld(t)
	w.upstream("mistral", chatOnly(t))
	w.upstream("anthropic", messagesOnly(t))
	w.upstream("google", geminiOnly(t))
	for _, model := range []string{"mistral/m", "anthropic/claude-x", "gemini/gemini-2.5-flash", "echo/text"} {
		for _, tt := range []struct{ name, path, body, end string }{
			{"chat", "/v1/chat/completions", `{"model":"MODEL","messages":[{"role":"user","content":"pong"}]}`, ""},
			{"chat stream", "/v1/chat/completions", `{"model":"MODEL","stream":true,"messages":[{"role":"user","content":"pong"}]}`, "data: [DONE]\n\n"},
			{"responses", "/v1/responses", `{"model":"MODEL","input":"pong"}`, ""},
			{"responses stream", "/v1/responses", `{"model":"MODEL","stream":true,"input":"pong"}`, `"type":"response.completed"}`},
			{"messages", "/v1/messages", `{"model":"MODEL","max_tokens":9,"messages":[{"role":"user","content":"pong"}]}`, ""},
			{"messages stream", "/messages", `{"model":"MODEL","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"pong"}]}`, "event: message_stop\n"},
			{"gemini", "/v1beta/models/MODEL:generateContent", `{"contents":[{"role":"user","parts":[{"text":"pong"}]}]}`, ""},
			{"gemini stream", "/v1beta/models/MODEL:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"pong"}]}]}`, `"finishReason"`},
			{"gemini array", "/v1beta/models/MODEL:streamGenerateContent", `{"contents":[{"role":"user","parts":[{"text":"pong"}]}]}`, "]"},
			{"ollama chat", "/api/chat", `{"model":"MODEL","stream":false,"messages":[{"role":"user","content":"pong"}]}`, ""},
			{"ollama chat stream", "/api/chat", `{"model":"MODEL:latest","messages":[{"role":"user","content":"pong"}]}`, `"done":true`},
			{"ollama generate", "/api/generate", `{"model":"MODEL","prompt":"pong","stream":false}`, ""},
		} {
			t.Run(model+" "+tt.name, func(t *testing.T) {
				a := w.do("POST", strings.Replace(tt.path, "MODEL", model, 1), strings.Replace(tt.body, "MODEL", model, 1))
				if a.status != 200 || !strings.Contains(a.body, "pong") && !strings.Contains(a.body, `"ng"`) || !strings.Contains(a.body, tt.end) {
					t.Fatalf("%d %v\n%s", a.status, a.header, a.body)
				}
				kind := a.header.Get("Content-Type")
				switch {
				case tt.end == "" || tt.name == "gemini array":
					if kind != "" && !strings.HasPrefix(kind, "application/json") && !strings.HasPrefix(kind, "text/plain") {
						t.Errorf("content type %q", kind)
					}
				case strings.HasPrefix(tt.name, "ollama"):
					if kind != "application/x-ndjson" || strings.Contains(a.body, "data:") {
						t.Errorf("content type %q: %s", kind, a.body)
					}
				case !strings.HasPrefix(kind, "text/event-stream"):
					t.Errorf("content type %q", kind)
				}
				if tt.name == "gemini stream" && strings.Contains("\n"+a.body, "\n:") {
					t.Errorf("Google's clients stop at a comment: %s", a.body)
				}
				if tt.name == "gemini array" {
					var list []any
					if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) == 0 {
						t.Errorf("no array: %v: %s", err, a.body)
					}
				}
			})
		}
	}
	for _, u := range w.gw.Usage() {
		if u.Requests != 12 || u.Errors != 0 || u.OutputTokens < 12 {
			t.Errorf("usage %+v", u)
		}
	}
}

func TestEmbeddingsAndCounts(t *testing.T) {
	w := newWorld(t)
	w.upstream("google", geminiOnly(t))
	w.upstream("anthropic", messagesOnly(t))
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/embeddings" {
			t.Errorf("openai was asked %s", r.URL)
		}
		io.WriteString(rw, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]}],"model":"e","usage":{"prompt_tokens":1,"total_tokens":1}}`)
	})
	w.do("POST", "/v1/embeddings", `{"model":"text-embedding-3-small","input":"x"}`).want(t, 200, `[0.5,1]`)
	w.do("POST", "/v1/embeddings", `{"model":"gemini-embedding-001","input":"x"}`).want(t, 200, `"embedding":[0.5,1]`)
	w.do("POST", "/v1beta/models/gemini-embedding-001:embedContent?key="+w.token, `{"content":{"parts":[{"text":"x"}]}}`, "Authorization", "").want(t, 200, `"values":[0.5,1]`)
	w.do("POST", "/v1beta/models/openai/e:embedContent", `{"content":{"parts":[{"text":"x"}]}}`).want(t, 200, `"values":[0.5,1]`)
	w.do("POST", "/api/embed", `{"model":"openai/e","input":"x"}`).want(t, 200, `[0.5,1]`)
	w.do("POST", "/api/embeddings", `{"model":"gemini/gemini-embedding-001","prompt":"x"}`).want(t, 200, `"embedding":[0.5,1]`)
	w.do("POST", "/api/embed", `{"model":"anthropic/claude-x","input":"x"}`).want(t, 400, `{"error":"`)
	w.do("POST", "/v1/messages/count_tokens", `{"model":"openai/gpt","messages":[{"role":"user","content":"hello"}]}`).want(t, 200, `{"input_tokens":`)
	w.do("POST", "/v1beta/models/openai/gpt:countTokens", `{"contents":[{"parts":[{"text":"hello"}]}]}`).want(t, 200, `"totalTokens":`)
	w.do("POST", "/v1beta/models/openai/gpt:predict", `{}`).want(t, 400, `"status":"INVALID_ARGUMENT"`)
	w.do("POST", "/v1beta/models/openai/gpt", `{}`).want(t, 404, `"NOT_FOUND"`)
	w.do("POST", "/api/chat", `{"model":"echo/text","messages":[]}`).want(t, 200, `"done_reason":"load"`)
	w.do("POST", "/v1beta/models/nothing:generateContent", `{}`, "Authorization", "").want(t, 401, `"UNAUTHENTICATED"`)
	w.do("POST", "/api/chat", `{"model":"x"}`, "Authorization", "").want(t, 401, `{"error":"Invalid or unknown bridge token`)
}

func TestOllamaMetadata(t *testing.T) {
	w := newWorld(t)
	w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"models":[{"name":"models/gemini-2.5-flash","inputTokenLimit":1000}]}`)
	})
	w.settings.OllamaModels = []gateway.OllamaModel{{Name: "groq/extra", Context: 4711, Capabilities: []string{"completion"}}, {Name: "gemini/gemini-2.5-flash"}}
	none := []string{"Authorization", ""}
	a := w.do("GET", "/api/tags", "", none...)
	var tags struct {
		Models []struct{ Name, Model string }
	}
	if err := json.Unmarshal([]byte(a.body), &tags); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var names []string
	for _, m := range tags.Models {
		names = append(names, m.Name)
	}
	if got := strings.Join(names, " "); got != "gemini/gemini-2.5-flash echo/text echo/slow groq/extra" {
		t.Errorf("tags: %s", got)
	}
	w.do("POST", "/api/show", `{"model":"gemini/gemini-2.5-flash"}`, none...).want(t, 200, `"capabilities"`)
	w.do("POST", "/api/show", `{"model":"groq/extra"}`, none...).want(t, 200, `"groq.context_length":4711`)
	w.do("POST", "/api/show", `{"model":"groq/extra"}`, none...).want(t, 200, `"capabilities":["completion"]`)
	w.do("POST", "/api/show", `{"name":"echo/text:latest"}`, none...).want(t, 200, `"capabilities"`)
	w.do("POST", "/api/show", `{"model":"nothing"}`, none...).want(t, 404, `{"error":"model 'nothing' not found"}`)
	w.do("GET", "/api/version", "", none...).want(t, 200, `{"version":"`)
	w.do("GET", "/api/ps", "", none...).want(t, 200, `{"models":[]}`)
	w.do("POST", "/api/generate", `{"model":"echo/text","prompt":"x","stream":false}`).want(t, 200, `"response":"x"`)
	w.do("GET", "/api/ps", "", none...).want(t, 200, `"name":"echo/text"`)
	if a := w.do("HEAD", "/", "", none...); a.status != 200 {
		t.Errorf("HEAD / = %d", a.status)
	}
	for origin, status := range map[string]int{"http://localhost:3000": 200, "http://app.localhost:48282": 403, "https://evil.example": 403, "null": 403} {
		if a := w.do("GET", "/api/tags", "", "Authorization", "", "Origin", origin); a.status != status {
			t.Errorf("%s: %d, want %d", origin, a.status, status)
		}
		if a := w.do("HEAD", "/", "", "Authorization", "", "Origin", origin); a.status != status {
			t.Errorf("HEAD / from %s: %d, want %d", origin, a.status, status)
		}
	}
}

func TestFilesAreNotFetchedFromHere(t *testing.T) {
	w := newWorld(t)
	w.upstream("google", geminiOnly(t))
	for _, url := range []string{"https://127.0.0.1:1/x.png", "https://localhost/x.png", "https://169.254.169.254/x", "https://10.0.0.1/x", "http://example.com/x.png"} {
		w.do("POST", "/v1/chat/completions", `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"`+url+`"}}]}]}`).want(t, 400, "invalid_request_error")
	}
}

// TestCallerGoneInEveryDialect checks that the upstream request is cancelled within a
// second after the caller disconnects, before the response or in the middle of it.
func TestCallerGoneInEveryDialect(t *testing.T) {
	for _, tt := range []struct{ path, body string }{
		{"/v1/chat/completions", `{"model":"mistral/m","stream":true,"messages":[{"role":"user","content":"x"}]}`},
		{"/v1/chat/completions", `{"model":"anthropic/m","stream":true,"messages":[{"role":"user","content":"x"}]}`},
		{"/v1/chat/completions", `{"model":"google/m","stream":true,"messages":[{"role":"user","content":"x"}]}`},
		{"/v1/responses", `{"model":"mistral/m","stream":true,"input":"x"}`},
		{"/v1/responses", `{"model":"openai/m","stream":true,"input":"x"}`},
		{"/v1/messages", `{"model":"anthropic/m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`},
		{"/v1/messages", `{"model":"mistral/m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`},
		{"/v1beta/models/google/m:streamGenerateContent", `{"contents":[{"parts":[{"text":"x"}]}]}`},
		{"/v1beta/models/mistral/m:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"x"}]}]}`},
		{"/api/chat", `{"model":"mistral/m","messages":[{"role":"user","content":"x"}]}`},
		{"/v1/audio/speech", `{"model":"tts-1"}`},
	} {
		for _, when := range []string{"before the answer", "in the middle"} {
			t.Run(tt.path+" "+tt.body[:17]+" "+when, func(t *testing.T) {
				w := newWorld(t)
				asked, disconnected := make(chan struct{}), make(chan struct{})
				for _, name := range []string{"mistral", "anthropic", "google", "openai"} {
					w.upstream(name, func(rw http.ResponseWriter, r *http.Request) {
						io.Copy(io.Discard, r.Body)
						if when == "in the middle" {
							events(rw)(": hello\n\n")
						}
						close(asked)
						<-r.Context().Done()
						close(disconnected)
					})
				}
				ctx, cancel := context.WithCancel(context.Background())
				go func() {
					resp, err := noRedirects.Do(w.request("POST", tt.path, tt.body).WithContext(ctx))
					if err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				}()
				<-asked
				cancel()
				select {
				case <-disconnected:
				case <-time.After(10 * time.Second):
					t.Fatal("the upstream request was not cancelled")
				}
			})
		}
	}
}

// TestGeminiUploadStaysHere follows a resumable upload: the URL of its second step must be
// one of Hostless, or the bridge token would be sent to Google.
func TestGeminiUploadStaysHere(t *testing.T) {
	w := newWorld(t)
	var up *httptest.Server
	var seen []string
	up = w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		seen = append(seen, r.URL.String()+" "+string(b)+" "+r.Header.Get("X-Goog-Upload-Command"))
		if r.Header.Get("X-Goog-Api-Key") != canary {
			t.Errorf("headers %v", r.Header)
		}
		rw.Header().Set("X-Goog-Upload-Url", up.URL+"/upload/v1beta/files?upload_id=7&upload_protocol=resumable")
		io.WriteString(rw, "{}")
	})
	a := w.do("POST", "/upload/v1beta/files?key="+w.token, `{"file":{}}`, "Authorization", "", "X-Goog-Upload-Command", "start")
	own := a.header.Get("X-Goog-Upload-Url")
	path, ok := strings.CutPrefix(own, w.server.URL)
	if !ok {
		t.Fatalf("the upload URL is %q", own)
	}
	w.do("POST", path, "bytes", "Content-Type", "application/octet-stream", "X-Goog-Upload-Command", "upload, finalize").want(t, 200, "{}")
	want := `/upload/v1beta/files {"file":{}} start|/upload/v1beta/files?upload_id=7&upload_protocol=resumable bytes upload, finalize`
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("google saw %s", got)
	}
}
