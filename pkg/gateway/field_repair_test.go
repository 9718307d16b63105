package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway"
)

// refusing creates a provider that refuses requests for which refuse returns a message, and
// responds to all others. bodies returns the request bodies that it received.
func (w *world) refusing(name string, speaks dialect.Name, refuse func(body string) (status int, message string), answer string) (bodies func() []string) {
	var mu sync.Mutex
	var seen []string
	s := w.upstream(name, func(rw http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost {
			rw.WriteHeader(404)
			return
		}
		mu.Lock()
		seen = append(seen, string(data))
		mu.Unlock()
		rw.Header().Set("Content-Type", "application/json")
		if status, message := refuse(string(data)); status != 0 {
			rw.WriteHeader(status)
			io.WriteString(rw, message)
			return
		}
		io.WriteString(rw, answer)
	})
	w.keys.putCred(name, gateway.Credential{BaseURL: s.URL, Dialect: speaks})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		all := seen
		seen = nil
		return all
	}
}

func contains(text, status string) func(string) (int, string) {
	return func(body string) (int, string) {
		if strings.Contains(body, text) {
			return 400, status
		}
		return 0, ""
	}
}

const message = `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`

// TestRefusedThinking checks that thinking which the provider does not accept is removed in
// a second attempt, and at once in the following turns.
func TestRefusedThinking(t *testing.T) {
	w := newWorld(t)
	anthropics := w.refusing("anthropic", "", contains(`Zm9yZWlnbg`, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"messages.1.content.0: Invalid `signature` in `thinking` block\"}}"), message)
	openais := w.refusing("openai", "", contains(`Zm9yZWlnbg`, `{"error":{"message":"The encrypted content Zm9y... could not be verified.","code":"invalid_encrypted_content"}}`), `{"id":"r","object":"response","status":"completed","output":[]}`)
	googles := w.refusing("google", "", contains(`Zm9yZWlnbg`, `{"error":{"code":400,"message":"Corrupted thought signature.","status":"INVALID_ARGUMENT"}}`), `{"candidates":[{"content":{"role":"model","parts":[{"text":"ok"}]},"finishReason":"STOP"}]}`)
	for _, c := range []struct {
		path, body, without, ignored string
		bodies                       func() []string
	}{
		{"/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2000}, "messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"Zm9yZWlnbg=="},{"type":"tool_use","id":"t","name":"f","input":{"signature":"kept"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"b"}]}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4000,"thinking":{"type":"disabled"}, "messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"signature":"kept"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"b"}]}]}`, "thinking", anthropics},
		{"/v1/chat/completions", `{"model":"claude-opus-4-1","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_details":[{"type":"thinking","text":"x","signature":"Zm9yZWlnbg=="}]},{"role":"user","content":"c"}]}`, "", "thinking", anthropics},
		{"/v1/responses", `{"model":"gpt-5","input":[{"role":"user","content":"a"},{"type":"reasoning","summary":[],"encrypted_content":"Zm9yZWlnbg=="},{"role":"assistant","content":"b"}]}`,
			`{"model":"gpt-5","input":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, "reasoning.encrypted_content", openais},
		{"/v1beta/models/gemini-3-pro:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"y","thoughtSignature":"Zm9yZWlnbg=="}]}]}`, "", "contents.thoughtSignature", googles},
	} {
		for turn, tries := range []int{2, 1} {
			a := w.do("POST", c.path, c.body)
			got := c.bodies()
			if a.status != 200 || len(got) != tries || !strings.Contains(a.header.Get("X-Hostless-Ignored"), c.ignored) {
				t.Errorf("%s, turn %d: %d %s by %d tries, ignored %q", c.path, turn, a.status, a.body, len(got), a.header.Get("X-Hostless-Ignored"))
				continue
			}
			if last := got[len(got)-1]; c.without != "" && last != c.without {
				t.Errorf("%s was sent as\n%s\nwant\n%s", c.path, last, c.without)
			}
		}
	}
}

