package respond

import (
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
)

var eventDialects = []dialect.Name{dialect.OpenAI, dialect.Anthropic, dialect.Responses, dialect.Gemini, ""}

// FuzzUneventful checks that an event which the quick search skips has nothing when it is
// parsed.
func FuzzUneventful(f *testing.F) {
	for _, data := range []string{
		`[DONE]`, `{}`, `{`, `null`,
		`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null}`,
		`{"choices":[{"delta":{"content":"\"usage\":{"},"finish_reason":null}],"usage":null}`,
		`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}`,
		`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}`,
		`{"usage":null,"choices":[],"usage" : {"prompt_tokens":1}}`,
		`{"choices":[{"delta":{"content":"x"}}],"usage": null}`,
		`{"error":{"message":"x"}}`, `{"choices":[],"error" : "x"}`,
		`{"type":"message_stop"}`, `{"type":"message_start","message":{"usage":{"input_tokens":3}}}`,
		`{"type":"message_delta","delta":{},"usage":{"output_tokens":3}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}`,
		`{"type":"response.output_text.delta","delta":"x"}`, `{"type":"response.completed","response":{"usage":{"input_tokens":1}}}`,
		`{"type":"response.failed","response":{"error":{"message":"x"}}}`, `{"type": "response.incomplete"}`, `{"type":"response.cancelled"}`,
		`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range eventDialects {
			if !uneventful(d, data) || doubled(data) {
				continue
			}
			if e := parseEvent(d, data); e != (event{}) {
				t.Errorf("%q as %q was passed over, but says %+v", data, d, e)
			}
		}
	})
}

// doubled reports input that no provider sends and the search does not handle: a duplicate
// type, or member names with escapes.
func doubled(data []byte) bool {
	escaped, types := false, 0
	for i, c := range data {
		escaped = escaped || c == '\\' && i+1 < len(data) && data[i+1] == 'u'
		if c == '"' && i+6 <= len(data) && string(data[i:i+6]) == `"type"` {
			types++
		}
	}
	return escaped || types > 1
}
