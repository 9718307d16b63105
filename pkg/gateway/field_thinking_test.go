package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/test/standin"
)

// TestInterleavedThinking checks that thinking between tool calls is sent back in its
// place, whatever parts of a response a client keeps.
func TestInterleavedThinking(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	const chatTools = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]`
	const responsesTools = `"include":["reasoning.encrypted_content"],"store":false,"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]`
	for _, stream := range []bool{false, true} {
		turn := fmt.Sprintf(`{"model":"claude-opus-4-6","stream":%v,`, stream)

		a := w.do("POST", "/v1/chat/completions", turn+chatTools+`,"messages":[{"role":"user","content":"`+standin.Interleaved+`"}]}`)
		message := chatMessageOf(t, a, stream)
		w.survive([]session{{fmt.Sprintf("chat, stream %v", stream), "/v1/chat/completions",
			turn + chatTools + `,"messages":[{"role":"user","content":"` + standin.Interleaved + `"},` + compactJSON(message) +
				`,{"role":"tool","tool_call_id":"toolu_i1","content":"a"},{"role":"tool","tool_call_id":"toolu_i2","content":"b"}]}`, ""}})

		a = w.do("POST", "/v1/responses", turn+responsesTools+`,"input":"`+standin.Interleaved+`"}`)
		items := itemsOf(t, a, stream)
		var kinds []string
		for _, item := range items {
			kinds = append(kinds, item.(map[string]any)["type"].(string))
		}
		if got := strings.Join(kinds, " "); got != "reasoning message function_call reasoning function_call" {
			t.Errorf("Responses, stream %v: the items are %s", stream, got)
		}
		outputs := `{"type":"function_call_output","call_id":"toolu_i1","output":"a"},{"type":"function_call_output","call_id":"toolu_i2","output":"b"}`
		w.survive([]session{{fmt.Sprintf("Responses, stream %v", stream), "/v1/responses",
			turn + responsesTools + `,"input":[{"role":"user","content":"` + standin.Interleaved + `"},` + strings.Trim(compactJSON(items), "[]") + "," + outputs + `]}`, ""}})

		verb, path := "generateContent", "/v1beta/models/claude-opus-4-6:"
		if stream {
			verb = "streamGenerateContent?alt=sse"
		}
		const tools = `"tools":[{"functionDeclarations":[{"name":"f"}]}]`
		a = w.do("POST", path+verb, `{`+tools+`,"contents":[{"role":"user","parts":[{"text":"`+standin.Interleaved+`"}]}]}`)
		w.survive([]session{{fmt.Sprintf("Gemini, stream %v", stream), path + "generateContent",
			`{` + tools + `,"contents":[{"role":"user","parts":[{"text":"` + standin.Interleaved + `"}]},{"role":"model","parts":` + compactJSON(partsOf(t, a, stream)) +
				`},{"role":"user","parts":[{"functionResponse":{"name":"f","id":"toolu_i1","response":{}}},{"functionResponse":{"name":"f","id":"toolu_i2","response":{}}}]}]}`, ""}})
	}
}

func compactJSON(v any) string { b, _ := json.Marshal(v); return string(b) }

// eventsOf returns the data of a stream's events.
func eventsOf(t *testing.T, a answer) (events []map[string]any) {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, line := range strings.Split(a.body, "\n") {
		if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok && data != "[DONE]" {
			var event map[string]any
			if err := json.Unmarshal([]byte(data), &event); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			events = append(events, event)
		}
	}
	return events
}

func objectOf(t *testing.T, a answer) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return v
}

