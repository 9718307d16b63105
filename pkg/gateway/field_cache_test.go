package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// TestPromptCache checks that Claude is asked to cache the prompt. Claude does so only on
// request, which clients of other APIs cannot make; so every translation requests it unless
// the caller did, and each turn must be a prefix of the next one.
func TestPromptCache(t *testing.T) {
	w := newWorld(t)
	claude, chat := standin.Anthropic(t, canary), standin.Chat(t, canary)
	w.keys.put("anthropic", claude.URL+"/v1")
	w.keys.put("openrouter", chat.URL+"/v1")
	system := strings.Repeat("You are careful. ", 500)
	for _, model := range []string{"claude-sonnet-4-5", "openrouter/anthropic/claude-sonnet-4.5"} {
		upstream := claude
		if strings.HasPrefix(model, "openrouter") {
			upstream = chat
		}
		for _, c := range []struct{ name, path, first, more string }{
			{"chat", "/v1/chat/completions", `{"model":"` + model + `","messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"a"}`, `,{"role":"assistant","content":"b"},{"role":"user","content":"c"}`},
			{"Responses", "/v1/responses", `{"model":"` + model + `","instructions":"` + system + `","input":[{"role":"user","content":"a"}`, `,{"role":"assistant","content":"b"},{"role":"user","content":"c"}`},
			{"Gemini", "/v1beta/models/" + model + ":generateContent", `{"systemInstruction":{"parts":[{"text":"` + system + `"}]},"contents":[{"role":"user","parts":[{"text":"a"}]}`, `,{"role":"model","parts":[{"text":"b"}]},{"role":"user","parts":[{"text":"c"}]}`},
			{"Ollama", "/api/chat", `{"model":"` + model + `","stream":false,"messages":[{"role":"system","content":"` + system + `"},{"role":"user","content":"a"}`, `,{"role":"assistant","content":"b"},{"role":"user","content":"c"}`},
		} {
			if c.name == "Responses" && upstream == chat {
				continue // OpenRouter has the Responses API itself
			}
			send := func(body string) (got map[string]any) {
				if a := w.do("POST", c.path, body); a.status != 200 {
					t.Fatalf("%s on %s: %d %s", c.name, model, a.status, a.body)
				}
				json.Unmarshal(upstream.Last(t).Body, &got)
				return got
			}
			one, two := send(c.first+`]}`), send(c.first+c.more+`]}`)
			if one["cache_control"] == nil || two["cache_control"] == nil {
				t.Errorf("%s on %s: the prompt cache is not requested: %v", c.name, model, one)
			}
			delete(one, "messages")
			before, after := compactJSON(one), two["messages"]
			delete(two, "messages")
			if got := compactJSON(two); got != before {
				t.Errorf("%s on %s: the prefix changed:\n%s\n%s", c.name, model, before, got)
			}
			if list := after.([]any); len(list) < 3 {
				t.Errorf("%s on %s: %v", c.name, model, list)
			}
		}
	}
	// A caller's own cache marks are left alone.
	w.do("POST", "/v1/chat/completions", `{"model":"claude-sonnet-4-5","messages":[{"role":"system","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"a"}]}`)
	if body := string(claude.Last(t).Body); strings.Count(body, "cache_control") != 1 {
		t.Errorf("cache marks were added to the caller's: %s", body)
	}
	body := `{"model":"openrouter/anthropic/claude-sonnet-4.5","messages":[{"role":"system","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"a"}]}`
	w.do("POST", "/v1/chat/completions", body)
	if got := string(chat.Last(t).Body); strings.Count(got, "cache_control") != 1 {
		t.Errorf("cache marks were added to the caller's: %s", got)
	}
	// Cached tokens are reported in each dialect.
	for path, body := range map[string][2]string{
		"/v1/chat/completions": {`{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"a"}]}`, `"cached_tokens":3`},
		"/v1/responses":        {`{"model":"claude-sonnet-4-5","input":"a"}`, `"cached_tokens":3`},
		"/v1beta/models/claude-sonnet-4-5:generateContent": {`{"contents":[{"role":"user","parts":[{"text":"a"}]}]}`, `"cachedContentTokenCount":3`},
	} {
		if a := w.do("POST", path, body[0]); !strings.Contains(a.body, body[1]) {
			t.Errorf("%s: %s is not in %s", path, body[1], a.body)
		}
	}
}

// TestSessionCacheKey checks that Claude Code's session ID becomes the prompt cache key.
func TestSessionCacheKey(t *testing.T) {
	w := newWorld(t)
	chat := standin.Chat(t, canary)
	w.keys.put("openai", chat.URL+"/v1")
	for _, user := range []string{`user_ab_account__session_0b6a9f0e-1111-4222-8333-944445555666`, `{\"device_id\":\"d\",\"session_id\":\"0b6a9f0e-1111-4222-8333-944445555666\"}`} {
		w.do("POST", "/v1/messages", `{"model":"gpt-4o","max_tokens":9,"metadata":{"user_id":"`+user+`"},"messages":[{"role":"user","content":"a"}]}`)
		if body := string(chat.Last(t).Body); !strings.Contains(body, `"prompt_cache_key":"0b6a9f0e-1111-4222-8333-944445555666"`) {
			t.Errorf("no prompt_cache_key in %s", body)
		}
	}
}
