package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/token"
)

// TestScopeWithinBodies checks that a token which is limited to certain models cannot use
// others through nested members of a body.
func TestScopeWithinBodies(t *testing.T) {
	w := newWorld(t)
	called := 0
	for _, name := range []string{"openai", "anthropic", "google", "mistral"} {
		w.upstream(name, func(rw http.ResponseWriter, r *http.Request) {
			called++
			io.WriteString(rw, `{"choices":[{"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}]}`)
		})
	}
	limited := "Bearer " + w.mint(token.Request{Scope: token.Scope{Models: []string{
		"gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash", "gemini-embedding-001", "mistral/m",
	}}})
	gemini := "/v1beta/models/gemini-embedding-001:batchEmbedContents"
	count := "/v1beta/models/gemini-2.5-flash:countTokens"
	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{gemini, `{"requests":[{"model":"models/gemini-embedding-001"},{"model":"gemini-embedding-001"}]}`, 200},
		{gemini, `{"requests":[{"content":{}}]}`, 200},
		{gemini, `{"requests":[{"model":"models/gemini-embedding-001"},{"model":"models/text-embedding-004"}]}`, 403},
		{gemini, `{"requests":[{"mod\u0065l":"models/text-embedding-004"}]}`, 403},
		{gemini, `{"requests":[{"model":"models/text-embedding-004"}],"requests":[]}`, 403},
		{gemini, `{"requests":[{"model":"models/text-embedding-004","model":"models/gemini-embedding-001"}]}`, 403},
		{gemini, `{"requests":[{"model":1}]}`, 403},
		{gemini, `[]`, 400},
		{count, `{"generateContentRequest":{"model":"models/gemini-2.5-flash","contents":[]}}`, 200},
		{count, `{"generateContentRequest":{"model":"models/gemini-2.5-pro","contents":[]}}`, 403},
		{count, `{"generate_content_request":{"model":"models/gemini-2.5-pro"}}`, 403},
		{count, `{"model":"models/gemini-2.5-pro","contents":[]}`, 403},
		{"/v1beta/models/gemini-2.5-flash:generateContent", `{"contents":[{"parts":[{"functionCall":{"name":"f","args":{"model":"x"}}}]}]}`, 200},

		{"/v1/responses", `{"model":"gpt-4o-mini","tools":[{"type":"image_generation"}]}`, 200},
		{"/v1/responses", `{"model":"gpt-4o-mini","tools":[{"type":"image_generation","model":"gpt-image-1"}]}`, 403},
		{"/v1/responses", `{"model":"gpt-4o-mini","tools":[{"type":"image_generation","mod\u0065l":"gpt-image-1"}]}`, 403},
		{"/v1/responses", `{"model":"gpt-4o-mini","tools":[{"type":"image_generation","model":"gpt-image-1","Model":"gpt-4o-mini"}]}`, 403},
		{"/v1/responses", `{"model":"gpt-4o-mini","tools":[{"type":"function","name":"f","parameters":{"properties":{"model":{"type":"string"}}}}]}`, 200},
		{"/v1/responses", `{"model":"gpt-4o-mini","tools":{"model":"gpt-image-1"}}`, 400},
		{"/v1/messages", `{"model":"claude-haiku-4-5","tools":[{"type":"advisor","model":"claude-opus-4-6"}]}`, 403},
		{"/v1/fine_tuning/jobs", `{"model":"gpt-4o-mini","method":{"type":"supervised","supervised":{"hyperparameters":{"n":1}}}}`, 200},
		{"/v1/fine_tuning/jobs", `{"model":"gpt-4o-mini","method":{"type":"reinforcement","reinforcement":{"grader":{"graders":[{"type":"score_model","model":"o3"}]}}}}`, 403},
		{"/v1/assistants", `{"model":"gpt-4o-mini"}`, 200},
		{"/v1/assistants/a", `{"model":"gpt-4o"}`, 403},
		{"/v1/threads/runs", `{"model":"gpt-4o","assistant_id":"a"}`, 403},
		{"/v1/batches", `{"model":"gpt-4o-mini"}`, 403},
		{"/v1/evals/e/runs", `{"model":"gpt-4o-mini"}`, 403},
		{"/v1/realtime/client_secrets", `{"session":{"model":"gpt-4o-mini"}}`, 403},
		{"/v1/realtime/calls", `{"session":{"model":"gpt-4o-mini"}}`, 403},
		{"/v1/fine_tuning/alpha/graders/run", `{"grader":{"model":"o3"}}`, 403},

		// Members that a translation adds.
		{"/v1/responses", `{"model":"mistral/m","input":"hi","extra_body":{"mistral":{"safe_prompt":true}}}`, 200},
		{"/v1/responses", `{"model":"mistral/m","input":"hi","extra_body":{"mistral":{"model":"big"}}}`, 400},
		{"/v1/responses", `{"model":"mistral/m","input":"hi","extra_body":{"mistral":{"models":["big"]}}}`, 403},
		{"/v1/chat/completions", `{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"x"}],"extra_body":{"anthropic":{"fallbacks":[{"model":"claude-opus-4-6"}]}}}`, 403},
		{"/v1/chat/completions", `{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"x"}],"extra_body":{"anthropic":{"tools":[{"type":"advisor","model":"claude-opus-4-6"}]}}}`, 403},
	} {
		before := called
		a := w.do("POST", tt.path, tt.body, "Authorization", limited)
		reached := called > before
		if a.status != tt.status || reached != (tt.status == 200) {
			t.Errorf("%s %s = %d %s, want %d; upstream called: %v", tt.path, tt.body, a.status, a.body, tt.status, reached)
		}
	}
	// Without such a limit, nothing of it is checked.
	w.do("POST", gemini, `{"requests":[{"model":"models/text-embedding-004"}]}`).want(t, 200, "")
	w.do("POST", "/v1/responses", `{"model":"gpt-4o-mini","tools":[{"type":"image_generation","model":"gpt-image-1"}]}`).want(t, 200, "")
}

