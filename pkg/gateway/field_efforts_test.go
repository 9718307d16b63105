package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// effortAsked returns the effort in a request that was sent to a provider, in any dialect.
func effortAsked(body []byte) string {
	var req map[string]any
	json.Unmarshal(body, &req)
	for _, path := range [][]any{{"reasoning_effort"}, {"reasoning", "effort"}, {"output_config", "effort"}, {"generationConfig", "thinkingConfig", "thinkingLevel"}} {
		if word, ok := at(req, path...).(string); ok {
			return word
		}
	}
	return ""
}

// TestEveryEffortWord checks that each model gets an effort that it accepts, whatever the
// client sends, and that a changed effort is named in the response.
func TestEveryEffortWord(t *testing.T) {
	w := newWorld(t)
	servers := map[string]*standin.Server{"openai": standin.OpenAI(t, canary), "anthropic": standin.Anthropic(t, canary), "google": standin.Gemini(t, canary)}
	for name, s := range servers {
		w.keys.put(name, s.URL+map[string]string{"google": "/v1beta"}[name])
	}
	for _, name := range []string{"xai", "groq", "mistral", "deepseek", "mine"} {
		servers[name] = standin.Chat(t, canary)
		w.keys.put(name, servers[name].URL+"/v1")
	}
	models := map[string]string{
		"gpt-4.1": "openai", "gpt-5": "openai", "gpt-5-pro": "openai", "gpt-5.1": "openai", "gpt-5.2-pro": "openai", "gpt-5.6": "openai", "o3": "openai", "o4-mini-deep-research": "openai",
		"claude-3-5-haiku-latest": "anthropic", "claude-sonnet-4-5": "anthropic", "claude-opus-4-6": "anthropic", "claude-opus-4-8": "anthropic", "claude-fable-1": "anthropic",
		"gemini-2.0-flash": "google", "gemini-2.5-pro": "google", "gemini-2.5-flash": "google", "gemini-3-pro": "google", "gemini-3.5-flash": "google",
		"xai/grok-4": "xai", "xai/grok-3-mini": "xai", "groq/qwen/qwen3-32b": "groq", "groq/openai/gpt-oss-120b": "groq", "groq/llama-3.1-8b-instant": "groq",
		"mistral/mistral-large-latest": "mistral", "deepseek/deepseek-chat": "deepseek", "mine/any": "mine", "mine/gpt-5": "mine",
	}
	for model, provider := range models {
		for _, word := range []string{"none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", "auto"} {
			for _, s := range []struct{ name, path, body string }{
				{"chat", "/v1/chat/completions", `{"model":"MODEL","reasoning_effort":"WORD","messages":[{"role":"user","content":"go"}]}`},
				{"Responses", "/v1/responses", `{"model":"MODEL","store":false,"reasoning":{"effort":"WORD"},"input":"go"}`},
				{"Messages", "/v1/messages", `{"model":"MODEL","max_tokens":40000,"thinking":{"type":"adaptive"},"output_config":{"effort":"WORD"},"messages":[{"role":"user","content":"go"}]}`},
				{"Gemini", "/v1beta/models/MODEL:generateContent", `{"generationConfig":{"thinkingConfig":{"thinkingLevel":"WORD"}},"contents":[{"role":"user","parts":[{"text":"go"}]}]}`},
				{"Ollama", "/api/chat", `{"model":"MODEL","stream":false,"think":"WORD","messages":[{"role":"user","content":"go"}]}`},
			} {
				fill := strings.NewReplacer("MODEL", model, "WORD", word)
				a := w.do("POST", fill.Replace(s.path), fill.Replace(s.body))
				if a.status != 200 {
					t.Errorf("%s on %s, %s: %d %s", s.name, model, word, a.status, a.body)
					continue
				}
				asked := effortAsked(servers[provider].Last(t).Body)
				if named := a.header.Get("X-Hostless-Ignored"); asked != word && asked != "" && named == "" && word != "auto" {
					t.Errorf("%s on %s: %s became %s, and the answer does not say so", s.name, model, word, asked)
				}
			}
		}
	}
}

