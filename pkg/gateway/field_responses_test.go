package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// conversation is a client of one dialect that uses a tool: it sends its first request,
// then echoes the response and adds the tool's result.
type conversation struct {
	name, path   string
	first        string                     // the first request; %s for the model, %t for stream
	second       func(answer string) string // returns the turns of the second request, given the first response
	tool, thinks string                     // text expected in the first response
}

const weather = `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`

// toolUsers are clients of each dialect except OpenAI's Responses, without streaming.
var toolUsers = []conversation{
	{
		name: "Messages", path: "/v1/messages", tool: `"type":"tool_use"`, thinks: `"thinking":"Let me think."`,
		first: `{"model":"%s","max_tokens":2000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"tools":[{"name":"weather","input_schema":` + weather + `}],"messages":[{"role":"user","content":"where?"}]}`,
		second: func(answer string) string {
			var m struct{ Content []json.RawMessage }
			json.Unmarshal([]byte(answer), &m)
			var call struct{ ID string }
			json.Unmarshal(m.Content[len(m.Content)-1], &call)
			content, _ := json.Marshal(m.Content)
			return `"messages":[{"role":"user","content":"where?"},{"role":"assistant","content":` + string(content) + `},{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + call.ID + `","content":"sunny"}]}]`
		},
	},
	{
		name: "chat", path: "/v1/chat/completions", tool: `"tool_calls":[`, thinks: `"reasoning_details":[`,
		first: `{"model":"%s","reasoning_effort":"high","tools":[{"type":"function","function":{"name":"weather","parameters":` + weather + `}}],"messages":[{"role":"user","content":"where?"}]}`,
		second: func(answer string) string {
			var m struct {
				Choices []struct{ Message json.RawMessage }
			}
			json.Unmarshal([]byte(answer), &m)
			var call struct {
				Calls []struct{ ID string } `json:"tool_calls"`
			}
			json.Unmarshal(m.Choices[0].Message, &call)
			return `"messages":[{"role":"user","content":"where?"},` + string(m.Choices[0].Message) + `,{"role":"tool","tool_call_id":"` + call.Calls[0].ID + `","content":"sunny"}]`
		},
	},
	{
		name: "a chat client that drops the thinking", path: "/v1/chat/completions", tool: `"tool_calls":[`, thinks: "",
		first: `{"model":"%s","reasoning_effort":"high","tools":[{"type":"function","function":{"name":"weather","parameters":` + weather + `}}],"messages":[{"role":"user","content":"where?"}]}`,
		second: func(answer string) string {
			var m struct {
				Choices []struct {
					Message struct {
						Calls json.RawMessage `json:"tool_calls"`
					}
				}
			}
			json.Unmarshal([]byte(answer), &m)
			var calls []struct{ ID string }
			json.Unmarshal(m.Choices[0].Message.Calls, &calls)
			return `"messages":[{"role":"user","content":"where?"},{"role":"assistant","content":null,"tool_calls":` + string(m.Choices[0].Message.Calls) + `},{"role":"tool","tool_call_id":"` + calls[0].ID + `","content":"sunny"}]`
		},
	},
	{
		name: "Gemini", path: "/v1beta/models/%s:generateContent", tool: `"functionCall":{`, thinks: `"thought":true`,
		first: `{"contents":[{"role":"user","parts":[{"text":"where?"}]}],"tools":[{"functionDeclarations":[{"name":"weather","parametersJsonSchema":` + weather + `}]}],"generationConfig":{"thinkingConfig":{"thinkingLevel":"high","includeThoughts":true}}}`,
		second: func(answer string) string {
			var m struct {
				Candidates []struct{ Content json.RawMessage }
			}
			json.Unmarshal([]byte(answer), &m)
			return `"contents":[{"role":"user","parts":[{"text":"where?"}]},` + string(m.Candidates[0].Content) + `,{"role":"user","parts":[{"functionResponse":{"name":"weather","response":{"result":"sunny"}}}]}]`
		},
	},
	{
		name: "Ollama", path: "/api/chat", tool: `"tool_calls":[`, thinks: `"thinking":"Let me think."`,
		first: `{"model":"%s","stream":false,"think":"high","tools":[{"type":"function","function":{"name":"weather","parameters":` + weather + `}}],"messages":[{"role":"user","content":"where?"}]}`,
		second: func(answer string) string {
			var m struct{ Message json.RawMessage }
			json.Unmarshal([]byte(answer), &m)
			return `"messages":[{"role":"user","content":"where?"},` + string(m.Message) + `,{"role":"tool","tool_name":"weather","content":"sunny"}]`
		},
	},
}

