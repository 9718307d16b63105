package usage_test

import (
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway/usage"
)

// TestParse checks the counts of each provider, as its API reference shows them.
func TestParse(t *testing.T) {
	tests := []struct {
		name, data string
		want       usage.Tokens
		tier       string
	}{
		{"chat completion", `{"service_tier":"default","usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":10},"completion_tokens_details":{"reasoning_tokens":100,"audio_tokens":7}}}`,
			usage.Tokens{Input: 2006, Cached: 1920, AudioInput: 10, Output: 300, Reasoning: 100, AudioOutput: 7}, "default"},
		{"responses event", `{"type":"response.completed","response":{"service_tier":"flex","usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":30},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}}}`,
			usage.Tokens{Input: 36, Cached: 30, Output: 87, Reasoning: 64}, "flex"},
		{"messages", `{"type":"message","usage":{"input_tokens":50,"cache_read_input_tokens":1000,"cache_creation_input_tokens":248,"cache_creation":{"ephemeral_5m_input_tokens":148,"ephemeral_1h_input_tokens":100},"output_tokens":503,"service_tier":"priority"}}`,
			usage.Tokens{Input: 1298, Cached: 1000, CacheWrite: 248, CacheWrite1h: 100, Output: 503}, "priority"},
		{"message_start", `{"type":"message_start","message":{"id":"m","usage":{"input_tokens":25,"cache_read_input_tokens":0,"output_tokens":1}}}`,
			usage.Tokens{Input: 25, Output: 1}, ""},
		{"gemini", `{"candidates":[],"usageMetadata":{"promptTokenCount":100,"toolUsePromptTokenCount":20,"cachedContentTokenCount":60,"candidatesTokenCount":30,"thoughtsTokenCount":12,"promptTokensDetails":[{"modality":"TEXT","tokenCount":58},{"modality":"AUDIO","tokenCount":42}]}}`,
			usage.Tokens{Input: 120, Cached: 60, AudioInput: 42, Output: 42, Reasoning: 12}, ""},
		{"gemini array, cut off", `[{"usageMetadata":{"promptTokenCount":1}},{"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"x":{"y":1}}},{"can`,
			usage.Tokens{Input: 5, Output: 2}, ""},
		{"xAI leaves reasoning out of completion_tokens", `{"usage":{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}}`,
			usage.Tokens{Input: 32, Output: 103, Reasoning: 94}, ""},
		{"DeepSeek", `{"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_cache_hit_tokens":6,"prompt_tokens_details":{"cached_tokens":6}}}`,
			usage.Tokens{Input: 10, Cached: 6, Output: 2}, ""},
		{"a chat gateway that repeats Anthropic's counts", `{"usage":{"prompt_tokens":100,"completion_tokens":5,"cache_read_input_tokens":60,"cache_creation_input_tokens":20,"prompt_tokens_details":{"cached_tokens":60}}}`,
			usage.Tokens{Input: 100, Cached: 60, CacheWrite: 20, Output: 5}, ""},
		{"realtime", `{"type":"response.done","response":{"usage":{"input_tokens":127,"output_tokens":148,"input_token_details":{"cached_tokens":64,"audio_tokens":8},"output_token_details":{"audio_tokens":112}}}}`,
			usage.Tokens{Input: 127, Cached: 64, AudioInput: 8, Output: 148, AudioOutput: 112}, ""},
		{"messages with web searches", `{"type":"message","usage":{"input_tokens":105,"output_tokens":6039,"cache_read_input_tokens":7123,"cache_creation_input_tokens":7345,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":1}}}`,
			usage.Tokens{Input: 14573, Cached: 7123, CacheWrite: 7345, Output: 6039, WebSearches: 2}, ""},
		{"a response with web searches", `{"type":"response.completed","response":{"id":"resp_1","output":[{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"a \"web_search_call\""}},{"type":"web_search_call","id":"ws_2","action":{"type":"open_page","url":"https://x"}},{"type":"web_search_call","id":"ws_3","status":"completed"},{"type":"message","content":[{"type":"output_text","text":"\"web_search_call\""}]}],"usage":{"input_tokens":328,"output_tokens":356}}}`,
			usage.Tokens{Input: 328, Output: 356, WebSearches: 2}, ""},
		{"nonsense stays consistent", `{"usage":{"prompt_tokens":-5,"completion_tokens":1.0,"prompt_tokens_details":{"cached_tokens":7},"completion_tokens_details":null}}`,
			usage.Tokens{Input: 7, Cached: 7, Output: 1}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := usage.Parse([]byte(tt.data))
			if !ok || got.Tokens != tt.want || got.Tier != tt.tier {
				t.Errorf("Parse(%s)\n got %+v, %v\nwant %+v, tier %q", tt.data, got, ok, tt.want, tt.tier)
			}
		})
	}
}

func TestParseNothing(t *testing.T) {
	for _, data := range []string{
		``, `{}`, `{"usage":null,"choices":[]}`, `{"usage":3}`, `not "usage" at all`, `[]`, `["usage"]`, `[{"usageMetadata":{"promptTokenCount":1`,
		`{"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":1}"}}]}`, `{"response":{"response":{"usage":{"input_tokens":1}}}}`,
	} {
		if got, ok := usage.Parse([]byte(data)); ok {
			t.Errorf("Parse(%s) = %+v", data, got)
		}
	}
}

// TestMerge merges the events of one stream.
func TestMerge(t *testing.T) {
	var r usage.Report
	for _, data := range []string{
		`{"message":{"usage":{"input_tokens":25,"cache_read_input_tokens":100,"output_tokens":1,"service_tier":"standard"}}}`,
		`{"usage":{"output_tokens":15}}`,
	} {
		part, ok := usage.Parse([]byte(data))
		if !ok {
			t.Fatal(data)
		}
		r.Merge(part)
	}
	if want := (usage.Report{Tokens: usage.Tokens{Input: 125, Cached: 100, Output: 15}, Tier: "standard"}); r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	sum := r.Tokens
	sum.Add(r.Tokens)
	if sum.Input != 250 || sum.IsZero() || !(usage.Tokens{}).IsZero() {
		t.Errorf("sum %+v", sum)
	}
}

func BenchmarkParse(b *testing.B) {
	data := []byte(`{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := usage.Parse(data); !ok {
			b.Fatal("no usage")
		}
	}
}

// TestEstimate counts text by bytes, an image as a fixed number, and output by events.
func TestEstimate(t *testing.T) {
	image := `"` + strings.Repeat("A", 200_000) + `"`
	for _, c := range []struct {
		body       string
		events     int64
		in, output int64
	}{
		{"", 3, 0, 3},
		{strings.Repeat("word ", 28), 0, 40, 0}, // 140 bytes
		{image, 0, 1601, 0},
	} {
		if got := usage.Estimate([]byte(c.body), c.events).Tokens; got.Input != c.in || got.Output != c.output {
			t.Errorf("%.20q, %d events: %+v", c.body, c.events, got)
		}
	}
}
