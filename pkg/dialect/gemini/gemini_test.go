package gemini_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

// TestSignatureReplay: if a client drops the signature and sends the call back, the
// signature is still sent upstream, and not the placeholder.
func TestSignatureReplay(t *testing.T) {
	tr := gemini.FromChat(options())
	first, err := tr(dialect.Request{Model: "gemini-3-pro", Body: []byte(`{"messages":[{"role":"user","content":"go"}],"stream":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	out := dialecttest.Translate(first.Reply.Stream(), strings.NewReader(`data: {"candidates":[{"content":{"parts":[{"functionCall":{"id":"fc_1","name":"f","args":{}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"fc_2","name":"g","args":{}}}]},"finishReason":"STOP"}]}`+"\n\n"), nil)
	if !bytes.Contains(out, []byte(`"id":"fc_1"`)) {
		t.Fatalf("no call in %s", out)
	}
	second, err := tr(dialect.Request{Model: "gemini-3-pro", Body: []byte(`{"messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"fc_1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"fc_2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"fc_1","content":"1"},{"role":"tool","tool_call_id":"fc_2","content":"2"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"role":"model","parts":[{"functionCall":{"id":"fc_1","name":"f","args":{}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"fc_2","name":"g","args":{}}}]}`
	if !strings.Contains(string(second.Body), want) {
		t.Errorf("second request:\n got %s\nwant in it %s", second.Body, want)
	}
}

func TestSignatureCacheForgets(t *testing.T) {
	c := gemini.NewSignatureCache(2)
	c.Put("a", "1")
	c.Put("b", "2")
	c.Get("a")
	c.Put("c", "3")
	c.Put("a", "4")
	c.Put("large", strings.Repeat("x", 1<<20))
	c.Put("none", "")
	for id, want := range map[string]string{"a": "4", "b": "", "c": "3", "large": "", "none": ""} {
		if got := c.Get(id); got != want {
			t.Errorf("Get(%q) = %q, want %q", id, got, want)
		}
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				c.Put(fmt.Sprint(g, i), "s")
				c.Get(fmt.Sprint(g, i-1))
			}
		})
	}
	wg.Wait()
}

func TestParsePath(t *testing.T) {
	tests := []struct {
		path string
		want gemini.Target
		ok   bool
	}{
		{"/v1beta/models/gemini-2.5-flash:generateContent", gemini.Target{Model: "gemini-2.5-flash", Verb: "generateContent"}, true},
		{"/v1beta/models/gemini-3-pro:streamGenerateContent", gemini.Target{Model: "gemini-3-pro", Verb: "streamGenerateContent", Stream: true}, true},
		{"/v1/models/x:countTokens", gemini.Target{Model: "x", Verb: "countTokens"}, true},
		{"/v1beta/tunedModels/mine:generateContent", gemini.Target{Model: "tunedModels/mine", Verb: "generateContent"}, true},
		{"/v1beta/models/ollama/llama3:8b:generateContent", gemini.Target{Model: "ollama/llama3:8b", Verb: "generateContent"}, true},
		{"/v1beta/models/openrouter/a/b:generateContent", gemini.Target{Model: "openrouter/a/b", Verb: "generateContent"}, true},
		{"/v1beta/models/x", gemini.Target{}, false},
		{"/v1beta/models/../x:generateContent", gemini.Target{}, false},
		{"/v1beta/models/:generateContent", gemini.Target{}, false},
		{"/v1beta/models/x:", gemini.Target{}, false},
		{"/v1beta/files/x:generateContent", gemini.Target{}, false},
		{"/models/x:generateContent", gemini.Target{}, false},
		{"", gemini.Target{}, false},
	}
	for _, tt := range tests {
		got, ok := gemini.ParsePath(tt.path)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("ParsePath(%q) = %+v, %v, want %+v, %v", tt.path, got, ok, tt.want, tt.ok)
		}
	}
}