// withTurns returns a request with other turns.
func withTurns(t *testing.T, request, turns string) string {
	t.Helper()
	var a, b map[string]json.RawMessage
	if json.Unmarshal([]byte(request), &a) != nil || json.Unmarshal([]byte("{"+turns+"}"), &b) != nil {
		t.Fatalf("not JSON: %s or %s", request, turns)
	}
	for name, value := range b {
		a[name] = value
	}
	out, _ := json.Marshal(a)
	return string(out)
}

// TestToolsByResponses checks a model that refuses tools with reasoning in chat
// completions: it is used through the Responses API from any dialect, nothing is stored,
// and it gets its own reasoning back on the next turn.
func TestToolsByResponses(t *testing.T) {
	w := newWorld(t)
	up := standin.OpenAI(t, canary)
	w.keys.put("openai", up.URL+"/v1")
	for _, model := range []string{"gpt-5.6-terra", "gpt-5.4", "gpt-6", "gpt-5.2-codex", "o3-pro"} {
		for _, c := range toolUsers {
			path, request := c.path, c.first
			if strings.Contains(path, "%s") {
				path = fmt.Sprintf(path, model)
			} else {
				request = fmt.Sprintf(request, model)
			}
			a := w.do("POST", path, request)
			if a.status != 200 || !strings.Contains(a.body, c.tool) || !strings.Contains(a.body, c.thinks) || !strings.Contains(a.body, "Paris") {
				t.Errorf("%s on %s: %d %s", c.name, model, a.status, a.body)
				continue
			}
			var got struct {
				Store     *bool
				Include   []string
				Reasoning struct{ Effort string }
				Tools     []struct{ Name string }
				Input     []struct {
					Type      string
					Encrypted string `json:"encrypted_content"`
				}
			}
			seen := up.Last(t)
			if json.Unmarshal(seen.Body, &got); seen.Path != "/v1/responses" || got.Store == nil || *got.Store || len(got.Include) != 1 || got.Reasoning.Effort != "high" || len(got.Tools) != 1 {
				t.Errorf("%s on %s: upstream got %s %s", c.name, model, seen.Path, seen.Body)
			}
			a = w.do("POST", path, withTurns(t, request, c.second(a.body)))
			if a.status != 200 || !strings.Contains(a.body, "sunny") {
				t.Errorf("%s on %s, second turn: %d %s", c.name, model, a.status, a.body)
				continue
			}
			json.Unmarshal(up.Last(t).Body, &got)
			var kinds []string
			for _, item := range got.Input {
				kinds = append(kinds, item.Type)
			}
			if strings.Join(kinds, " ") != "message reasoning function_call function_call_output" || !strings.HasPrefix(got.Input[1].Encrypted, "gAAAA") {
				t.Errorf("%s on %s: upstream got the turns %s", c.name, model, up.Last(t).Body)
			}
			for _, name := range []string{"reasoning_effort", "tools"} {
				if strings.Contains(a.header.Get("X-Hostless-Ignored"), name) {
					t.Errorf("%s on %s: %q was dropped", c.name, model, a.header.Get("X-Hostless-Ignored"))
				}
			}
		}
	}
}

