package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// strictProviders starts stand-ins that refuse what Anthropic and OpenAI refuse. DeepSeek
// has chat completions only, so that Responses are translated.
func (w *world) strictProviders() {
	w.keys.put("anthropic", standin.Anthropic(w.t, canary).URL+"/v1")
	w.keys.put("openai", standin.OpenAI(w.t, canary).URL+"/v1")
	w.keys.put("deepseek", standin.Chat(w.t, canary).URL+"/v1")
}

// session is a request that a provider refuses, which would end a session for good, and the
// fields that are named as dropped.
type session struct{ name, path, body, ignored string }

func (w *world) survive(sessions []session) {
	w.t.Helper()
	for _, s := range sessions {
		a := w.do("POST", s.path, s.body)
		if a.status != 200 {
			w.t.Errorf("%s: %d %s", s.name, a.status, a.body)
			continue
		}
		for _, name := range strings.Fields(s.ignored) {
			if got := a.header.Get("X-Hostless-Ignored"); !strings.Contains(got, name) {
				w.t.Errorf("%s: %s is not named in %q", s.name, name, got)
			}
		}
	}
}

// TestBrokenHistory checks that a session continues with tool calls that were cut off or
// interrupted, results without a call, and duplicate IDs.
func TestBrokenHistory(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	const cut = `messages.tool_calls.arguments messages.tool_calls messages.tool_call_id`
	const items = `"input":[{"type":"message","role":"user","content":"write"},
		{"type":"function_call","call_id":"c1","name":"w","arguments":"{\"a\":\"unfin"},{"type":"function_call","call_id":"c2","name":"w","arguments":"{}"},{"type":"function_call","call_id":"c2","name":"w","arguments":"{}"},
		{"type":"function_call_output","call_id":"c1","output":"error"},{"type":"message","role":"user","content":"never mind"},{"type":"function_call_output","call_id":"c0","output":"of no call"}]`
	const blocks = `"max_tokens":50,"messages":[{"role":"user","content":"write"},
		{"role":"assistant","content":[{"type":"tool_use","id":"u1","name":"w","input":{}},{"type":"tool_use","id":"u2","name":"w","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"u2","content":"done"},{"type":"text","text":"never mind"}]},
		{"role":"assistant","content":[{"type":"tool_use","id":"u3","name":"w","input":{}}]},{"role":"user","content":"stop"}]`
	const contents = `{"contents":[{"role":"user","parts":[{"text":"write"}]},{"role":"model","parts":[{"functionCall":{"name":"w","args":{}}}]},{"role":"user","parts":[{"text":"never mind"}]}]}`
	const chat = `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","function":{"name":"w","arguments":{}}},{"id":"c2","function":{"name":"w","arguments":{}}}]},{"role":"tool","tool_name":"w","content":"done"},{"role":"user","content":"never mind"}]`
	w.survive([]session{
		{"chat on Anthropic", "/v1/chat/completions", `{"model":"claude-opus-5","messages":` + brokenHistory + `}`, cut},
		{"Responses on Anthropic", "/v1/responses", `{"model":"claude-opus-5",` + items + `}`, cut + " messages.tool_calls.id"},
		{"Responses on chat", "/v1/responses", `{"model":"deepseek/deepseek-chat",` + items + `}`, cut + " messages.tool_calls.id"},
		{"Messages on OpenAI", "/v1/messages", `{"model":"gpt-4o",` + blocks + `}`, "messages.tool_calls"},
		{"Gemini on Anthropic", "/v1beta/models/claude-opus-5:generateContent", contents, "contents.functionCall"},
		{"Gemini on OpenAI", "/v1beta/models/gpt-4o:generateContent", contents, "contents.functionCall"},
		{"Ollama on Anthropic", "/api/chat", `{"model":"claude-opus-5","stream":false,` + chat + `}`, "messages.tool_calls"},
		{"Ollama on OpenAI", "/api/chat", `{"model":"gpt-4o","stream":false,` + chat + `}`, "messages.tool_calls"},
	})
}

