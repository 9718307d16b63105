package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// google starts a stand-in that refuses what Gemini refuses.
func (w *world) google() *standin.Server {
	s := standin.Gemini(w.t, canary)
	w.keys.put("google", s.URL+"/v1beta")
	return s
}

const brokenHistory = `[{"role":"user","content":"write"},
	{"role":"assistant","content":null,"tool_calls":[
		{"id":"c1","type":"function","function":{"name":"files/write","arguments":"{\"path\":\"a\",\"text\":\"unfin"}},
		{"id":"c2","type":"function","function":{"name":"1c_reload","arguments":"null"}}]},
	{"role":"tool","tool_call_id":"c1","content":"error: arguments are not JSON"},
	{"role":"tool","tool_call_id":"c0","content":"of a turn that was cut off"},
	{"role":"user","content":"never mind; continue"}]`

// TestBrokenHistoryOnGemini checks that a session continues with tool calls that were cut
// off or interrupted, results without a call, and names that Gemini refuses.
func TestBrokenHistoryOnGemini(t *testing.T) {
	w := newWorld(t)
	w.google()
	const tools = `[{"type":"function","function":{"name":"files/write","parameters":{"type":"object","properties":{}}}},{"type":"function","function":{"name":"1c_reload"}}]`
	for _, model := range []string{"gemini-2.5-flash", "gemini-3-pro"} {
		a := w.do("POST", "/v1/chat/completions", `{"model":"`+model+`","messages":`+brokenHistory+`,"tools":`+tools+`}`)
		if a.status != 200 || !strings.Contains(a.body, `"name":"files/write"`) {
			t.Errorf("%s: %d %s", model, a.status, a.body)
		}
		for _, name := range []string{"messages.tool_calls.arguments", "messages.tool_calls", "messages.tool_call_id"} {
			if ignored := a.header.Get("X-Hostless-Ignored"); !strings.Contains(ignored, name) {
				t.Errorf("%s: %s is not named in %q", model, name, ignored)
			}
		}
	}
	a := w.do("POST", "/v1/messages", `{"model":"gemini-3-pro","max_tokens":100,"stream":true,
		"tools":[{"name":"1c_reload","input_schema":{"type":"object","properties":{}}}],
		"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"1c_reload","input":{}}]},{"role":"user","content":[{"type":"text","text":"never mind"}]}]}`)
	if a.status != 200 || !strings.Contains(a.body, `"name":"1c_reload"`) {
		t.Errorf("Messages: %d %s", a.status, a.body)
	}
}

// TestMalformedCallIsAnError checks that a turn with a malformed tool call does not look
// like the end of the work.
func TestMalformedCallIsAnError(t *testing.T) {
	w := newWorld(t)
	const answer = `{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"","thoughtSignature":"c2ln"}]},"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"Malformed function call: print(default_api.read("}],"usageMetadata":{"promptTokenCount":9}}`
	w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "stream") {
			rw.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(rw, "data: "+answer+"\n\n")
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, answer)
	})
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"x"}]`,
		"/v1/messages":         `{"model":"gemini-2.5-flash","max_tokens":9,"messages":[{"role":"user","content":"x"}]`,
		"/v1/responses":        `{"model":"gemini-2.5-flash","input":"x"`,
	} {
		if a := w.do("POST", path, body+"}"); a.status != 502 || !strings.Contains(a.body, "Malformed function call: print(default_api.read(") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		a := w.do("POST", path, body+`,"stream":true}`)
		for _, clean := range []string{`"finish_reason":"`, "message_stop", "response.completed"} {
			if strings.Contains(a.body, clean) || !strings.Contains(a.body, "Malformed function call: print(default_api.read(") {
				t.Errorf("%s as a stream: %s", path, a.body)
			}
		}
	}
}

// TestWaitOfGemini checks the retry delay, which Gemini reports only in the body.
func TestWaitOfGemini(t *testing.T) {
	w := newWorld(t)
	for details, want := range map[string][3]string{
		`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"26.660853464s"}`:                                                                        {"27", "26661", ""},
		`{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"50"}]}`: {"", "", "false"},
	} {
		w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(429)
			io.WriteString(rw, `{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED","details":[`+details+`]}}`)
		})
		for path, body := range map[string]string{
			"/v1/chat/completions": `{"model":"gemini-2.5-flash","messages":[{"role":"user","content":"x"}]}`,
			"/v1/messages":         `{"model":"gemini-2.5-flash","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`,
		} {
			a := w.do("POST", path, body)
			if got := [3]string{a.header.Get("Retry-After"), a.header.Get("Retry-After-Ms"), a.header.Get("X-Should-Retry")}; a.status != 429 || got != want {
				t.Errorf("%s: %d %q, want %q", path, a.status, got, want)
			}
		}
	}
}