// TestStreamsByResponses checks that events come in the caller's dialect with its final
// event.
func TestStreamsByResponses(t *testing.T) {
	w := newWorld(t)
	w.keys.put("openai", standin.OpenAI(t, canary).URL+"/v1")
	for _, c := range []struct{ path, body, want string }{
		{"/v1/messages", `{"model":"gpt-5.6","max_tokens":200,"stream":true,"thinking":{"type":"adaptive"},"tools":[{"name":"weather","input_schema":` + weather + `}],"messages":[{"role":"user","content":"x"}]}`, `"type":"thinking_delta" "type":"redacted_thinking","data":"hostless1: "type":"tool_use" input_json_delta "stop_reason":"tool_use" "output_tokens":4 message_stop`},
		{"/v1/chat/completions", `{"model":"gpt-5.6","stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"weather","parameters":` + weather + `}}],"messages":[{"role":"user","content":"x"}]}`, `"reasoning_details":[{"type":"reasoning.encrypted" "tool_calls":[{"index":0,"id":"call_ "finish_reason":"tool_calls" "completion_tokens":4 [DONE]`},
		{"/v1beta/models/gpt-5.6:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"weather","parametersJsonSchema":` + weather + `}]}]}`, `"functionCall":{ "thoughtSignature" "finishReason":"STOP" "candidatesTokenCount":4`},
		{"/api/chat", `{"model":"gpt-5.6","tools":[{"type":"function","function":{"name":"weather","parameters":` + weather + `}}],"messages":[{"role":"user","content":"x"}]}`, `"tool_calls":[ "done":true "eval_count":4`},
		{"/v1/messages", `{"model":"gpt-5-codex","max_tokens":200,"stream":true,"messages":[{"role":"user","content":"hello there"}]}`, `"text_delta" "stop_reason":"end_turn" message_stop`},
		{"/v1/chat/completions", `{"model":"gpt-5-pro","stream":true,"messages":[{"role":"user","content":"hello there"}]}`, `"content":"You " "finish_reason":"stop" [DONE]`},
	} {
		a := w.do("POST", c.path, c.body)
		rest := a.body
		for _, want := range strings.Fields(c.want) {
			_, after, ok := strings.Cut(strings.ReplaceAll(rest, "You said", "You_said"), strings.ReplaceAll(want, `"content":"You`, `"content":"You`))
			if !ok {
				t.Errorf("%s: %d, no %s, in this order, in %s", c.path, a.status, want, a.body)
				break
			}
			rest = after
		}
	}
}

// TestChatRefusedOnce checks that a provider's error which refers to the Responses API is
// followed and remembered, and that a provider which refuses encrypted reasoning or
// summaries is used without them.
func TestChatRefusedOnce(t *testing.T) {
	w := newWorld(t)
	var asked []string
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.URL.Path)
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/chat/completions") && strings.Contains(string(body), `"tools"`):
			rw.WriteHeader(400)
			io.WriteString(rw, `{"error":{"message":"Function tools with reasoning_effort are not supported for m in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.","type":"invalid_request_error","param":"reasoning_effort","code":null}}`)
		case strings.HasSuffix(r.URL.Path, "/chat/completions"):
			io.WriteString(rw, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"by chat"},"finish_reason":"stop"}]}`)
		case strings.Contains(string(body), `"summary":"auto"`):
			rw.WriteHeader(400)
			io.WriteString(rw, `{"error":{"message":"Your organization must be verified to generate reasoning summaries.","type":"invalid_request_error","param":"reasoning.summary","code":"unsupported_value"}}`)
		case strings.Contains(string(body), "stale"):
			rw.WriteHeader(400)
			io.WriteString(rw, `{"error":{"message":"The encrypted content stale could not be verified.","type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}`)
		default:
			io.WriteString(rw, `{"id":"r","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"by responses"}]}]}`)
		}
	})
	const chat = `{"model":"mine/m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`
	const messages = `{"model":"mine/m","max_tokens":99,"thinking":{"type":"adaptive"},"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}`
	const stale = `{"model":"mine/m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","reasoning_details":[{"type":"reasoning.encrypted","data":"stale","format":"openai-responses-v1","provider":"mine"}]},{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`
	const chats, answers = "/chat/completions", "/responses"
	for _, c := range []struct{ path, body, want, asked string }{
		{"/v1/chat/completions", chat, "by responses", chats + " " + answers},
		{"/v1/chat/completions", chat, "by responses", answers},
		{"/v1/chat/completions", `{"model":"mine/m","messages":[{"role":"user","content":"x"}]}`, "by chat", chats},
		{"/v1/messages", messages, "by responses", answers + " " + answers},
		{"/v1/messages", messages, "by responses", answers},
		{"/v1/chat/completions", stale, "by responses", answers + " " + answers},
		{"/v1/chat/completions", stale, "by responses", answers},
	} {
		asked = nil
		if a := w.do("POST", c.path, c.body); a.status != 200 || !strings.Contains(a.body, c.want) || strings.ReplaceAll(strings.Join(asked, " "), "/v1", "") != c.asked {
			t.Errorf("%s %s: %d %s by %q, want %s by %q", c.path, c.body, a.status, a.body, asked, c.want, c.asked)
		}
	}
}

