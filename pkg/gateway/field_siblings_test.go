package gateway_test

import (
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// TestNativeSessionsLiveOn checks that a history or tools that the provider refuses end no
// session in the caller's own dialect either: they are repaired by a second request, and
// what was repaired is named.
func TestNativeSessionsLiveOn(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.keys.put("google", standin.Gemini(t, canary).URL+"/v1beta")
	const anyOf = `{"type":"object","properties":{"a":{"type":"string"}},"anyOf":[{"required":["a"]}]}`
	for _, stream := range []string{"false", "true"} {
		head := func(model string) string { return `{"model":"` + model + `","stream":` + stream + `,` }
		w.survive([]session{
			{"a call without a result, chat", "/v1/chat/completions", head("gpt-4o") + `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"user","content":"never mind"}]}`, "messages.tool_calls"},
			{"a result without a call, chat", "/v1/chat/completions", head("gpt-4o") + `"messages":[{"role":"user","content":"x"},{"role":"tool","tool_call_id":"c0","content":"late"},{"role":"user","content":"go on"}]}`, "messages.tool_call_id"},
			{"a schema without properties, chat", "/v1/chat/completions", head("gpt-4o") + `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"messages":[{"role":"user","content":"go"}]}`, ""},
			{"a combinator at the root, chat", "/v1/chat/completions", head("gpt-4o") + `"tools":[{"type":"function","function":{"name":"f","parameters":` + anyOf + `}}],"messages":[{"role":"user","content":"go"}]}`, ""},
			{"a call without an output, Responses", "/v1/responses", head("gpt-5") + `"store":false,"input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"role":"user","content":"never mind"}]}`, "messages.tool_calls"},
			{"a schema without properties, Responses", "/v1/responses", head("gpt-5") + `"store":false,"tools":[{"type":"function","name":"f","strict":false,"parameters":{"type":"object"}}],"input":"go"}`, ""},
			{"a call without a result, Messages", "/v1/messages", head("claude-sonnet-4-5") + `"max_tokens":50,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"u1","name":"f","input":{}}]},{"role":"user","content":"never mind"}]}`, "messages.tool_calls"},
			{"a result without a call, Messages", "/v1/messages", head("claude-sonnet-4-5") + `"max_tokens":50,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"u0","content":"late"},{"type":"text","text":"go"}]}]}`, ""},
			{"an empty text, Messages", "/v1/messages", head("claude-sonnet-4-5") + `"max_tokens":50,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":""}]},{"role":"user","content":"go"}]}`, ""},
			{"a combinator at the root, Messages", "/v1/messages", head("claude-sonnet-4-5") + `"max_tokens":50,"tools":[{"name":"f","input_schema":` + anyOf + `}],"messages":[{"role":"user","content":"go"}]}`, ""},
			{"a prefill, Messages", "/v1/messages", head("claude-opus-5") + `"max_tokens":50,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"Working on it."}]}`, ""},
		})
	}
	verb := ":generateContent"
	for range 2 {
		w.survive([]session{
			{"a name that Google refuses, Gemini", "/v1beta/models/gemini-2.5-flash" + verb, `{"tools":[{"functionDeclarations":[{"name":"files/read"}]}],"contents":[{"role":"user","parts":[{"text":"go"}]}]}`, ""},
			{"an empty turn, Gemini", "/v1beta/models/gemini-2.5-flash" + verb, `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[]},{"role":"user","parts":[{"text":"go"}]}]}`, ""},
			{"a turn of the model first, Gemini", "/v1beta/models/gemini-2.5-flash" + verb, `{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, ""},
		})
		verb = ":streamGenerateContent?alt=sse"
	}
}

// TestSiblings checks further members of the kinds of the public reports that the other
// tests of field reports do not have.
func TestSiblings(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	gemini := standin.Gemini(t, canary)
	w.keys.put("google", gemini.URL+"/v1beta")
	w.keys.put("azure", standin.OpenAI(t, canary).URL+"/openai/v1")
	const chatTool, messagesTool = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],`, `"max_tokens":50,"tools":[{"name":"f","input_schema":{"type":"object"}}],`
	w.survive([]session{
		{"G5, Ollama", "/api/chat", `{"model":"claude-opus-5","stream":false,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"Working on it."}]}`, ""},
		{"G5, Gemini", "/v1beta/models/claude-opus-5:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"Working on it."}]}]}`, ""},
		{"G6, Ollama", "/api/chat", `{"model":"claude-sonnet-4-5","stream":false,"messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","allOf":[{"required":["a"]}],"properties":{"a":{"type":"string"}}}}}]}`, ""},
		{"G7, a missing schema", "/v1/messages", `{"model":"gpt-4o","max_tokens":50,"messages":[{"role":"user","content":"go"}],"tools":[{"name":"f"}]}`, ""},
		{"G7, a schema of no type", "/v1beta/models/gpt-4o:generateContent", `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{}}]}]}`, ""},
		{"G14, Gemini's hosted tools", "/v1beta/models/gpt-4o:generateContent", `{"contents":[{"role":"user","parts":[{"text":"go"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]},{"codeExecution":{}},{"fileSearch":{}}]}`, "tools.codeExecution tools.fileSearch"},
		{"G14, chat's hosted tools", "/v1/chat/completions", `{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}},{"type":"web_search"},{"type":"mcp","server_label":"x"}]}`, ""},
		{"G14, on Gemini", "/v1/chat/completions", `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"go"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}},{"type":"code_interpreter"}]}`, ""},
		{"G15, Gemini's arguments", "/v1beta/models/claude-sonnet-4-5:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":"{\"a\":\"unf"}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, ""},
		{"G15, Messages' input", "/v1/messages", `{"model":"gpt-4o",` + messagesTool + `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"u1","name":"f","input":"{\"a\":\"unf"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"u1","content":"e"}]}]}`, ""},
		{"G15, no input", "/v1/messages", `{"model":"gemini-2.5-flash",` + messagesTool + `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"u1","name":"f","input":null}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"u1"}]}]}`, ""},
		{"G17, two calls and one result", "/v1/messages", `{"model":"gemini-2.5-flash",` + messagesTool + `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"u1","name":"f","input":{}},{"type":"tool_use","id":"u2","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"u2","content":"b"}]}]}`, ""},
		{"G21, five sequences", "/v1/messages", `{"model":"deepseek/deepseek-chat","max_tokens":50,"stop_sequences":["a1","b1","c1","d1","e1"],"messages":[{"role":"user","content":"x"}]}`, ""},
		{"G21, the Responses API", "/v1/messages", `{"model":"gpt-5.4-pro","max_tokens":50,"stop_sequences":["</block>"],"messages":[{"role":"user","content":"x"}]}`, ""},
		{"G41, on Gemini", "/v1/messages", `{"model":"gemini-2.5-flash",` + messagesTool + `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"u1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"u1","content":[{"type":"tool_reference","tool_name":"mcp__docs__search"}]}]}]}`, ""},
		{"X8, computer use on Gemini", "/v1/messages", `{"model":"gemini-2.5-flash","max_tokens":50,"tools":[{"type":"computer_20250124","name":"computer","display_width_px":800,"display_height_px":600}],"messages":[{"role":"user","content":"go"}]}`, ""},
		{"a container of an earlier turn", "/v1/messages", `{"model":"gpt-4o","container":"container_1",` + messagesTool + `"messages":[{"role":"user","content":"go"}]}`, "container"},
		{"a foreign role, chat", "/v1/chat/completions", `{"model":"claude-sonnet-4-5",` + chatTool + `"messages":[{"role":"developer","content":"Be kind."},{"role":"user","content":"x"},{"role":"function","name":"f","content":"r"},{"role":"user","content":"go"}]}`, ""},
		{"a foreign role, Messages", "/v1/messages", `{"model":"gpt-4o","max_tokens":50,"messages":[{"role":"user","content":"x"},{"role":"system","content":"Be brief."},{"role":"user","content":"go"}]}`, ""},
		{"items of OpenAI's alone on Gemini", "/v1/responses", `{"model":"gemini-2.5-flash","input":[{"role":"user","content":"x"},{"type":"code_interpreter_call","id":"ci","code":"1","outputs":[]},{"type":"file_search_call","id":"fs","queries":[]},{"type":"something_new","id":"n"},{"role":"user","content":"go"}]}`, ""},
		{"a block that is newer than this", "/v1/messages", `{"model":"gpt-4o","max_tokens":50,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"something_new","data":"n"},{"type":"text","text":"y"}]},{"role":"user","content":"go"}]}`, ""},
		{"a Gemini part that is newer than this", "/v1beta/models/gpt-4o:generateContent", `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}},{"text":"y"}]},{"role":"user","parts":[{"text":"go"}]}]}`, ""},
	})
	if body := string(gemini.Last(t).Body); !strings.Contains(body, "contents") {
		t.Error(body)
	}
}
