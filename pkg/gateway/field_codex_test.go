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

// compacted returns the only compaction in a response, whole or streamed.
func compacted(t *testing.T, body string) string {
	t.Helper()
	if n := strings.Count(body, `"type":"response.output_item.done"`); strings.Contains(body, "event: ") && n != 1 {
		t.Errorf("%d items are done in %s", n, body)
	}
	_, after, _ := strings.Cut(body, `"encrypted_content":"`)
	content, _, ok := strings.Cut(after, `"`)
	if !ok || !strings.HasPrefix(content, "hostless1:") {
		t.Fatalf("no compaction in %s", body)
	}
	return content
}

const longTalk = `{"type":"message","role":"user","content":[{"type":"input_text","text":"Build the shop."}]},
	{"type":"reasoning","summary":[],"encrypted_content":"gAAAA"},
	{"type":"function_call","call_id":"c1","name":"shell","arguments":"{\"command\":\"ls\"}"},{"type":"function_call_output","call_id":"c1","output":"cart.go"},
	{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Cart done."}]}`

// TestCompaction asks models of any provider for a compaction, in both forms that Codex
// uses, and continues the conversation from it.
func TestCompaction(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	w.keys.put("mine", standin.Chat(t, canary).URL+"/v1")
	const tools = `"tools":[{"type":"function","name":"shell","parameters":{"type":"object","properties":{}}},{"type":"web_search"}]`
	for _, model := range []string{"claude-sonnet-4-5", "claude-opus-5", "gemini-2.5-flash", "gemini-3-pro", "deepseek/deepseek-chat", "mine/m"} {
		for _, stream := range []string{"true", "false"} {
			request := `{"model":"` + model + `","stream":` + stream + `,"store":false,` + tools + `,"input":[` + longTalk + `,{"type":"compaction_trigger"}]}`
			a := w.do("POST", "/v1/responses", request)
			if a.status != 200 || !strings.Contains(a.body, `"status":"completed"`) {
				t.Errorf("%s: %d %s", model, a.status, a.body)
				continue
			}
			content := compacted(t, a.body)
			a = w.do("POST", "/v1/responses", `{"model":"`+model+`","store":false,"input":[{"type":"compaction","encrypted_content":"`+content+`"},{"type":"message","role":"user","content":"go on"}]}`)
			if a.status != 200 || !strings.Contains(a.body, "You said") || !strings.Contains(a.body, "go on") {
				t.Errorf("%s after its compaction: %d %s", model, a.status, a.body)
			}
		}
		a := w.do("POST", "/v1/responses/compact", `{"model":"`+model+`","input":[`+longTalk+`]}`)
		if a.status != 200 || !strings.Contains(a.body, `"object":"response.compaction"`) || !strings.Contains(a.body, `"text":"Build the shop."`) {
			t.Errorf("%s: %d %s", model, a.status, a.body)
			continue
		}
		content := compacted(t, a.body)
		w.survive([]session{
			{model + " goes on", "/v1/responses", `{"model":"` + model + `","store":false,"input":[{"type":"compaction_summary","encrypted_content":"` + content + `"},{"role":"user","content":"go on"}]}`, ""},
			{model + " with OpenAI's own compaction", "/v1/responses", `{"model":"` + model + `","store":false,"input":[{"type":"compaction","encrypted_content":"gAAAA"},{"role":"user","content":"go on"}]}`, "compaction"},
		})
	}
}

