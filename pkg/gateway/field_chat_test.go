package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// TestMistralIDs checks tool call IDs for Mistral, which must have nine letters and digits.
func TestMistralIDs(t *testing.T) {
	w := newWorld(t)
	chat := standin.Chat(t, canary)
	w.keys.put("mistral", chat.URL+"/v1")
	w.keys.put("vllm", chat.URL+"/v1")
	for _, model := range []string{"mistral-large-latest", "vllm/mistralai/Mistral-Small"} {
		w.survive([]session{
			{"Gemini on " + model, "/v1beta/models/" + model + ":generateContent", `{"contents":[{"role":"user","parts":[{"text":"go"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`, ""},
			{"Ollama on " + model, "/api/chat", `{"model":"` + model + `","stream":false,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},{"role":"tool","tool_name":"f","content":"ok"}]}`, ""},
		})
	}
	w.survive([]session{
		{"Messages", "/v1/messages", `{"model":"mistral-large-latest","max_tokens":9,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_01AbCdEfGh","name":"f","input":{}},{"type":"tool_use","id":"aB3dE6gH9","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_01AbCdEfGh","content":"ok"},{"type":"tool_result","tool_use_id":"aB3dE6gH9","content":"ok"}]}]}`, ""},
		{"Responses", "/v1/responses", `{"model":"mistral-large-latest","input":[{"role":"user","content":"go"},{"type":"function_call","call_id":"call_x1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_x1","output":"ok"}]}`, ""},
	})
	if body := string(chat.Requests()[len(chat.Requests())-2].Body); strings.Count(body, `"aB3dE6gH9"`) != 2 {
		t.Errorf("an id that fits was changed: %s", body)
	}
	w.survive([]session{{"chat, in its own bytes", "/v1/chat/completions", `{"model":"mistral-large-latest","messages":[{"role":"user","content":"go"},{"role":"assistant","content":null,"tool_calls":[{"id":"toolu_01","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"toolu_01","content":"ok"}]}`, ""}})
}

// TestStopSequences checks that responses stop at stop sequences that the model does not
// support.
func TestStopSequences(t *testing.T) {
	w := newWorld(t)
	chat := standin.Chat(t, canary)
	w.keys.put("openai", chat.URL+"/v1")
	const input = `a</block>b`
	for _, model := range []string{"gpt-5.2", "o3"} {
		for _, stream := range []string{"false", "true"} {
			body := `{"model":"` + model + `","max_tokens":100,"stream":` + stream + `,"stop_sequences":["</block>","zz"],"messages":[{"role":"user","content":"` + input + `"}]}`
			a := w.do("POST", "/v1/messages", body)
			if a.status != 200 || strings.Contains(a.body, `: a<`) || strings.Contains(a.body, `block>b`) || !strings.Contains(a.body, `"stop_reason":"stop_sequence","stop_sequence":"</block>"`) || a.header.Get("X-Hostless-Ignored") != "" {
				t.Errorf("Messages on %s: %d %s, ignored %q", model, a.status, a.body, a.header.Get("X-Hostless-Ignored"))
			}
			verb := map[string]string{"false": "generateContent", "true": "streamGenerateContent?alt=sse"}[stream]
			a = w.do("POST", "/v1beta/models/"+model+":"+verb, `{"contents":[{"role":"user","parts":[{"text":"`+input+`"}]}],"generationConfig":{"stopSequences":["</block>"]}}`)
			if a.status != 200 || strings.Contains(a.body, "</b") || !strings.Contains(a.body, `"finishReason":"STOP"`) {
				t.Errorf("Gemini on %s: %d %s", model, a.status, a.body)
			}
			a = w.do("POST", "/api/chat", `{"model":"openai/`+model+`","stream":`+stream+`,"options":{"stop":["</block>"]},"messages":[{"role":"user","content":"`+input+`"}]}`)
			if a.status != 200 || strings.Contains(a.body, "</b") || strings.Contains(a.body, `lock`) {
				t.Errorf("Ollama on %s: %d %s", model, a.status, a.body)
			}
		}
	}
	// Text that is only the start of a stop sequence is held back and then sent.
	a := w.do("POST", "/v1/messages", `{"model":"gpt-5.2","max_tokens":100,"stream":true,"stop_sequences":["</block>"],"messages":[{"role":"user","content":"a</bloc"}]}`)
	text := ""
	for _, event := range eventsOf(t, a) {
		if delta, ok := event["delta"].(map[string]any); ok && delta["type"] == "text_delta" {
			text += delta["text"].(string)
		}
	}
	if text != "You said: a</bloc" {
		t.Errorf("the text is %q", text)
	}
	// More stop sequences than the provider accepts.
	a = w.do("POST", "/v1/messages", `{"model":"gpt-4o","max_tokens":100,"stop_sequences":["1","2","3","4","5","</block>"],"messages":[{"role":"user","content":"`+input+`"}]}`)
	if a.status != 200 || !strings.Contains(a.body, `"stop_sequence":"</block>"`) {
		t.Errorf("six sequences: %d %s", a.status, a.body)
	}
}