// TestEndsWithTheAssistant checks a conversation that ends with the assistant, which newer
// Claude models refuse.
func TestEndsWithTheAssistant(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	for _, model := range []string{"claude-opus-5", "claude-sonnet-4-6", "claude-fable-5"} {
		w.survive([]session{
			{"Responses", "/v1/responses", `{"model":"` + model + `","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Tidy up."}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Working on it."}]}]}`, "messages.prefill"},
			{"chat", "/v1/chat/completions", `{"model":"` + model + `","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`, "messages.prefill"},
			{"Gemini", "/v1beta/models/" + model + ":generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"y"}]}]}`, "messages.prefill"},
			{"Ollama", "/api/chat", `{"model":"` + model + `","stream":false,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`, "messages.prefill"},
		})
	}
}

// TestToolSchemas checks that one tool with a schema that a provider refuses does not end a
// session.
func TestToolSchemas(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	for _, schema := range []string{
		`{"type":"object","properties":{"route":{"type":"string"}},"anyOf":[{"required":["route"]},{"required":["file"]}]}`,
		`{"oneOf":[{"type":"object","properties":{"a":{}}},{"type":"object","properties":{"b":{}}}]}`,
		`{"allOf":[{"$ref":"#/$defs/A"}],"$defs":{"A":{"type":"object","properties":{"a":{}}}}}`,
		`{"type":"object"}`, `{"type":"object","additionalProperties":false}`, `{"type":["object","null"]}`, `{}`,
	} {
		for _, model := range []string{"claude-sonnet-4-5", "gpt-4o"} {
			sessions := []session{
				{schema + " by Responses", "/v1/responses", `{"model":"` + model + `","store":false,"input":"go","tools":[{"type":"function","name":"t","parameters":` + schema + `}]}`, ""},
				{schema + " by Gemini", "/v1beta/models/" + model + ":generateContent", `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"functionDeclarations":[{"name":"t","parametersJsonSchema":` + schema + `}]}]}`, ""},
				{schema + " by Ollama", "/api/chat", `{"model":"` + model + `","stream":false,"messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"t","parameters":` + schema + `}}]}`, ""},
			}
			if model == "gpt-4o" {
				sessions[0] = session{schema + " by Messages", "/v1/messages", `{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":"go"}],"tools":[{"name":"t","input_schema":` + schema + `}]}`, ""}
			} else {
				sessions = append(sessions, session{schema + " by chat", "/v1/chat/completions", `{"model":"` + model + `","messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"t","parameters":` + schema + `}}]}`, ""})
			}
			w.survive(sessions)
		}
	}
}

// TestToolsOrEffort checks OpenAI's newest models, which accept function tools in chat
// completions only without an effort, not even the default one. A base URL without the
// Responses API has no other way.
func TestToolsOrEffort(t *testing.T) {
	w := newWorld(t)
	w.keys.put("openai", standin.Chat(t, canary).URL+"/v1")
	for _, model := range []string{"gpt-5.6-terra", "gpt-6"} {
		w.survive([]session{
			{"Messages", "/v1/messages", `{"model":"` + model + `","max_tokens":2000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"tools":[{"name":"Read","input_schema":{"type":"object","properties":{}}}],"messages":[{"role":"user","content":"x"}]}`, "reasoning_effort"},
			{"Messages by default", "/v1/messages", `{"model":"` + model + `","max_tokens":2000,"tools":[{"name":"Read","input_schema":{"type":"object","properties":{}}}],"messages":[{"role":"user","content":"x"}]}`, ""},
			{"Gemini", "/v1beta/models/" + model + ":generateContent", `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"functionDeclarations":[{"name":"t"}]}],"generationConfig":{"thinkingConfig":{"thinkingLevel":"high"}}}`, "reasoning_effort"},
			{"Ollama", "/api/chat", `{"model":"` + model + `","stream":false,"think":true,"messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"t","parameters":{"type":"object","properties":{}}}}]}`, ""},
		})
	}
}

// TestChangeOfModel checks that thinking of one provider's model, as Hostless sent it to
// the client, is removed from requests to another one in the client's own dialect, and
// nothing else.
func TestChangeOfModel(t *testing.T) {
	w := newWorld(t)
	var got string
	record := func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{}`)
	}
	for _, name := range []string{"anthropic", "openai", "google"} {
		w.upstream(name, record)
	}
	for _, c := range []struct{ path, body, want, ignored string }{
		{
			"/v1/messages",
			`{"model":"claude-sonnet-4-5", "max_tokens":500,"messages":[{"role":"user","content":"How many <eggs>?"},{"role":"assistant","content":[{"type":"thinking","thinking":"Counting.","signature":""},{"type":"redacted_thinking","data":"hostless1:eyJ0eXBlIjoieCJ9"},{"type":"text","text":"Three.\u00e9" }]},{"role":"assistant","content":[{"type":"thinking","thinking":"Alone.","signature":"hostless1:unsigned"}]}, {"role":"user","content":"Sure?"},{"content":[{"type":"thinking","thinking":"x","signature":"its own"},{"signature":"","thinking":"y","type":"thinking"}],"role":"assistant"}]}`,
			`{"model":"claude-sonnet-4-5", "max_tokens":500,"messages":[{"role":"user","content":"How many <eggs>?"},{"role":"assistant","content":[{"type":"text","text":"Three.\u00e9" }]}, {"role":"user","content":"Sure?"},{"content":[{"type":"thinking","thinking":"x","signature":"its own"}],"role":"assistant"}]}`,
			"thinking, redacted_thinking",
		},
		{
			"/v1/responses",
			`{"model":"gpt-5","input":[{"role":"user","content":"x"}, {"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"hostless1:W10="},{"type":"reasoning","summary":[],"encrypted_content":"its own"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}`,
			`{"model":"gpt-5","input":[{"role":"user","content":"x"},{"type":"reasoning","summary":[],"encrypted_content":"its own"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]}`,
			"reasoning.encrypted_content",
		},
		{
			"/v1beta/models/gemini-3-pro:generateContent",
			`{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"aG9zdGxlc3MxOltd"},{"text":"y","thoughtSignature":"c2ln"}]}]}`,
			`{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"skip_thought_signature_validator"},{"text":"y","thoughtSignature":"c2ln"}]}]}`,
			"contents.thoughtSignature",
		},
	} {
		a := w.do("POST", c.path, c.body)
		if a.status != 200 || got != c.want || a.header.Get("X-Hostless-Ignored") != c.ignored {
			t.Errorf("%s: %d %s, ignored %q\n got %s\nwant %s", c.path, a.status, a.body, a.header.Get("X-Hostless-Ignored"), got, c.want)
		}
		if a := w.do("POST", c.path, c.want); a.status != 200 || got != c.want || a.header.Get("X-Hostless-Ignored") != "" {
			t.Errorf("%s: without anything foreign, %s goes up, ignored %q", c.path, got, a.header.Get("X-Hostless-Ignored"))
		}
	}
}

// TestContextOverflow checks that Claude Code gets the message for which it compacts a
// conversation that is too long, whatever the provider's message is.
func TestContextOverflow(t *testing.T) {
	w := newWorld(t)
	for name, message := range map[string]string{
		"openai": `{"error":{"message":"Your input exceeds the context window of this model.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}`,
		"google": `{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}`,
	} {
		w.upstream(name, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(400)
			io.WriteString(rw, message)
		})
		model := map[string]string{"openai": "gpt-5", "google": "gemini-2.5-flash"}[name]
		for _, stream := range []string{"", `,"stream":true`} {
			a := w.do("POST", "/v1/messages", `{"model":"`+model+`","max_tokens":9,"messages":[{"role":"user","content":"x"}]`+stream+`}`)
			if a.status != 400 || !strings.Contains(a.body, `"type":"invalid_request_error","message":"prompt is too long: `) {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
	}
}

// TestHostedTools checks that OpenAI's hosted tools, which Codex offers by default, are
// dropped, and their items in a history too.
func TestHostedTools(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	for _, model := range []string{"claude-sonnet-4-5", "gemini-2.5-flash", "deepseek/deepseek-chat"} {
		w.survive([]session{
			{model, "/v1/responses", `{"model":"` + model + `","input":[{"type":"message","role":"user","content":"hi"},{"type":"tool_search_call","call_id":"c"},{"type":"mcp_list_tools","tools":[]}],"tools":[{"type":"function","name":"shell","parameters":{"type":"object","properties":{}}},{"type":"image_generation","output_format":"png"},{"type":"web_search"},{"type":"tool_search"}],"tool_choice":"auto"}`, "tools.image_generation tools.tool_search tool_search_call mcp_list_tools"},
		})
		if a := w.do("POST", "/v1/responses", `{"model":"`+model+`","input":"hi","tools":[{"type":"image_generation"}]}`); a.status != 400 {
			t.Errorf("%s: the sole tool: %d %s", model, a.status, a.body)
		}
	}
}
