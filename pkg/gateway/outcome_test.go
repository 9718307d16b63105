package gateway_test

import (
	"net/http"
	"testing"

	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// TestStreamOutcomes checks the recorded outcome of streams, in each dialect, forwarded and
// translated.
func TestStreamOutcomes(t *testing.T) {
	const (
		chatText  = `data: {"id":"1","choices":[{"index":0,"delta":{"content":"po"}}]}` + "\n\n"
		chatEnd   = `data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
		chatError = `data: {"error":{"message":"overloaded","type":"server_error"}}` + "\n\n"

		anthropicText = "event: message_start\n" + `data: {"type":"message_start","message":{"id":"m","model":"claude","usage":{"input_tokens":1}}}` + "\n\n" +
			"event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"
		anthropicEnd = "event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}` + "\n\n" +
			"event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n"
		anthropicError = "event: error\n" + `data: {"type":"error","error":{"type":"overloaded_error","message":"overloaded"}}` + "\n\n"

		geminiText  = `data: {"candidates":[{"index":0,"content":{"parts":[{"text":"po"}]}}]}` + "\n\n"
		geminiEnd   = `data: {"candidates":[{"index":0,"content":{"parts":[]},"finishReason":"STOP"}]}` + "\n\n"
		geminiError = `data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}` + "\n\n"

		responsesText = `data: {"type":"response.created","response":{"id":"r","error":null}}` + "\n\n"
		responsesEnd  = `data: {"type":"response.completed","response":{"id":"r","status":"completed","error":null}}` + "\n\n"
		responsesFail = `data: {"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error"}}}` + "\n\n"
	)
	upstreams := map[string][3]string{
		"mistral":   {chatText, chatEnd, chatError},
		"anthropic": {anthropicText, anthropicEnd, anthropicError},
		"google":    {geminiText, geminiEnd, geminiError},
		"openai":    {responsesText, responsesEnd, responsesFail},
	}
	ends := []struct {
		name string
		tail func(parts [3]string) string
		kind pipeline.ErrorKind
	}{
		{"whole", func(p [3]string) string { return p[1] }, ""},
		{"failed", func(p [3]string) string { return p[2] }, pipeline.ProviderError},
		{"cut", func([3]string) string { return "" }, pipeline.ProviderIncomplete},
	}
	const messages = `"stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`
	for _, call := range []struct{ name, provider, path, body string }{
		{"chat as it is", "mistral", "/v1/chat/completions", `{"model":"mistral/m",` + messages},
		{"chat to messages", "anthropic", "/v1/chat/completions", `{"model":"anthropic/claude-sonnet-4-5",` + messages},
		{"chat to gemini", "google", "/v1/chat/completions", `{"model":"google/gemini-2.5-flash",` + messages},
		{"messages as they are", "anthropic", "/v1/messages", `{"model":"anthropic/claude-sonnet-4-5",` + messages},
		{"messages to chat", "mistral", "/v1/messages", `{"model":"mistral/m",` + messages},
		{"messages to gemini", "google", "/v1/messages", `{"model":"google/gemini-2.5-flash",` + messages},
		{"responses as they are", "openai", "/v1/responses", `{"model":"openai/gpt-4o","stream":true,"input":"hi"}`},
		{"responses to chat", "mistral", "/v1/responses", `{"model":"mistral/m","stream":true,"input":"hi"}`},
		{"responses to messages", "anthropic", "/v1/responses", `{"model":"anthropic/claude-sonnet-4-5","stream":true,"input":"hi"}`},
		{"gemini as it is", "google", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"hi"}]}]}`},
		{"gemini to chat", "mistral", "/v1beta/models/mistral/m:streamGenerateContent?alt=sse", `{"contents":[{"parts":[{"text":"hi"}]}]}`},
		{"ollama to chat", "mistral", "/api/chat", `{"model":"mistral/m","messages":[{"role":"user","content":"hi"}]}`},
		{"ollama to messages", "anthropic", "/api/chat", `{"model":"anthropic/claude-sonnet-4-5","messages":[{"role":"user","content":"hi"}]}`},
	} {
		t.Run(call.name, func(t *testing.T) {
			seen := newRecorder()
			w := newWorld(t, func(c *gateway.Config) { c.Observers = []pipeline.Observer{seen} })
			parts, tail := upstreams[call.provider], ""
			w.upstream(call.provider, func(rw http.ResponseWriter, r *http.Request) { events(rw)(parts[0] + tail) })
			for _, end := range ends {
				tail = end.tail(parts)
				a := w.do("POST", call.path, call.body)
				if _, o := seen.last(t); a.status != 200 || o.Kind != end.kind || !o.Stream || len(o.Attempts) != 1 || o.Attempts[0].Kind != end.kind {
					t.Errorf("%s: status %d, kind %q of %+v, want %q\n%s", end.name, a.status, o.Kind, o.Attempts, end.kind, a.body)
				}
			}
		})
	}
}