// TestEventsWithoutType checks that a stream without a Content-Type, or with a wrong one,
// is forwarded event by event.
func TestEventsWithoutType(t *testing.T) {
	w := newWorld(t)
	const chunk = `{"choices":[{"index":0,"delta":{"role":"assistant","content":"hi"}}]}`
	for _, contentType := range []string{"", "text/plain", "application/json", "application/octet-stream"} {
		sent := make(chan bool)
		w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/chat/completions" && r.URL.Path != "/chat/completions" {
				rw.WriteHeader(404)
				return
			}
			rw.Header()["Content-Type"] = nil
			if contentType != "" {
				rw.Header().Set("Content-Type", contentType)
			}
			io.WriteString(rw, "data:"+chunk+"\n\n")
			rw.(http.Flusher).Flush()
			<-sent
			io.WriteString(rw, `data:{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":1}}`+"\n\ndata:[DONE]\n\n")
		})
		for path, body := range map[string]string{
			"/v1/messages":         `{"model":"mine/m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}`,
			"/v1/responses":        `{"model":"mine/m","stream":true,"input":"x"}`,
			"/v1/chat/completions": `{"model":"mine/m","stream":true,"messages":[{"role":"user","content":"x"}]}`,
		} {
			resp, err := noRedirects.Do(w.request("POST", path, body))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for buf := make([]byte, 4096); !strings.Contains(got, "hi"); {
				n, err := resp.Body.Read(buf)
				if got += string(buf[:n]); err != nil {
					t.Fatalf("%s, %q: %v after %q", path, contentType, err, got)
				}
			}
			sent <- true // send the rest only after the first event has arrived
			rest, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") || !strings.Contains(string(rest), "7") {
				t.Errorf("%s, %q: type %q, %s", path, contentType, kind, rest)
			}
		}
	}
}

// TestEstimateOfInput checks that the first event of a stream has the estimated input
// tokens, like count_tokens.
func TestEstimateOfInput(t *testing.T) {
	w := newWorld(t)
	w.keys.put("openai", standin.Chat(t, canary).URL+"/v1")
	w.google()
	for _, model := range []string{"gpt-4o", "gemini-2.5-flash"} {
		body := `{"model":"` + model + `","max_tokens":16,"stream":true,"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"messages":[{"role":"user","content":"Reply only: ok"}]}`
		count := objectOf(t, w.do("POST", "/v1/messages/count_tokens", body))["input_tokens"]
		events := eventsOf(t, w.do("POST", "/v1/messages", body))
		got := events[0]["message"].(map[string]any)["usage"].(map[string]any)["input_tokens"].(float64)
		if got != count && got <= 0 {
			t.Errorf("%s: message_start says %v, count_tokens %v", model, got, count)
		}
	}
}

// TestFoundTools checks that the results of a tool search reach other models as text.
func TestFoundTools(t *testing.T) {
	w := newWorld(t)
	chat := standin.Chat(t, canary)
	w.keys.put("openai", chat.URL+"/v1")
	w.survive([]session{{"tool_reference", "/v1/messages", `{"model":"gpt-4o","max_tokens":9,"tools":[{"name":"mcp__docs__search","defer_loading":true,"input_schema":{"type":"object","properties":{}}}],"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"ToolSearch","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"tool_reference","tool_name":"mcp__docs__search"},{"type":"tool_reference","tool_name":"b"}]}]}]}`, "tools.defer_loading"}})
	if body := string(chat.Last(t).Body); !strings.Contains(body, `"content":"Tools that can be called now: mcp__docs__search, b"`) {
		t.Errorf("the tools are not in %s", body)
	}
}

// TestCustomTools uses custom tools of chat completions on providers that only have
// functions.
func TestCustomTools(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.google()
	const tools = `"tools":[{"type":"custom","custom":{"name":"patch","description":"Change files.","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: /a/"}}}}],"tool_choice":{"type":"custom","custom":{"name":"patch"}}`
	for _, model := range []string{"claude-sonnet-4-5", "gemini-2.5-flash"} {
		for _, stream := range []string{"false", "true"} {
			request := `{"model":"` + model + `","stream":` + stream + `,` + tools + `,"messages":[{"role":"user","content":"go"}`
			a := w.do("POST", "/v1/chat/completions", request+`]}`)
			if a.status != 200 || !strings.Contains(a.body, `"type":"custom"`) || !strings.Contains(a.body, `"input":"Paris"`) || strings.Contains(a.body, `"arguments"`) {
				t.Errorf("%s: %d %s", model, a.status, a.body)
			}
			w.survive([]session{{model + " again", "/v1/chat/completions", request + `,{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"custom","custom":{"name":"patch","input":"a \"b\""}}]},{"role":"tool","tool_call_id":"c1","content":"ok"}]}`, ""}})
		}
	}
}

// TestNamedAsLeftOut checks that everything that is dropped is named.
func TestNamedAsLeftOut(t *testing.T) {
	w := newWorld(t)
	w.strictProviders()
	w.survive([]session{
		{"Messages", "/v1/messages", `{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"citations":{"enabled":true},"context":"c"}]}]}`, "document.citations document.context"},
		{"Responses", "/v1/responses", `{"model":"claude-sonnet-4-5","input":"x","context_management":[{"type":"compaction"}],"prompt_cache_retention":"24h","include":["file_search_call.results"],"tools":[{"type":"function","name":"f","parameters":{},"defer_loading":true}]}`, "context_management prompt_cache_retention include.file_search_call.results tools.defer_loading"},
		{"chat", "/v1/chat/completions", `{"model":"claude-sonnet-4-5","temperature":1.7,"messages":[{"role":"user","content":"x"}]}`, "temperature"},
	})
}