// TestCompactionIsSeen checks that the model is asked for a summary as text only, and that
// the next request has the summary as a user message.
func TestCompactionIsSeen(t *testing.T) {
	w := newWorld(t)
	var got string
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/chat/completions") {
			http.NotFound(rw, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"The cart is done."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}`)
	})
	long := strings.Repeat("x", 100_000)
	a := w.do("POST", "/v1/responses", `{"model":"mine/m","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}],"input":[`+longTalk+`,{"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c2","output":"`+long+`"},{"type":"compaction_trigger"}]}`)
	content := compacted(t, a.body)
	if strings.Contains(got, `"tools"`) || strings.Contains(got, `"tool_calls"`) || !strings.Contains(got, "[called shell: ") || !strings.Contains(got, "[result of shell: cart.go]") || len(got) > 40_000 || strings.Contains(got, long) {
		t.Errorf("upstream got %.2000s", got)
	}
	for _, next := range []string{
		`{"model":"mine/m","input":[{"type":"compaction","encrypted_content":"` + content + `"},{"role":"user","content":"go on"}]}`,
		`{"model":"mine/m","previous_response_id":` + string(idOf(a.body)) + `,"input":"go on"}`,
	} {
		w.do("POST", "/v1/responses", next).want(t, 200, "The cart is done.")
		var asked struct {
			Messages []struct{ Role, Content string }
		}
		if json.Unmarshal([]byte(got), &asked); len(asked.Messages) != 2 || asked.Messages[0].Role != "user" || !strings.Contains(asked.Messages[0].Content, "The cart is done.") || strings.Contains(got, "Build the shop") {
			t.Errorf("%s: upstream got %s", next, got)
		}
	}
}

func idOf(body string) json.RawMessage {
	var m struct{ ID json.RawMessage }
	json.Unmarshal([]byte(body), &m)
	return m.ID
}

// TestCompactionOverSocket does the same over Codex's WebSocket.
func TestCompactionOverSocket(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	c, _, err := w.dial("/v1/responses?model=claude-sonnet-4-5", "OpenAI-Beta", "responses_websockets=2026-02-06")
	if err != nil {
		t.Fatal(err)
	}
	talk := func(message string) (all string) {
		send(t, c, message)
		for !strings.Contains(all, `"type":"response.completed"`) {
			event := receive(t, c)
			if all += "event: \n" + event; strings.Contains(event, `"type":"error"`) {
				t.Fatal(event)
			}
		}
		return all
	}
	content := compacted(t, talk(`{"type":"response.create","model":"claude-sonnet-4-5","store":false,"input":[`+longTalk+`,{"type":"compaction_trigger"}]}`))
	if got := talk(`{"type":"response.create","model":"claude-sonnet-4-5","store":false,"input":[{"type":"compaction","encrypted_content":"` + content + `"},{"type":"message","role":"user","content":[{"type":"input_text","text":"go on"}]}]}`); !strings.Contains(got, "You said") {
		t.Error(got)
	}
}

// TestSealedOverSocket checks that reasoning which Hostless encoded for another model is
// not sent to OpenAI over its WebSocket, while a summary made by Hostless is sent as text.
func TestSealedOverSocket(t *testing.T) {
	w := newWorld(t)
	openai := standin.OpenAI(t, canary)
	w.keys.put("openai", openai.URL+"/v1")
	w.keys.put("anthropic", standin.Anthropic(t, canary).URL+"/v1")
	a := w.do("POST", "/v1/responses", `{"model":"claude-sonnet-4-5","input":[`+longTalk+`,{"type":"compaction_trigger"}]}`)
	input := `[{"type":"compaction","encrypted_content":"` + compacted(t, a.body) + `"},{"type":"reasoning","summary":[],"encrypted_content":"hostless1:W10="},{"type":"message","role":"user","content":[{"type":"input_text","text":"go on"}]}]`
	a = w.do("POST", "/v1/responses", `{"model":"gpt-5","input":`+input+`}`)
	if a.status != 200 || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "compaction.encrypted_content") {
		t.Errorf("%d %s, ignored %q", a.status, a.body, a.header.Get("X-Hostless-Ignored"))
	}
	c, _, err := w.dial("/v1/responses?model=gpt-5", "OpenAI-Beta", "responses_websockets=2026-02-06")
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, `{"type":"response.create","model":"gpt-5","input":`+input+`}`)
	for event := ""; !strings.Contains(event, `"type":"response.completed"`); {
		event = receive(t, c)
	}
	for _, seen := range openai.Generations() {
		if strings.Contains(string(seen.Body), "hostless1:") || !strings.Contains(string(seen.Body), "replaced by this summary") {
			t.Errorf("%s %s got %s", seen.Method, seen.Path, seen.Body)
		}
	}
}

// TestItemsOfOpenAI continues a session that started on OpenAI, with OpenAI's own tools in
// its history, on any other model.
func TestItemsOfOpenAI(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	const items = `{"role":"user","content":"fix it"},
		{"type":"tool_search_call","call_id":"t1","arguments":{}},{"type":"tool_search_output","call_id":"t1","tools":[]},{"type":"mcp_list_tools","id":"m","server_label":"s","tools":[]},{"type":"mcp_call","id":"m2","name":"x","arguments":"{}","output":"y"},
		{"type":"computer_call","call_id":"k","action":{"type":"screenshot"}},{"type":"computer_call_output","call_id":"k","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,AA=="}},{"type":"something_new","x":1},
		{"type":"local_shell_call","id":"lsh_1","call_id":"l1","status":"completed","action":{"type":"exec","command":["ls","-a"],"env":{}}},{"type":"local_shell_call_output","id":"l1","output":"a.go"},
		{"type":"shell_call","call_id":"s1","action":{"commands":["pwd"],"timeout_ms":null}},{"type":"shell_call_output","call_id":"s1","output":[{"stdout":"/home","stderr":"","outcome":{"type":"exit","exit_code":0}}]},
		{"type":"apply_patch_call","call_id":"p1","operation":{"type":"create_file","path":"b.go","diff":"+package b"}},{"type":"apply_patch_call_output","call_id":"p1","status":"completed"},
		{"role":"user","content":"more"}`
	for _, model := range []string{"claude-sonnet-4-5", "claude-opus-5", "gemini-2.5-flash", "deepseek/deepseek-chat"} {
		w.survive([]session{{model, "/v1/responses", `{"model":"` + model + `","store":false,"input":[` + items + `]}`, "tool_search_call mcp_call computer_call something_new"}})
	}
}