// TestChosenAPI checks that model_apis in config.json decides the API of a model, whatever
// its name.
func TestChosenAPI(t *testing.T) {
	w := newWorld(t)
	up := standin.OpenAI(t, canary)
	w.keys.put("openai", up.URL+"/v1")
	w.settings.ModelAPIs = map[string]string{"openai/gpt-4o*": "responses", "openai/gpt-4o-mini": "chat", "openai/gpt-5.6": "chat"}
	for model, want := range map[string]string{"gpt-4o": "/v1/responses", "gpt-4o-mini": "/v1/chat/completions", "gpt-5": "/v1/chat/completions", "gpt-5.6": "/v1/chat/completions"} {
		for _, path := range []string{"/v1/messages", "/v1/chat/completions"} {
			a := w.do("POST", path, `{"model":"`+model+`","max_tokens":99,"messages":[{"role":"user","content":"hi"}]}`)
			if seen := up.Last(t); a.status != 200 || seen.Path != want {
				t.Errorf("%s %s: %d %s by %s, want %s", path, model, a.status, a.body, seen.Path, want)
			}
		}
	}
}

// TestThinkingOfOthersInChat checks that a chat client which echoes the thinking of another
// provider's model can continue with a model in its own dialect.
func TestThinkingOfOthersInChat(t *testing.T) {
	w := newWorld(t)
	var got string
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`)
	})
	const own = `{"type":"reasoning.encrypted","data":"x","format":"openai-responses-v1","provider":"xai"}`
	for in, want := range map[string]string{
		`{"role":"assistant","content":"y","reasoning_details":[` + own + `]}`:                                                 `{"role":"assistant","content":"y"}`,
		`{"reasoning_details": [{"type":"thinking","text":"a","signature":"s"}], "role":"assistant", "content":"y"}`:           `{ "role":"assistant", "content":"y"}`,
		`{"role":"assistant","reasoning_content":"a","reasoning_details":[{"type":"redacted","data":"d"}],"content":"\u00e9"}`: `{"role":"assistant","content":"\u00e9"}`,
		`{"role":"assistant","reasoning_details" : [` + own + `],"content":"y","reasoning_content":"a"}`:                       `{"role":"assistant","content":"y"}`,
		`{"reasoning_details":[` + own + `],"reasoning_content":"a","role":"assistant","content":"y"}`:                         `{"role":"assistant","content":"y"}`,
		`{"role":"assistant","content":"y","reasoning_details":[{"type":"reasoning.text","text":"not made here"}]}`:            `{"role":"assistant","content":"y","reasoning_details":[{"type":"reasoning.text","text":"not made here"}]}`,
	} {
		a := w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"x"},`+in+`,{"role":"user","content":"z"}]}`)
		whole := `{"model":"gpt-4o","messages":[{"role":"user","content":"x"},` + want + `,{"role":"user","content":"z"}]}`
		if a.status != 200 || got != whole || (in != want) != strings.Contains(a.header.Get("X-Hostless-Ignored"), "messages.reasoning_details") {
			t.Errorf("%s\n got %s\nwant %s, ignored %q", in, got, whole, a.header.Get("X-Hostless-Ignored"))
		}
	}
}