// TestNativeFieldsAreCorrected checks fields that the model refuses, in the caller's own
// dialect. They are corrected in a second attempt and named, and the next request is
// corrected at once. All other bytes are unchanged.
func TestNativeFieldsAreCorrected(t *testing.T) {
	for _, c := range []struct {
		name, provider, path string
		start                func(testing.TB, string) *standin.Server
		body, want           string
		ignored              string
	}{
		{"a word too strong", "openai", "/v1/chat/completions", standin.OpenAI,
			`{"model":"gpt-5", "reasoning_effort" : "max","messages":[{"role":"user","content":"go"}]}`, `{"model":"gpt-5", "reasoning_effort" : "high","messages":[{"role":"user","content":"go"}]}`, "reasoning_effort"},
		{"a word where none is taken", "xai", "/v1/chat/completions", standin.Chat,
			`{"model":"grok-4", "reasoning_effort":"low", "messages":[{"role":"user","content":"go"}]}`, `{"model":"grok-4", "messages":[{"role":"user","content":"go"}]}`, "reasoning_effort"},
		{"the Responses API's", "openai", "/v1/responses", standin.OpenAI,
			`{"model":"gpt-5.1","reasoning":{"effort":"minimal", "summary":"auto"},"input":"go"}`, `{"model":"gpt-5.1","reasoning":{"effort":"low", "summary":"auto"},"input":"go"}`, "reasoning.effort"},
		{"two at once", "openai", "/v1/responses", standin.OpenAI,
			`{"model":"gpt-4.1","store":false,"include":["reasoning.encrypted_content"],"reasoning":{"effort":"low"},"input":"go"}`, `{"model":"gpt-4.1","store":false,"include":[],"reasoning":{},"input":"go"}`, "reasoning.effort include"},
		{"the other limit", "openai", "/v1/chat/completions", standin.OpenAI,
			`{"model":"o3", "max_tokens": 90,"messages":[{"role":"user","content":"go"}]}`, `{"model":"o3", "max_completion_tokens": 90,"messages":[{"role":"user","content":"go"}]}`, "max_tokens"},
		{"sampling", "openai", "/v1/chat/completions", standin.OpenAI,
			`{"model":"gpt-5","temperature":0.2, "messages":[{"role":"user","content":"go"}]}`, `{"model":"gpt-5", "messages":[{"role":"user","content":"go"}]}`, "temperature"},
		{"a limit too high", "groq", "/v1/chat/completions", standin.Chat,
			`{"model":"llama-3.1-8b-instant","max_tokens":64000,"messages":[{"role":"user","content":"go"}]}`, `{"model":"llama-3.1-8b-instant","max_tokens":8192,"messages":[{"role":"user","content":"go"}]}`, "max_tokens"},
		{"adaptive thinking", "anthropic", "/v1/messages", standin.Anthropic,
			`{"model":"claude-haiku-4-5","max_tokens":8000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"messages":[{"role":"user","content":"go"}]}`,
			`{"model":"claude-haiku-4-5","max_tokens":8000,"thinking":{"type":"enabled","budget_tokens":4000},"output_config":{},"messages":[{"role":"user","content":"go"}]}`, "thinking.type output_config.effort"},
		{"a budget", "anthropic", "/v1/messages", standin.Anthropic,
			`{"model":"claude-opus-5","max_tokens":8000,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"go"}]}`,
			`{"model":"claude-opus-5","max_tokens":8000,"thinking":{"type":"adaptive"},"messages":[{"role":"user","content":"go"}]}`, "thinking.type"},
		{"an effort of Claude's", "anthropic", "/v1/messages", standin.Anthropic,
			`{"model":"claude-opus-4-6","max_tokens":8000,"output_config":{"effort":"xhigh"},"messages":[{"role":"user","content":"go"}]}`,
			`{"model":"claude-opus-4-6","max_tokens":8000,"output_config":{"effort":"max"},"messages":[{"role":"user","content":"go"}]}`, "output_config.effort"},
		{"two samplers", "anthropic", "/v1/messages", standin.Anthropic,
			`{"model":"claude-sonnet-4-5","max_tokens":80,"temperature":0.2,"top_p":0.9,"messages":[{"role":"user","content":"go"}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":80,"temperature":0.2,"messages":[{"role":"user","content":"go"}]}`, "top_p"},
		{"a level", "google", "/v1beta/models/gemini-3-pro:generateContent", standin.Gemini,
			`{"contents":[{"role":"user","parts":[{"text":"go"}]}],"generationConfig":{"thinkingConfig":{"thinkingLevel":"MINIMAL","includeThoughts":true}}}`,
			`{"contents":[{"role":"user","parts":[{"text":"go"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}`, "generationConfig.thinkingConfig.thinkingLevel"},
		{"no thinking", "google", "/v1beta/models/gemini-2.5-pro:generateContent", standin.Gemini,
			`{"contents":[{"role":"user","parts":[{"text":"go"}]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":0}}}`, `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"generationConfig":{"thinkingConfig":{}}}`, "generationConfig.thinkingConfig.thinkingBudget"},
		{"a plainer model", "google", "/v1beta/models/gemma-3-27b-it:generateContent", standin.Gemini,
			`{"systemInstruction":{"parts":[{"text":"Be kind."}]},"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}`,
			`{"contents":[{"role":"user","parts":[{"text":"Be kind."}]},{"role":"user","parts":[{"text":"go"}]}]}`, "systemInstruction tools"},
		{"Ollama's own", "ollama", "/api/chat", standin.Ollama,
			`{"model":"ollama/llama3.2","think":"max","stream":false,"messages":[{"role":"user","content":"go"}]}`, `{"model":"llama3.2","think":"high","stream":false,"messages":[{"role":"user","content":"go"}]}`, "think"},
	} {
		w := newWorld(t)
		s := c.start(t, canary)
		base := "/v1"
		if c.provider == "google" {
			base = "/v1beta"
		}
		w.keys.put(c.provider, s.URL+base)
		before := 0
		for i := range 2 {
			a := w.do("POST", c.path, c.body)
			got := string(s.Last(t).Body)
			if a.status != 200 || c.want != "" && got != c.want {
				t.Errorf("%s: %d %s\nsent %s\nwant %s", c.name, a.status, a.body, got, c.want)
			}
			for _, name := range strings.Fields(c.ignored) {
				if named := a.header.Get("X-Hostless-Ignored"); !strings.Contains(named, name) {
					t.Errorf("%s: %s is not named in %q", c.name, name, named)
				}
			}
			n := len(s.Generations())
			if strings.HasPrefix(c.path, "/api") {
				n = len(s.Requests())
			}
			if i == 1 && n != before+1 {
				t.Errorf("%s: the second request took %d", c.name, n-before)
			}
			before = n
		}
	}
}

