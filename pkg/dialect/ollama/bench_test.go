package ollama_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/ollama"
)

// BenchmarkRequest translates a turn of an agent. The yardstick is one
// json.Unmarshal of the same body into typed structs.
func BenchmarkRequest(b *testing.B) {
	code := strings.Repeat("\tif err := s.check(\"read\", name); err != nil {\n\t\treturn nil, fmt.Errorf(\"get %q: %w\", name, err) // größer\n\t}\n", 40)
	for _, size := range []int{16 << 10, 256 << 10, 1 << 20} {
		var messages []any
		for i := 0; i*len(code) < size*9/10; i++ {
			messages = append(messages,
				map[string]any{"role": "assistant", "content": "", "tool_calls": []any{map[string]any{"function": map[string]any{"name": "read", "arguments": map[string]any{"path": fmt.Sprintf("/src/%d.go", i)}}}}},
				map[string]any{"role": "tool", "tool_name": "read", "content": code})
		}
		body, err := json.Marshal(map[string]any{"model": "m", "messages": messages, "options": map[string]any{"temperature": 0.5}})
		if err != nil {
			b.Fatal(err)
		}
		translate := ollama.ToChat(ollama.Options{})
		b.Run(fmt.Sprintf("ollama-chat/%dK", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := translate(dialect.Request{Model: "m", Body: body}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("ollama-chat/%dK/yardstick", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				var v struct {
					Messages []struct {
						Role      string `json:"role"`
						Content   string `json:"content"`
						ToolCalls []struct {
							Function struct {
								Name      string          `json:"name"`
								Arguments json.RawMessage `json:"arguments"`
							} `json:"function"`
						} `json:"tool_calls"`
					} `json:"messages"`
				}
				if err := json.Unmarshal(body, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