// TestNewestFields checks that the newest fields of Claude Code do not end its sessions at
// other servers with the Messages API, whatever the text of their refusal.
func TestNewestFields(t *testing.T) {
	const request = `{"model":"%/m","max_tokens":32000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"context_management":{"edits":[]},
		"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],
		"tools":[{"name":"f","input_schema":{"type":"object","properties":{"cache_control":{"type":"object","ttl":"1h"}}},"defer_loading":true,"cache_control":{"type":"ephemeral","ttl":"1h"}}],
		"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"cache_control":{"type":"ephemeral","ttl":"1h"}}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"b","cache_control":{"type":"ephemeral","ttl":"1h"}}],"cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}`
	const kept = `"input":{"cache_control":{"type":"ephemeral","ttl":"1h"}}`
	for _, words := range []string{
		`{"type":"error","error":{"type":"invalid_request_error","message":"system.0.cache_control.ephemeral.ttl: Extra inputs are not permitted"}}`,
		`{"detail":[{"type":"extra_forbidden","loc":["body","context_management"],"msg":"Extra inputs are not permitted"}]}`,
		`{"error":"json: unknown field \"output_config\""}`,
	} {
		w := newWorld(t)
		strict := func(body string) (int, string) {
			rest := strings.Replace(strings.Replace(body, kept, "", 1), `"properties":{"cache_control":{"type":"object","ttl":"1h"}}`, "", 1)
			for _, field := range []string{`"ttl"`, "context_management", "output_config", "adaptive", "defer_loading"} {
				if strings.Contains(rest, field) {
					return 422, words
				}
			}
			if !json.Valid([]byte(body)) || !strings.Contains(body, kept) {
				return 400, `{"error":"not what was asked: ` + words + `"}`
			}
			return 0, ""
		}
		for name, speaks := range map[string]dialect.Name{"vllm": "", "ollama": "", "mine": dialect.Anthropic} {
			bodies := w.refusing(name, speaks, strict, message)
			for turn, tries := range []int{2, 1} {
				a := w.do("POST", "/v1/messages", strings.ReplaceAll(request, "%", name))
				if got := bodies(); a.status != 200 || len(got) != tries || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "cache_control.ttl") {
					t.Errorf("%s, turn %d: %d %s by %d tries, ignored %q:\n%s", name, turn, a.status, a.body, len(got), a.header.Get("X-Hostless-Ignored"), strings.Join(got, "\n"))
				}
			}
		}
	}
	// An older Claude model has a lower output limit than the client asks for.
	older := newWorld(t)
	asked := older.refusing("anthropic", "", contains(`64000`, `{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku-latest"}}`), message)
	for turn, tries := range []int{2, 1} {
		a := older.do("POST", "/v1/messages", `{"model":"claude-3-5-haiku-latest", "max_tokens":64000,"messages":[{"role":"user","content":"x"}]}`)
		if got := asked(); a.status != 200 || len(got) != tries || !strings.Contains(got[len(got)-1], `"claude-3-5-haiku-latest", "max_tokens":8192`) {
			t.Errorf("turn %d: %d %s by %v", turn, a.status, a.body, got)
		}
	}
	// A request to Anthropic is unchanged.
	w := newWorld(t)
	bodies := w.refusing("anthropic", "", func(string) (int, string) { return 0, "" }, message)
	body := strings.ReplaceAll(request, "%/", "claude-")
	if w.do("POST", "/v1/messages", body); bodies()[0] != body {
		t.Error("the request to Anthropic changed")
	}
}

// TestOutputLimit checks that a limit above the model's maximum is lowered to it. The
// maximum comes from the provider's list, its refusal or the embedded model data.
func TestOutputLimit(t *testing.T) {
	w := newWorld(t)
	chat := `{"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`
	limit := func(words string) func(string) (int, string) {
		return func(body string) (int, string) {
			if strings.Contains(body, "64000") {
				return 400, words
			}
			return 0, ""
		}
	}
	for _, c := range []struct{ words, want string }{
		{`{"error":{"message":"Invalid max_tokens param: max_tokens must be less than or equal to 8192"}}`, "8192"},
		{`{"error":{"message":"max_tokens is too large: 64000. This model supports at most 16384 completion tokens, whereas you provided 64000."}}`, "16384"},
		{`{"object":"error","message":"This model's maximum context length is 32768 tokens. However, you requested 65000 tokens (1000 in the messages, 64000 in the completion)."}`, "31768"},
		{`{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum context length is 40960 tokens and your request has 12 input tokens (64000 > 40960 - 12)."}}`, "40948"},
	} {
		bodies := w.refusing("mine", "", limit(c.words), chat)
		for path, body := range map[string]string{
			"/v1/messages":                          `{"model":"mine/m","max_tokens":64000,"messages":[{"role":"user","content":"x"}]}`,
			"/api/chat":                             `{"model":"mine/m","stream":false,"options":{"num_predict":64000},"messages":[{"role":"user","content":"x"}]}`,
			"/v1beta/models/mine/m:generateContent": `{"contents":[{"role":"user","parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":64000}}`,
		} {
			a := w.do("POST", path, body)
			got := bodies()
			if a.status != 200 || len(got) == 0 || !strings.Contains(got[len(got)-1], `tokens":`+c.want) {
				t.Errorf("%s, %s: %d %s\n%s", c.words, path, a.status, a.body, strings.Join(got, "\n"))
			}
		}
	}
}