// TestOllamaOnOllama checks that requests of Ollama clients reach Ollama unchanged, so that
// options work which its OpenAI-compatible API does not have.
func TestOllamaOnOllama(t *testing.T) {
	for _, base := range []string{"/v1", ""} {
		w := newWorld(t)
		var got string
		s := w.upstream("ollama", func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = r.URL.Path + " " + string(body)
			rw.Header().Set("Content-Type", "application/x-ndjson")
			io.WriteString(rw, `{"model":"q","message":{"role":"assistant","content":"hi"},"done":false}`+"\n"+`{"model":"q","done":true,"total_duration":7,"prompt_eval_count":3,"eval_count":2}`+"\n")
		})
		w.keys.put("ollama", s.URL+base)
		for path, rest := range map[string]string{
			"/api/chat":     `"think":false,"keep_alive":"10m","options":{"num_ctx":16384},"messages":[{"role":"user","content":"hi"}]}`,
			"/api/generate": `"prompt":"hi","raw":true,"suffix":"x","context":[1,2]}`,
			"/api/embed":    `"input":[],"truncate":false}`,
		} {
			a := w.do("POST", path, `{"model":"ollama/qwen3.5:9b",`+rest)
			if want := path + ` {"model":"qwen3.5:9b",` + rest; a.status != 200 || got != want || !strings.Contains(a.body, `"total_duration":7`) {
				t.Errorf("base %q: %d %s\n got %s\nwant %s", base, a.status, a.body, got, want)
			}
		}
		// Ollama itself loads a model.
		if a := w.do("POST", "/api/generate", `{"model":"ollama/q","keep_alive":0}`); a.status != 200 || got != `/api/generate {"model":"q","keep_alive":0}` {
			t.Errorf("%d %s: %s", a.status, a.body, got)
		}
	}
}

// TestUnsignedCalls continues a session on Gemini after tool calls of another provider's
// model, which have no signature, and after an interrupted call, as Gemini CLI does when it
// compresses a chat.
func TestUnsignedCalls(t *testing.T) {
	w := newWorld(t)
	google := w.google()
	for name, body := range map[string]string{
		"no response":    `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"f","args":{}}}]},{"role":"user","parts":[{"text":"never mind"}]}]}`,
		"no turn behind": `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"c2ln"}]}]}`,
		"another's":      `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"2","name":"f","response":{}}},{"functionResponse":{"id":"3","name":"f","response":{}}}]}]}`,
		"one of two":     `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"g","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`,
	} {
		for _, model := range []string{"gemini-2.5-flash", "gemini-3-pro"} {
			if a := newGoogle(t).do("POST", "/v1beta/models/"+model+":generateContent", body); a.status != 200 || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "contents.functionCall") {
				t.Errorf("%s on %s: %d %s, ignored %q", name, model, a.status, a.body, a.header.Get("X-Hostless-Ignored"))
			}
		}
	}
	twice := `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"id":"1","name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"1","name":"f","response":{}}},{"functionResponse":{"id":"1","name":"f","response":{}}}]}]}`
	if a := newGoogle(t).do("POST", "/v1beta/models/gemini-3-pro:generateContent", twice); a.status != 200 || !strings.Contains(a.header.Get("X-Hostless-Ignored"), "contents.functionResponse") {
		t.Errorf("twice: %d %s, ignored %q", a.status, a.body, a.header.Get("X-Hostless-Ignored"))
	}
	const body = `{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"text":"y"},{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"g","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}},{"functionResponse":{"name":"g","response":{}}}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":""}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}}]}]}`
	for turn, want := range []int{2, 3} { // the second turn is corrected at once
		a := w.do("POST", "/v1beta/models/gemini-3-pro:generateContent", body)
		if asked := len(google.Generations()); a.status != 200 || asked != want || a.header.Get("X-Hostless-Ignored") != "contents.thoughtSignature" {
			t.Errorf("turn %d: %d %s, asked %d times, ignored %q", turn+1, a.status, a.body, asked, a.header.Get("X-Hostless-Ignored"))
		}
	}
}

// newGoogle returns a gateway that has not learnt anything about Google yet.
func newGoogle(t *testing.T) *world {
	w := newWorld(t)
	w.google()
	return w
}