// chatMessageOf returns the message of a chat completion as a client sends it back.
func chatMessageOf(t *testing.T, a answer, stream bool) map[string]any {
	t.Helper()
	if !stream {
		return objectOf(t, a)["choices"].([]any)[0].(map[string]any)["message"].(map[string]any)
	}
	content, details := "", []any{}
	calls := map[float64]map[string]any{}
	for _, event := range eventsOf(t, a) {
		for _, choice := range event["choices"].([]any) {
			delta := choice.(map[string]any)["delta"].(map[string]any)
			text, _ := delta["content"].(string)
			content += text
			more, _ := delta["reasoning_details"].([]any)
			details = append(details, more...)
			pieces, _ := delta["tool_calls"].([]any)
			for _, raw := range pieces {
				piece := raw.(map[string]any)
				at := piece["index"].(float64)
				arguments := piece["function"].(map[string]any)["arguments"].(string)
				if call := calls[at]; call != nil {
					f := call["function"].(map[string]any)
					f["arguments"] = f["arguments"].(string) + arguments
				} else {
					calls[at] = piece
				}
			}
		}
	}
	var list []any
	for i := range len(calls) {
		list = append(list, calls[float64(i)])
	}
	return map[string]any{"role": "assistant", "content": content, "reasoning_details": details, "tool_calls": list}
}

// itemsOf returns the items of a response; of a stream in the order in which they are done.
func itemsOf(t *testing.T, a answer, stream bool) (items []any) {
	t.Helper()
	if !stream {
		return objectOf(t, a)["output"].([]any)
	}
	for _, event := range eventsOf(t, a) {
		if event["type"] == "response.output_item.done" {
			items = append(items, event["item"])
		}
	}
	return items
}

// partsOf returns the parts of a Gemini response.
func partsOf(t *testing.T, a answer, stream bool) (parts []any) {
	t.Helper()
	events := []map[string]any{}
	if stream {
		events = eventsOf(t, a)
	} else {
		events = append(events, objectOf(t, a))
	}
	for _, event := range events {
		for _, c := range event["candidates"].([]any) {
			more, _ := c.(map[string]any)["content"].(map[string]any)["parts"].([]any)
			parts = append(parts, more...)
		}
	}
	return parts
}

// TestThinkingGoesBack checks that a model which refuses a tool call without the thinking
// before it gets it, whatever its client kept; after a restart it gets a placeholder.
func TestThinkingGoesBack(t *testing.T) {
	w := newWorld(t)
	chat := standin.Chat(t, canary)
	w.keys.put("mine", chat.URL+"/v1")
	w.keys.put("openrouter", chat.URL+"/v1")
	fresh := newWorld(t)
	fresh.keys.put("mine", chat.URL+"/v1")
	fresh.keys.put("openrouter", chat.URL+"/v1")
	const messagesTools, responsesTools = `"max_tokens":99,"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}]`, `"store":false,"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]`
	for _, model := range []string{"mine/thinker", "mine/mimo-v2", "openrouter/deepseek/deepseek-v4"} {
		for _, stream := range []string{"false", "true"} {
			turn := `{"model":"` + model + `","stream":` + stream + `,`
			gemini := `"tools":[{"functionDeclarations":[{"name":"f"}]}],"contents":[{"role":"user","parts":[{"text":"go"}]}`
			verb := map[string]string{"false": "generateContent", "true": "streamGenerateContent?alt=sse"}[stream]
			for _, c := range []struct{ name, path, one, two string }{
				{"Messages", "/v1/messages", turn + messagesTools + `,"messages":[{"role":"user","content":"go"}`,
					`,{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"ok"}]}]}`},
				{"Responses", "/v1/responses", turn + responsesTools + `,"input":[{"role":"user","content":"go"}`,
					`,{"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"ok"}]}`},
				{"chat", "/v1/chat/completions", turn + `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"messages":[{"role":"user","content":"go"}`,
					`,{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"ok"}]}`},
				{"Gemini", "/v1beta/models/" + model + ":" + verb, `{` + gemini,
					`,{"role":"model","parts":[{"functionCall":{"id":"call_1","name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"call_1","name":"f","response":{}}}]}]}`},
			} {
				native := strings.HasPrefix(model, "openrouter") && c.name != "Gemini"
				if native {
					continue // it has the Messages and Responses APIs itself
				}
				if a := w.do("POST", c.path, c.one+`]}`); a.status != 200 {
					t.Fatalf("%s on %s: %d %s", c.name, model, a.status, a.body)
				}
				w.survive([]session{{c.name + " on " + model, c.path, c.one + c.two, ""}})
				if body := string(chat.Last(t).Body); !strings.Contains(body, `"reasoning_content":"Look first."`) {
					t.Errorf("%s on %s, stream %s: the thinking is not in %s", c.name, model, stream, body)
				}
				fresh.survive([]session{{c.name + " on " + model + ", restarted", c.path, c.one + c.two, ""}})
			}
		}
	}
}

