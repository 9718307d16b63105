package anthropic_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

func TestFault(t *testing.T) {
	tests := []struct {
		kind fault.Kind
		want string
	}{
		{fault.Unauthenticated, "authentication_error"}, {fault.Expired, "authentication_error"}, {fault.Scope, "permission_error"},
		{fault.Origin, "permission_error"}, {fault.Invalid, "invalid_request_error"}, {fault.NotFound, "not_found_error"},
		{fault.Method, "invalid_request_error"}, {fault.TooLarge, "request_too_large"}, {fault.RateLimited, "rate_limit_error"},
		{fault.Unconfigured, "invalid_request_error"}, {fault.Locked, "overloaded_error"}, {fault.Upstream, "api_error"},
		{fault.UpstreamTimeout, "timeout_error"}, {fault.Internal, "api_error"},
	}
	for _, tt := range tests {
		got := string(anthropic.Fault(&fault.Error{Kind: tt.kind, Message: `a <b> "c"`, Next: "hostless keys add x"}))
		want := `{"type":"error","error":{"type":"` + tt.want + `","message":"a <b> \"c\" (hostless keys add x)"}}`
		if got != want {
			t.Errorf("Fault(%d) = %s, want %s", tt.kind, got, want)
		}
	}
}

func TestErrorsOfEveryShape(t *testing.T) {
	tests := []struct {
		name, in string
		status   int
		chat     string
		messages string
	}{
		{"text", " oops \n", 500, `{"error":{"message":"oops","type":"api_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"api_error","message":"oops"}}`},
		{"nothing", "", 403, `{"error":{"message":"the provider answered Forbidden without a reason","type":"permission_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"permission_error","message":"the provider answered Forbidden without a reason"}}`},
		{"a string", `{"error":"no"}`, 404, `{"error":{"message":"no","type":"not_found_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"not_found_error","message":"no"}}`},
		{"detail", `{"detail":[{"loc":"x"}]}`, 422, `{"error":{"message":"[{\"loc\":\"x\"}]","type":"invalid_request_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"invalid_request_error","message":"[{\"loc\":\"x\"}]"}}`},
		{"param", `{"error":{"message":"m","type":"invalid_request_error","param":"n","code":12}}`, 400, `{"error":{"message":"m","type":"invalid_request_error","param":"n","code":12}}`, `{"type":"error","error":{"type":"invalid_request_error","message":"m"}}`},
		{"bad key", `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, 401, `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, `{"type":"error","error":{"type":"authentication_error","message":"m"}}`},
		{"no model", `{"error":{"message":"m","type":"invalid_request_error","code":"model_not_found"}}`, 404, `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, `{"type":"error","error":{"type":"not_found_error","message":"m"}}`},
		{"google's bad key", `{"error":{"message":"m","type":"authentication_error"}}`, 400, `{"error":{"message":"m","type":"authentication_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"authentication_error","message":"m"}}`},
		{"overloaded", `{"type":"error","error":{"type":"overloaded_error","message":"m"}}`, 529, `{"error":{"message":"m","type":"overloaded_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"overloaded_error","message":"m"}}`},
	}
	body := []byte(`{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":1}`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, side := range []struct {
				translate dialect.Translator
				want      string
			}{{anthropic.FromChat(options()), tt.chat}, {anthropic.ToChat(options()), tt.messages}} {
				call, err := side.translate(dialect.Request{Model: "m", Body: body})
				if err != nil {
					t.Fatal(err)
				}
				if got := string(call.Reply.Error(tt.status, http.Header{}, []byte(tt.in))); got != side.want {
					t.Errorf("got %s\nwant %s", got, side.want)
				}
			}
		})
	}
}

func TestAppendModel(t *testing.T) {
	got := string(anthropic.AppendModel(anthropic.AppendModel(nil, anthropic.ModelInfo{ID: "a"}), anthropic.ModelInfo{ID: "b", DisplayName: "B", Created: time.Unix(1700000000, 0)}))
	want := `{"type":"model","id":"a","display_name":"a","created_at":"1970-01-01T00:00:00Z"}{"type":"model","id":"b","display_name":"B","created_at":"2023-11-14T22:13:20Z"}`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestPing(t *testing.T) {
	if got, want := string(sse.Append(nil, anthropic.Ping())), "event: ping\ndata: {\"type\":\"ping\"}\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestModelByName(t *testing.T) {
	type facts struct {
		Max                                      int
		Thinking, Adaptive, Sampling, Structured bool
	}
	for name, want := range map[string]facts{
		"claude-3-haiku-20240307":         {4096, false, false, true, false},
		"claude-3-5-haiku-latest":         {8192, false, false, true, false},
		"claude-3-7-sonnet-20250219":      {64000, true, false, true, false},
		"claude-opus-4-20250514":          {32000, true, false, true, false},
		"claude-opus-4@20250514":          {32000, true, false, true, false},
		"claude-opus-4-1-20250805":        {32000, true, false, true, false},
		"claude-sonnet-4-5":               {64000, true, false, true, true},
		"anthropic/claude-opus-4.5":       {64000, true, false, true, true},
		"claude-haiku-4-5-20251001":       {64000, true, false, true, true},
		"us.anthropic.claude-opus-4-6-v1": {128000, true, true, true, true},
		"claude-sonnet-4-6":               {64000, true, true, true, true},
		"claude-opus-4-8":                 {128000, true, true, false, true},
		"claude-sonnet-5-5":               {64000, true, true, false, true},
		"claude-mythos-preview":           {128000, true, true, false, true},
		"gpt-4o-mini":                     {16384, false, false, true, false},
		"gpt-5":                           {128000, true, false, false, false},
		"openai/o3-mini":                  {100000, true, false, false, false},
		"llama-3.3-70b":                   {0, false, false, true, false},
	} {
		m := anthropic.ModelByName(name)
		if diff := cmp.Diff(want, facts{m.MaxOutput, m.Thinking, m.Adaptive, m.Sampling, m.Structured}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOptionsCorrectNames: facts from the options override what a model's name
// implies.
func TestOptionsCorrectNames(t *testing.T) {
	o := options()
	o.Models = func(provider, model string, m anthropic.Model) anthropic.Model {
		if provider != "p" || model != "m" {
			t.Errorf("asked for %q, %q", provider, model)
		}
		m.MaxOutput = 77
		return m
	}
	o.Takes = func(string) openai.Facts { return openai.Facts{openai.MaxCompletionTokens} }
	call, err := anthropic.FromChat(o)(dialect.Request{Model: "m", Provider: "p", Body: []byte(`{"messages":[{"role":"user","content":"x"}]}`)})
	if err != nil || !bytes.Contains(call.Body, []byte(`"max_tokens":77,`)) {
		t.Errorf("FromChat: %v, %s", err, call.Body)
	}
	call, err = anthropic.ToChat(o)(dialect.Request{Model: "m", Provider: "p", Body: []byte(`{"max_tokens":100,"messages":[{"role":"user","content":"x"}]}`)})
	if err != nil || !bytes.Contains(call.Body, []byte(`"max_completion_tokens":77`)) {
		t.Errorf("ToChat: %v, %s", err, call.Body)
	}
}

func TestBetasAreJoined(t *testing.T) {
	call, err := anthropic.FromChat(options())(dialect.Request{
		Model: "claude-sonnet-4-5", Header: http.Header{"Anthropic-Beta": {"a-1", "b-2"}},
		Body: []byte(`{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a-1,b-2,files-api-2025-04-14"}, call.Header["Anthropic-Beta"]); diff != "" {
		t.Error(diff)
	}
	if got := call.Header.Get("Anthropic-Version"); got != "2023-06-01" {
		t.Errorf("anthropic-version %q", got)
	}
}

// TestUnreadableReplies: a response that cannot be read is an error, not an empty
// response.
func TestUnreadableReplies(t *testing.T) {
	body := []byte(`{"messages":[{"role":"user","content":"x"}],"max_tokens":1}`)
	for name, translate := range map[string]dialect.Translator{"from": anthropic.FromChat(options()), "to": anthropic.ToChat(options())} {
		call, err := translate(dialect.Request{Model: "m", Body: body})
		if err != nil {
			t.Fatal(err)
		}
		for _, reply := range []string{"", "<html>", "{}", "[]", `{"choices":[]}`, `{"error":{"message":"x"}}`} {
			if out, err := call.Reply.Body([]byte(reply)); err == nil {
				t.Errorf("%s: %q became %s", name, reply, out)
			}
		}
	}
}

func TestBadRequests(t *testing.T) {
	for _, body := range []string{"", "null", "[]", "{", `{"messages":1}`, `{"messages":[{"role":"x","content":"y"}]}`, `{"messages":[{"role":"user","content":7}]}`, `{"messages":[],"max_tokens":-1}`} {
		for name, translate := range map[string]dialect.Translator{"from": anthropic.FromChat(options()), "to": anthropic.ToChat(options())} {
			if call, err := translate(dialect.Request{Model: "m", Body: []byte(body)}); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %s: %v, %+v", name, body, err, call)
			}
		}
	}
}

func TestEstimateTokens(t *testing.T) {
	estimate := func(body string) int {
		t.Helper()
		n, err := anthropic.EstimateTokens([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 100) // 1000 words
	if n := estimate(`{"messages":[{"role":"user","content":"` + text + `"}]}`); n < 900 || n > 1500 {
		t.Errorf("1000 words are %d tokens", n)
	}
	asBlocks := estimate(`{"system":[{"type":"text","text":"` + text + `"}],"messages":[]}`)
	if asString := estimate(`{"system":"` + text + `","messages":[]}`); asBlocks != asString {
		t.Errorf("system as blocks is %d tokens, as a string %d", asBlocks, asString)
	}
	image := estimate(`{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + strings.Repeat("A", 400000) + `"}}]}]}`)
	if image < 1000 || image > 3000 {
		t.Errorf("an image is %d tokens", image)
	}
	if n := estimate(`{"messages":[],"tools":[{"name":"a","input_schema":{"type":"object"}}]}`); n < 300 || n > 500 {
		t.Errorf("a tool is %d tokens", n)
	}
	for _, bad := range []string{"", "[]", "{}", `{"messages":{}}`} {
		if _, err := anthropic.EstimateTokens([]byte(bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestStreamAllocations limits the allocations for one event of text, in both
// directions.
func TestStreamAllocations(t *testing.T) {
	from, _ := anthropic.FromChat(options())(dialect.Request{Model: "claude-sonnet-4-5", Body: []byte(`{"stream":true,"messages":[{"role":"user","content":"x"}]}`)})
	to, _ := anthropic.ToChat(options())(dialect.Request{Model: "gpt-4o", Body: []byte(`{"stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)})
	for _, tt := range []struct {
		name         string
		stream       dialect.Stream
		first, event string
	}{
		{"from", from.Reply.Stream(), `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello there"}}`},
		{"to", to.Reply.Stream(), `{"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"a"}}]}`, `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hello there"},"finish_reason":null}]}`},
	} {
		emit := func(sse.Event) {}
		if err := tt.stream.Event(sse.Event{Data: []byte(tt.first)}, emit); err != nil {
			t.Fatal(err)
		}
		event := sse.Event{Data: []byte(tt.event)}
		if n := testing.AllocsPerRun(100, func() { tt.stream.Event(event, emit) }); n > 25 {
			t.Errorf("%s: %v allocations an event", tt.name, n)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	from, _ := anthropic.FromChat(options())(dialect.Request{Model: "claude-sonnet-4-5", Body: []byte(`{"stream":true,"messages":[{"role":"user","content":"x"}]}`)})
	to, _ := anthropic.ToChat(options())(dialect.Request{Model: "gpt-4o", Body: []byte(`{"stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}`)})
	for _, tt := range []struct {
		name         string
		stream       dialect.Stream
		first, event string
	}{
		{"fromchat", from.Reply.Stream(), `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello there"}}`},
		{"tochat", to.Reply.Stream(), `{"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"a"}}]}`, `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"Hello there"},"finish_reason":null}]}`},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			emit := func(sse.Event) {}
			tt.stream.Event(sse.Event{Data: []byte(tt.first)}, emit)
			event := sse.Event{Data: []byte(tt.event)}
			for b.Loop() {
				tt.stream.Event(event, emit)
			}
		})
	}
}

// TestToolIDs: an id that the upstream gave in chat completions comes back to it
// unchanged.
func TestToolIDs(t *testing.T) {
	for _, id := range []string{"toolu_01", "call.1:a b/ü", "hlx_", "hlx_call", "a__thought__b", strings.Repeat("x.", 50)} {
		to, err := anthropic.ToChat(options())(dialect.Request{Model: "m", Body: []byte(`{"max_tokens":1,"messages":[{"role":"user","content":"x"}]}`)})
		if err != nil {
			t.Fatal(err)
		}
		quoted, _ := json.Marshal(id)
		body, err := to.Reply.Body([]byte(`{"choices":[{"message":{"tool_calls":[{"id":` + string(quoted) + `,"type":"function","function":{"name":"f","arguments":"{}"}}]}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		var message struct{ Content []struct{ ID string } }
		json.Unmarshal(body, &message)
		given := message.Content[0].ID
		if strings.Trim(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			t.Errorf("%q was given as %q", id, given)
		}
		again, err := anthropic.ToChat(options())(dialect.Request{Model: "m", Body: []byte(`{"max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"` + given + `","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + given + `","content":"y"}]}]}`)})
		if err != nil {
			t.Fatal(err)
		}
		var chat struct {
			Messages []struct {
				ToolCallID string                `json:"tool_call_id"`
				ToolCalls  []struct{ ID string } `json:"tool_calls"`
			}
		}
		json.Unmarshal(again.Body, &chat)
		want, _, _ := strings.Cut(id, "__thought__")
		if chat.Messages[1].ToolCalls[0].ID != want || chat.Messages[2].ToolCallID != want {
			t.Errorf("%q came back as %q and %q", id, chat.Messages[1].ToolCalls[0].ID, chat.Messages[2].ToolCallID)
		}
	}
}