// TestLocalTools checks that tools which the client runs itself are functions for other
// models, and that their calls are returned in the client's format.
func TestLocalTools(t *testing.T) {
	w := newWorld(t)
	args := map[string]string{"local_shell": `{"command":["ls"],"timeout_ms":5}`, "shell": `{"commands":["ls"]}`, "apply_patch": `{"type":"delete_file","path":"a"}`}
	var tool string
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.HasSuffix(r.URL.Path, "/chat/completions") {
			http.NotFound(rw, r)
			return
		}
		if !strings.Contains(string(body), `"type":"function","function":{"name":"`+tool+`"`) {
			t.Errorf("%s: upstream got %s", tool, body)
		}
		quoted, _ := json.Marshal(args[tool])
		call := `"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"` + tool + `","arguments":` + string(quoted) + `}}]`
		if strings.Contains(string(body), `"stream":true`) {
			events(rw)(`data: {"choices":[{"index":0,"delta":{` + call + `}}]}` + "\n\n" + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\ndata: [DONE]\n\n")
			return
		}
		fmt.Fprintf(rw, `{"choices":[{"index":0,"message":{"role":"assistant","content":null,%s},"finish_reason":"tool_calls"}]}`, call)
	})
	want := map[string]string{
		"local_shell": `"type":"local_shell_call","status":"completed","call_id":"c1","action":{"command":["ls"],"env":{},"timeout_ms":5,"type":"exec"}`,
		"shell":       `"type":"shell_call","status":"completed","call_id":"c1","action":{"commands":["ls"],"max_output_length":null,"timeout_ms":null}`,
		"apply_patch": `"type":"apply_patch_call","status":"completed","call_id":"c1","operation":{"path":"a","type":"delete_file"}`,
	}
	for tool = range args {
		for _, stream := range []string{"true", "false"} {
			a := w.do("POST", "/v1/responses", `{"model":"mine/m","stream":`+stream+`,"input":"x","tools":[{"type":"`+tool+`"}],"tool_choice":{"type":"`+tool+`"}}`)
			if a.status != 200 || !strings.Contains(a.body, want[tool]) {
				t.Errorf("%s: %d %s", tool, a.status, a.body)
			}
		}
	}
}

// TestPreviousResponseByDefault refers to the previous response without having set `store`,
// since storing is the default of the API.
func TestPreviousResponseByDefault(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	a := w.do("POST", "/v1/responses", `{"model":"claude-sonnet-4-5","input":"hi"}`)
	a.want(t, 200, `"store":true`)
	w.do("POST", "/v1/responses", `{"model":"claude-sonnet-4-5","previous_response_id":`+string(idOf(a.body))+`,"input":"and now?"}`).want(t, 200, "and now?")
	a = w.do("POST", "/v1/responses", `{"model":"claude-sonnet-4-5","store":false,"input":"hi"}`)
	a.want(t, 200, `"store":false`)
	w.do("POST", "/v1/responses", `{"model":"claude-sonnet-4-5","previous_response_id":`+string(idOf(a.body))+`,"input":"and now?"}`).want(t, 400, "previous_response_not_found")
}

// TestOverflowOfCodex checks how a conversation that is too long is reported to Codex,
// whatever the provider's message is: in a stream with the code for which Codex compacts,
// otherwise with an error status.
func TestOverflowOfCodex(t *testing.T) {
	w := newWorld(t)
	for name, failure := range map[string]string{
		"anthropic": `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 250000 tokens > 200000 maximum"}}`,
		"google":    `{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}`,
		"deepseek":  `{"error":{"message":"This model's maximum context length is 32768 tokens. However, you requested 40000 tokens","type":"invalid_request_error","code":null}}`,
		"mistral":   `{"object":"error","message":"the request exceeds the available context size","type":"exceed_context_size_error"}`,
		"together":  `<html>too large</html>`,
	} {
		w.upstream(name, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(400)
			io.WriteString(rw, failure)
		})
		model := map[string]string{"anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash"}[name]
		if model == "" {
			model = name + "/m"
		}
		whole := w.do("POST", "/v1/responses", `{"model":"`+model+`","input":"x"}`)
		streamed := w.do("POST", "/v1/responses", `{"model":"`+model+`","stream":true,"input":"x"}`)
		if name == "together" {
			whole.want(t, 400, `{"error":{"message":"the provider answered Bad Request without a reason","type":"invalid_request_error"`)
			streamed.want(t, 400, `{"error":{`)
			continue
		}
		whole.want(t, 400, `"code":"context_length_exceeded"`)
		streamed.want(t, 200, "event: response.failed")
		streamed.want(t, 200, `"code":"context_length_exceeded"`)
	}
}