// TestStrictProviders checks that fields of the intermediate form do not reach a provider
// that would refuse them, and that a caller's own chat request is unchanged.
func TestStrictProviders(t *testing.T) {
	w := newWorld(t)
	var saw string
	h := func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if saw = string(b); r.URL.Path != "/v1/chat/completions" {
			http.NotFound(rw, r)
			return
		}
		io.WriteString(rw, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}]}`)
	}
	for _, name := range []string{"mistral", "openai", "mine", "cerebras"} {
		w.upstream(name, h)
	}
	requests := map[string]string{
		"/v1/responses": `{"model":"MODEL","max_output_tokens":9,"prompt_cache_key":"k","input":[{"role":"developer","content":[{"type":"input_text","text":"s","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"hi"},
			{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"1"}]}`,
		"/v1/messages": `{"model":"MODEL","max_tokens":9,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"hi"},
			{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"1"}]}]}`,
		"/api/chat": `{"model":"MODEL","stream":false,"options":{"num_predict":9},"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"a","thinking":"hm"},{"role":"user","content":"go"}]}`,
		"/v1beta/models/MODEL:generateContent": `{"generationConfig":{"maxOutputTokens":9},"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"hm","thought":true},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2ln"}]},
			{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"a":1}}}]}]}`,
	}
	for _, model := range []string{"mistral/m", "mine/m", "cerebras/m"} {
		for path, body := range requests {
			w.do("POST", strings.ReplaceAll(path, "MODEL", model), strings.ReplaceAll(body, "MODEL", model)).want(t, 200, "pong")
			for _, name := range []string{"reasoning_content", "reasoning_details", "extra_content", "cache_control", "max_completion_tokens", "developer", "prompt_cache_key"} {
				if strings.Contains(saw, name) {
					t.Errorf("%s on %s: %s is in the upstream request %s", path, model, name, saw)
				}
			}
			if !strings.Contains(saw, `"max_tokens":9`) || !json.Valid([]byte(saw)) {
				t.Errorf("%s on %s: %s", path, model, saw)
			}
		}
	}
	w.do("POST", "/v1/messages", strings.ReplaceAll(requests["/v1/messages"], "MODEL", "openai/gpt-4o")).want(t, 200, "pong")
	if strings.Contains(saw, "reasoning") || !strings.Contains(saw, `"max_completion_tokens":9`) {
		t.Errorf("openai got %s", saw)
	}
	const own = `{"model":"m","max_completion_tokens":9,"messages":[{"role":"developer","content":"x","reasoning_content":"y","cache_control":{}}],"extra_body":{"a":1}}`
	w.do("POST", "/v1/chat/completions", strings.Replace(own, `"m"`, `"mistral/m"`, 1)).want(t, 200, "pong")
	if saw != own {
		t.Errorf("the caller's own request was changed to %s", saw)
	}
}

// TestOutputOfTheProvidersList checks that the provider's list sets the output limit of a
// model with an unknown name.
func TestOutputOfTheProvidersList(t *testing.T) {
	w := newWorld(t)
	var saw string
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			io.WriteString(rw, `{"data":[{"type":"model","id":"own","max_tokens":777}]}`)
			return
		}
		b, _ := io.ReadAll(r.Body)
		saw = string(b)
		io.WriteString(rw, `{"id":"m","type":"message","role":"assistant","content":[{"type":"text","text":"pong"}],"stop_reason":"end_turn"}`)
	})
	cred := w.keys.creds["mine"]
	cred.Dialect = dialect.Anthropic
	w.keys.putCred("mine", cred)
	w.do("GET", "/v1/models", "").want(t, 200, `"mine/own"`)
	w.do("POST", "/v1/chat/completions", `{"model":"mine/own","messages":[{"role":"user","content":"x"}]}`).want(t, 200, "pong")
	if !strings.Contains(saw, `"max_tokens":777`) {
		t.Errorf("got %s", saw)
	}
}