// TestCountsByTheProvider checks that tokens are counted by the provider's counter, in any
// dialect, and estimated if there is none or it fails.
func TestCountsByTheProvider(t *testing.T) {
	w := newWorld(t)
	claude, gemini := standin.Anthropic(t, canary), standin.Gemini(t, canary)
	w.keys.put("anthropic", claude.URL+"/v1")
	w.keys.put("google", gemini.URL+"/v1beta")
	w.keys.put("deepseek", standin.Chat(t, canary).URL+"/v1")
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) { t.Errorf("openai was asked %s", r.URL) })
	const messages = `"system":"Be kind.","tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"hello"}]}`
	const contents = `{"generateContentRequest":{"model":"models/MODEL","contents":[{"role":"user","parts":[{"text":"hello"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}}`
	w.do("POST", "/v1/messages/count_tokens", `{"model":"claude-sonnet-4-5",`+messages).want(t, 200, `{"input_tokens":42}`)
	w.do("POST", "/v1/messages/count_tokens", `{"model":"gemini-2.5-flash",`+messages).want(t, 200, `{"input_tokens":42}`)
	if body := string(gemini.Last(t).Body); !strings.Contains(body, `"generateContentRequest":{"model":"models/gemini-2.5-flash"`) || !strings.Contains(body, `"name":"f"`) {
		t.Errorf("Google counts %s", body)
	}
	w.do("POST", "/v1beta/models/claude-sonnet-4-5:countTokens", strings.Replace(contents, "MODEL", "claude-sonnet-4-5", 1)).want(t, 200, `{"totalTokens":42}`)
	if seen := claude.Last(t); seen.Path != "/v1/messages/count_tokens" || !strings.Contains(string(seen.Body), `"text":"hello"`) || strings.Contains(string(seen.Body), "max_tokens") {
		t.Errorf("Anthropic counts %s %s", seen.Path, seen.Body)
	}
	w.do("POST", "/v1beta/models/claude-sonnet-4-5:countTokens", `{"contents":[{"parts":[{"text":"hello"}]}]}`).want(t, 200, `{"totalTokens":42}`)
	w.do("POST", "/v1/messages/count_tokens", `{"model":"gpt-4o",`+messages).want(t, 200, `{"input_tokens":`)
	w.do("POST", "/v1/messages/count_tokens", `{"model":"deepseek/deepseek-chat",`+messages).want(t, 200, `{"input_tokens":`)
	for _, status := range []int{400, 401, 404, 429, 500, 529} {
		w.upstream("google", func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(status) })
		w.upstream("anthropic", func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(status) })
		what := `{"model":"gemini-2.5-flash",` + messages
		w.do("POST", "/v1/messages/count_tokens", what).want(t, 200, `{"input_tokens":`)
		w.do("POST", "/v1beta/models/claude-sonnet-4-5:countTokens", contents).want(t, 200, `{"totalTokens":`)
	}
	w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {}).Close()
	w.do("POST", "/v1/messages/count_tokens", `{"model":"gemini-2.5-flash",`+messages).want(t, 200, `{"input_tokens":`)
	w.do("POST", "/v1/messages/count_tokens", `{"model":"gemini-2.5-flash","messages":7}`).want(t, 400, "messages")
}