// TestModelsOfCodex checks Codex's list of models: each entry has every member, and the
// context window comes from the provider's list or the embedded model data.
func TestModelsOfCodex(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"data":[{"id":"big","context_length":77777},{"id":"unknown"},{"id":"my-embed"}]}`)
	})
	var list struct {
		Data   []struct{ ID string }
		Models []map[string]any
	}
	if a := w.do("GET", "/v1/models?client_version=0.153.4", "", "User-Agent", "codex_cli_rs/0.153.4"); json.Unmarshal([]byte(a.body), &list) != nil || len(list.Data) <= len(list.Models) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	required := strings.Fields("slug display_name supported_reasoning_levels shell_type visibility supported_in_api priority base_instructions supports_reasoning_summaries default_reasoning_summary support_verbosity web_search_tool_type truncation_policy supports_parallel_tool_calls supports_image_detail_original effective_context_window_percent experimental_supported_tools input_modalities")
	windows := map[string]any{}
	for _, m := range list.Models {
		for _, name := range required {
			if m[name] == nil {
				t.Errorf("%v has no %s", m["slug"], name)
			}
		}
		windows[m["slug"].(string)] = m["context_window"]
	}
	for slug, want := range map[string]any{"claude-sonnet-4-5": 1e6, "gemini-2.5-flash": 1048576.0, "gpt-5": 400000.0, "mine/big": 77777.0, "mine/unknown": nil} {
		if got, there := windows[slug]; !there || got != want && slug != "claude-sonnet-4-5" || want != nil && got == nil {
			t.Errorf("%s: context_window %v, want %v", slug, got, want)
		}
	}
	if _, there := windows["mine/my-embed"]; there {
		t.Error("a model that does not generate text is listed")
	}
	if a := w.do("GET", "/v1/models", ""); strings.Contains(a.body, `"models"`) {
		t.Errorf("without client_version: %s", a.body)
	}
}

// TestInputTokens counts with the provider's counter if it has one, and otherwise by an
// estimate.
func TestInputTokens(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	w.keys.put("mine", standin.Chat(t, canary).URL+"/v1")
	for model, want := range map[string]string{"claude-sonnet-4-5": `"input_tokens":42`, "gemini-2.5-flash": `"input_tokens":42`, "gpt-5": `"input_tokens":11`, "mine/m": `"object":"response.input_tokens","input_tokens":`, "deepseek/deepseek-chat": `"input_tokens":`} {
		w.do("POST", "/v1/responses/input_tokens", `{"model":"`+model+`","input":[`+longTalk+`]}`).want(t, 200, want)
	}
}

// TestClientToolsOfAnthropic checks that Anthropic's client-side tools are functions for
// other models, with the client's names.
func TestClientToolsOfAnthropic(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	for _, model := range []string{"gpt-4o", "gpt-5.6", "gemini-2.5-flash", "deepseek/m"} {
		for kind, name := range map[string]string{"bash_20250124": "bash", "text_editor_20250728": "str_replace_based_edit_tool", "text_editor_20250124": "str_replace_editor", "memory_20250818": "memory", "computer_20250124": "computer"} {
			a := w.do("POST", "/v1/messages", `{"model":"`+model+`","max_tokens":99,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"`+kind+`","name":"`+name+`","display_width_px":800,"display_height_px":600}]}`)
			if a.status != 200 || !strings.Contains(a.body, `"type":"tool_use"`) || !strings.Contains(a.body, `"name":"`+name+`"`) {
				t.Errorf("%s with %s: %d %s", model, kind, a.status, a.body)
			}
		}
		w.do("POST", "/v1/messages", `{"model":"`+model+`","max_tokens":99,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"code_execution_20250825","name":"code_execution"}]}`).want(t, 400, "Anthropic's own")
	}
}

// TestEfforts checks that each model gets an effort that it accepts, whatever Codex offers.
func TestEfforts(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	for _, model := range []string{"claude-sonnet-4-5", "claude-opus-5", "gemini-2.5-flash", "gemini-3-pro", "deepseek/deepseek-chat"} {
		for _, effort := range []string{"none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"} {
			w.survive([]session{{model + " " + effort, "/v1/responses", `{"model":"` + model + `","store":false,"reasoning":{"effort":"` + effort + `"},"input":"x"}`, ""}})
		}
	}
}