// TestPathEscape: no model name leads to another path of the provider.
func TestPathEscape(t *testing.T) {
	for model, want := range map[string]string{
		"gemini-2.5-flash":           "/models/gemini-2.5-flash:generateContent",
		"models/gemini-2.5-flash":    "/models/gemini-2.5-flash:generateContent",
		"tunedModels/mine":           "/tunedModels/mine:generateContent",
		"publishers/google/models/x": "/publishers/google/models/x:generateContent",
		"a/../../files":              "/models/a%2F..%2F..%2Ffiles:generateContent",
		"x?key=1#y":                  "/models/x%3Fkey=1%23y:generateContent",
	} {
		call, err := gemini.FromChat(gemini.Options{})(dialect.Request{Model: model, Body: []byte(`{"messages":[{"role":"user","content":"x"}]}`)})
		if err != nil {
			t.Errorf("%s: %v", model, err)
		} else if call.Path != want {
			t.Errorf("%s: path %s, want %s", model, call.Path, want)
		}
	}
}

func TestFactsOf(t *testing.T) {
	for model, want := range map[string]string{
		"gemini-2.0-flash":           "none",
		"gemini-2.5-flash":           "0-24576",
		"models/gemini-2.5-pro":      "128-32768",
		"gemini-2.5-flash-image":     "none",
		"gemini-3-pro-preview":       "low,high signed",
		"gemini-3.1-pro":             "low,medium,high signed",
		"gemini-3-flash":             "minimal,low,medium,high signed",
		"gemini-flash-latest":        "minimal,low,medium,high signed",
		"gemma-3-27b":                "none",
		"publishers/google/models/x": "none",
	} {
		f := gemini.FactsOf(model)
		got := "none"
		switch {
		case f.Levels != "":
			got = strings.Join(f.Levels.Words(), ",")
		case f.MaxBudget > 0:
			got = fmt.Sprintf("%d-%d", f.MinBudget, f.MaxBudget)
		}
		if f.Signed {
			got += " signed"
		}
		if got != want {
			t.Errorf("FactsOf(%s) = %s, want %s", model, got, want)
		}
	}
}

func TestFault(t *testing.T) {
	for _, tt := range []struct {
		err  *fault.Error
		want string
	}{
		{&fault.Error{Kind: fault.Invalid, Message: "no <model>", Param: "model"},
			`{"error":{"code":400,"message":"no <model>","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INVALID_REQUEST_ERROR","domain":"hostless"},{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"model","description":"no <model>"}]}]}}`},
		{&fault.Error{Kind: fault.RateLimited, Message: "slow", RetryAfter: 1500 * time.Millisecond},
			`{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_ERROR","domain":"hostless"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}`},
		{&fault.Error{Kind: fault.Locked, Message: "locked", Next: "hostless unlock"},
			`{"error":{"code":503,"message":"locked (hostless unlock)","status":"UNAVAILABLE","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"CONFIGURATION_ERROR","domain":"hostless"}]}}`},
	} {
		if diff := cmp.Diff(tt.want, string(gemini.Fault(tt.err))); diff != "" {
			t.Error(diff)
		}
	}
	for kind, status := range map[fault.Kind]string{
		fault.Unauthenticated: "UNAUTHENTICATED", fault.Expired: "UNAUTHENTICATED", fault.Scope: "PERMISSION_DENIED", fault.Origin: "PERMISSION_DENIED",
		fault.NotFound: "NOT_FOUND", fault.Upstream: "UNAVAILABLE", fault.UpstreamTimeout: "DEADLINE_EXCEEDED", fault.Internal: "INTERNAL", fault.TooLarge: "INVALID_ARGUMENT",
	} {
		var got struct{ Error struct{ Status string } }
		if err := json.Unmarshal(gemini.Fault(fault.New(kind, "x")), &got); err != nil || got.Error.Status != status {
			t.Errorf("kind %d: status %q, %v, want %q", kind, got.Error.Status, err, status)
		}
	}
}