// TestLostThinkingOfClaude checks that Claude gets its own signed thinking back from a
// client that does not keep reasoning_details.
func TestLostThinkingOfClaude(t *testing.T) {
	w := newWorld(t)
	claude := standin.Anthropic(t, canary)
	w.keys.put("anthropic", claude.URL+"/v1")
	const one = `{"model":"claude-opus-4-6","reasoning_effort":"high","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"messages":[{"role":"user","content":"go"}`
	if a := w.do("POST", "/v1/chat/completions", one+`]}`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.survive([]session{{"chat", "/v1/chat/completions", one + `,{"role":"assistant","content":null,"tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"toolu_1","content":"ok"}]}`, ""}})
	if body := string(claude.Last(t).Body); !strings.Contains(body, `{"type":"thinking","thinking":"Let me think.","signature":"c2lnbmF0dXJl"},{"type":"tool_use","id":"toolu_1"`) {
		t.Errorf("the thinking is not in %s", body)
	}
}

// TestMemoryIsHandedOver checks that what a gateway remembers for its clients is known to
// the one that takes over from it.
func TestMemoryIsHandedOver(t *testing.T) {
	chat, gemini := standin.Chat(t, canary), standin.Gemini(t, canary)
	w := newWorld(t)
	next := newWorld(t, func(cfg *gateway.Config) { cfg.Tokens = w.tokens })
	next.token = w.token
	for _, one := range []*world{w, next} {
		one.keys.put("mine", chat.URL+"/v1")
		one.keys.put("google", gemini.URL+"/v1beta")
	}
	const tools = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],"messages":[{"role":"user","content":"go"}`
	const result = `,{"role":"assistant","content":null,"tool_calls":[{"id":"%s","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"%s","content":"ok"}]}`
	w.do("POST", "/v1/chat/completions", `{"model":"mine/thinker",`+tools+`]}`).want(t, 200, "call_1")
	first := w.do("POST", "/v1/chat/completions", `{"model":"gemini-3-pro",`+tools+`]}`)
	id := at(objectOf(t, first), "choices", 0, "message", "tool_calls", 0, "id").(string)
	var answer struct{ ID string }
	json.Unmarshal([]byte(w.do("POST", "/v1/responses", `{"model":"mine/m","input":"remember me"}`).body), &answer)
	memory, err := w.gw.Export()
	if err == nil {
		err = next.gw.Import(memory)
	}
	if err != nil {
		t.Fatal(err)
	}
	next.survive([]session{{"thinking", "/v1/chat/completions", `{"model":"mine/thinker",` + tools + fmt.Sprintf(result, "call_1", "call_1"), "messages.reasoning_content"}})
	if body := string(chat.Last(t).Body); !strings.Contains(body, `"reasoning_content":"Look first."`) {
		t.Errorf("the thinking is not in %s", body)
	}
	next.survive([]session{{"a signature", "/v1/chat/completions", `{"model":"gemini-3-pro",` + tools + fmt.Sprintf(result, id, id), ""}})
	if body := string(gemini.Last(t).Body); !strings.Contains(body, `"thoughtSignature":"dGhvdWdodA=="`) {
		t.Errorf("the signature is not in %s", body)
	}
	next.do("POST", "/v1/responses", `{"model":"mine/m","previous_response_id":"`+answer.ID+`","input":"again"}`).want(t, 200, "again")
	if body := string(chat.Last(t).Body); !strings.Contains(body, "remember me") {
		t.Errorf("the conversation is not in %s", body)
	}
	if err := next.gw.Import([]byte("broken")); err == nil {
		t.Error("a broken memory was imported")
	}
}