// TestModelFacts checks that known properties of a model are used without a refusal, and
// that the provider's own list takes precedence.
func TestModelFacts(t *testing.T) {
	w := newWorld(t)
	var last string
	serve := func(list string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			if r.Method == http.MethodGet {
				io.WriteString(rw, list)
				return
			}
			data, _ := io.ReadAll(r.Body)
			last = string(data)
			io.WriteString(rw, `{"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`)
		}
	}
	w.upstream("groq", serve(`{"data":[{"id":"llama-3.1-8b-instant","context_window":131072,"max_completion_tokens":8192}]}`))
	w.upstream("deepseek", serve(`{"data":[{"id":"deepseek-chat"}]}`))
	w.do("GET", "/v1/models", "")
	w.do("POST", "/v1/messages", `{"model":"groq/llama-3.1-8b-instant","max_tokens":64000,"messages":[{"role":"user","content":"x"}]}`)
	if !strings.Contains(last, `tokens":8192`) {
		t.Errorf("the limit of the provider's list was not applied: %s", last)
	}
	w.do("POST", "/v1/messages", `{"model":"groq/llama-3.3-70b-versatile","max_tokens":64000,"messages":[{"role":"user","content":"x"}]}`)
	if !strings.Contains(last, `tokens":32768`) {
		t.Errorf("the limit of the embedded model data was not applied: %s", last)
	}
	a := w.do("POST", "/v1/messages", `{"model":"groq/llama-3.3-70b-versatile","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}},{"type":"text","text":"what is it?"}]}]}`)
	if a.status != 200 || strings.Contains(last, "image_url") || !strings.Contains(last, "picture left out") || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "messages.image_url") {
		t.Errorf("%d %s, ignored %q: %s", a.status, a.body, a.header.Get("X-Hostless-Ignored"), last)
	}
	show := objectOf(t, w.do("POST", "/api/show", `{"model":"groq/llama-3.1-8b-instant"}`))
	if info := show["model_info"].(map[string]any); info["groq.context_length"] != 131072.0 {
		t.Errorf("show returned %v", info)
	}
	show = objectOf(t, w.do("POST", "/api/show", `{"model":"deepseek/deepseek-chat"}`))
	if info := show["model_info"].(map[string]any); info["deepseek.context_length"] != 1000000.0 {
		t.Errorf("show returned %v", info)
	}
}

// TestRefusedPictures checks that a model which reads no images responds to the text around
// them, also in the caller's own dialect, and that the session continues.
func TestRefusedPictures(t *testing.T) {
	w := newWorld(t)
	bodies := w.refusing("mine", "", contains(`"image_url"`, "{\"error\":{\"message\":\"Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected `text`\"}}"), `{"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`)
	messages := w.refusing("vllm", "", contains(`"image"`, `{"type":"error","error":{"type":"invalid_request_error","message":"m is not a multimodal model"}}`), message)
	for _, c := range []struct {
		path, body string
		bodies     func() []string
	}{
		{"/v1/chat/completions", `{"model":"mine/m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}},{"type":"text","text":"x"}]}]}`, bodies},
		{"/v1/responses", `{"model":"mine/m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,aGk="}]}]}`, bodies},
		{"/v1/messages", `{"model":"vllm/m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]}]}`, messages},
	} {
		for turn := range 2 {
			a := w.do("POST", c.path, c.body)
			if got := c.bodies(); a.status != 200 || turn == 1 && len(got) != 1 || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "messages.image") {
				t.Errorf("%s, turn %d: %d %s, ignored %q\n%s", c.path, turn, a.status, a.body, a.header.Get("X-Hostless-Ignored"), strings.Join(got, "\n"))
			}
		}
	}
}