// TestStatuses: Google's names become OpenAI's types, and the status stays the
// same.
func TestStatuses(t *testing.T) {
	call, err := gemini.FromChat(gemini.Options{})(dialect.Request{Model: "m", Body: []byte(`{"messages":[{"role":"user","content":"x"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{
		"INVALID_ARGUMENT": "invalid_request_error", "FAILED_PRECONDITION": "invalid_request_error", "UNAUTHENTICATED": "authentication_error",
		"PERMISSION_DENIED": "permission_error", "NOT_FOUND": "not_found_error", "RESOURCE_EXHAUSTED": "rate_limit_error", "UNAVAILABLE": "overloaded_error",
		"INTERNAL": "api_error", "DEADLINE_EXCEEDED": "timeout_error",
	} {
		var got struct {
			Error struct{ Type, Code, Message string }
		}
		body := call.Reply.Error(400, http.Header{}, []byte(`{"error":{"code":400,"message":"m","status":"`+word+`"}}`))
		if err := json.Unmarshal(body, &got); err != nil || got.Error.Type != want || got.Error.Code != word || got.Error.Message != "m" {
			t.Errorf("%s: %s", word, body)
		}
	}
}

func TestModel(t *testing.T) {
	for want, m := range map[string]gemini.Model{
		`{"name":"models/openai/gpt-x","version":"001","displayName":"openai/gpt-x","supportedGenerationMethods":["generateContent","streamGenerateContent","countTokens"]}`: {ID: "openai/gpt-x"},
		`{"name":"models/e","version":"001","displayName":"E","inputTokenLimit":2048,"supportedGenerationMethods":["embedContent"]}`:                                         {ID: "models/e", DisplayName: "E", Input: 2048, Methods: []string{"embedContent"}},
	} {
		if diff := cmp.Diff(want, string(m.JSON())); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCountTokens(t *testing.T) {
	for body, want := range map[string]string{
		`{"contents":[{"role":"user","parts":[{"text":"12345678"}]}]}`:                                                                `{"totalTokens":2}`,
		`{"contents":[{"parts":[{"text":"éééé"},{"inline_data":{"mime_type":"image/png","data":"AAAA"}}]}]}`:                          `{"totalTokens":259}`,
		`{"generateContentRequest":{"model":"models/x","contents":[{"parts":[{"text":"1234"}]}],"generationConfig":{"topK":123456}}}`: `{"totalTokens":1}`,
		`{"contents":[{"parts":[{"functionCall":{"name":"abcd","args":{"a": "b"}}}]}]}`:                                               `{"totalTokens":4}`,
	} {
		got, err := gemini.CountTokens([]byte(body))
		if err != nil || string(got) != want {
			t.Errorf("CountTokens(%s) = %s, %v, want %s", body, got, err, want)
		}
	}
	for _, body := range []string{`{}`, `[`, `{"contents":null}`} {
		if _, err := gemini.CountTokens([]byte(body)); !fault.Is(err, fault.Invalid) {
			t.Errorf("CountTokens(%s): %v", body, err)
		}
	}
}

// TestCauseIsPrivate: the reason why a stream broke is not shown.
func TestCauseIsPrivate(t *testing.T) {
	for name, tr := range map[string]dialect.Translator{"fromchat": gemini.FromChat(gemini.Options{}), "tochat": gemini.ToChat(gemini.Options{})} {
		call, err := tr(dialect.Request{Model: "m", Stream: true, Body: []byte(`{"messages":[{"role":"user","content":"x"}],"contents":[{"parts":[{"text":"x"}]}],"stream":true}`)})
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		s := call.Reply.Stream()
		emit := func(ev sse.Event) { out = sse.Append(out, ev) }
		s.End(fmt.Errorf("read tcp 10.1.2.3:443: reset"), emit)
		s.End(nil, emit)
		if bytes.Contains(out, []byte("10.1.2.3")) || bytes.Count(out, []byte(`"error"`)) != 1 {
			t.Errorf("%s: %s", name, out)
		}
	}
}
