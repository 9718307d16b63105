package gemini_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/sse"
)

// code is what tool results of coding agents typically contain.
var code = strings.Repeat("func (s *Store) Get(ctx context.Context, name string) (*Entry, error) {\n\tif err := s.check(\"read\", name); err != nil {\n\t\treturn nil, fmt.Errorf(\"get %q: %w\", name, err) // größer\n\t}\n}\n", 20)

// schemas returns the tools of an agent.
func schemas(wrap func(name, description string, schema map[string]any) any) (list []any) {
	for i := range 16 {
		list = append(list, wrap(fmt.Sprintf("tool_%d", i), strings.Repeat("Reads a file of the project and returns it with line numbers. ", 8), map[string]any{
			"type": "object", "additionalProperties": false, "required": []string{"file_path"},
			"properties": map[string]any{
				"file_path": map[string]any{"type": "string", "description": "The absolute path of the file"},
				"limit":     map[string]any{"type": []string{"integer", "null"}, "minimum": 0},
				"edits":     map[string]any{"type": "array", "items": map[string]any{"anyOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "object", "properties": map[string]any{"old": map[string]any{"type": "string"}}}}}},
			},
		}))
	}
	return list
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// chatTurn returns a chat request of an agent, of about size bytes.
func chatTurn(size int) []byte {
	messages := []any{
		map[string]any{"role": "system", "content": strings.Repeat("You are an agent that edits code. ", 60)},
		map[string]any{"role": "user", "content": "Mend the store."},
	}
	for i := 0; i*len(code) < size*8/10; i++ {
		id := fmt.Sprintf("call_%d", i)
		messages = append(messages,
			map[string]any{"role": "assistant", "content": "I look at the next file.", "tool_calls": []any{map[string]any{"id": id, "type": "function", "function": map[string]any{"name": "tool_1", "arguments": fmt.Sprintf(`{"file_path":"/src/store_%d.go","limit":200}`, i)}}}},
			map[string]any{"role": "tool", "tool_call_id": id, "content": code})
	}
	return encode(map[string]any{"model": "gemini-3-pro", "stream": true, "max_tokens": 8000, "messages": messages, "tools": schemas(func(name, description string, schema map[string]any) any {
		return map[string]any{"type": "function", "function": map[string]any{"name": name, "description": description, "parameters": schema}}
	})})
}

// nativeTurn returns the same request in Gemini's dialect.
func nativeTurn(size int) []byte {
	contents := []any{map[string]any{"role": "user", "parts": []any{map[string]any{"text": "Mend the store."}}}}
	for i := 0; i*len(code) < size*8/10; i++ {
		contents = append(contents,
			map[string]any{"role": "model", "parts": []any{map[string]any{"text": "I look at the next file."}, map[string]any{"functionCall": map[string]any{"name": "tool_1", "args": map[string]any{"file_path": fmt.Sprintf("/src/store_%d.go", i), "limit": 200}}, "thoughtSignature": "c2lnbmF0dXJl"}}},
			map[string]any{"role": "user", "parts": []any{map[string]any{"functionResponse": map[string]any{"name": "tool_1", "response": map[string]any{"output": code}}}}})
	}
	return encode(map[string]any{"contents": contents, "systemInstruction": map[string]any{"parts": []any{map[string]any{"text": strings.Repeat("You are an agent that edits code. ", 60)}}},
		"generationConfig": map[string]any{"maxOutputTokens": 8000}, "tools": []any{map[string]any{"functionDeclarations": schemas(func(name, description string, schema map[string]any) any {
			return map[string]any{"name": name, "description": description, "parametersJsonSchema": schema}
		})}}})
}

// messagesTurn returns the same request in Anthropic's dialect.
func messagesTurn(size int) []byte {
	messages := []any{map[string]any{"role": "user", "content": "Mend the store."}}
	for i := 0; i*len(code) < size*8/10; i++ {
		id := fmt.Sprintf("toolu_%d", i)
		messages = append(messages,
			map[string]any{"role": "assistant", "content": []any{map[string]any{"type": "text", "text": "I look at the next file."}, map[string]any{"type": "tool_use", "id": id, "name": "tool_1", "input": map[string]any{"file_path": fmt.Sprintf("/src/store_%d.go", i), "limit": 200}}}},
			map[string]any{"role": "user", "content": []any{map[string]any{"type": "tool_result", "tool_use_id": id, "content": []any{map[string]any{"type": "text", "text": code}}}}})
	}
	return encode(map[string]any{"model": "gemini-3-pro", "stream": true, "max_tokens": 8000, "messages": messages,
		"system": []any{map[string]any{"type": "text", "text": strings.Repeat("You are an agent that edits code. ", 60), "cache_control": map[string]any{"type": "ephemeral"}}},
		"tools": schemas(func(name, description string, schema map[string]any) any {
			return map[string]any{"name": name, "description": description, "input_schema": schema}
		})})
}

type yardstickMessages struct {
	System   []struct{ Type, Text string } `json:"system"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Tools []struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Schema      json.RawMessage `json:"input_schema"`
	} `json:"tools"`
}

type yardstickChat struct {
	Model    string `json:"model"`
	Messages []struct {
		Role      string `json:"role"`
		Content   string `json:"content"`
		ToolID    string `json:"tool_call_id"`
		ToolCalls []struct {
			ID       string `json:"id"`
			Function struct {
				Name      string `json:"name"`
				Arguments string `json:"arguments"`
			} `json:"function"`
		} `json:"tool_calls"`
	} `json:"messages"`
	Tools []struct {
		Function struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
		} `json:"function"`
	} `json:"tools"`
}

type yardstickNative struct {
	Contents []struct {
		Role  string `json:"role"`
		Parts []struct {
			Text         string `json:"text"`
			FunctionCall struct {
				Name string          `json:"name"`
				Args json.RawMessage `json:"args"`
			} `json:"functionCall"`
			FunctionResponse struct {
				Name     string `json:"name"`
				Response struct {
					Output string `json:"output"`
				} `json:"response"`
			} `json:"functionResponse"`
		} `json:"parts"`
	} `json:"contents"`
	Tools []json.RawMessage `json:"tools"`
}

// BenchmarkRequest translates a turn of an agent. The yardstick is one
// json.Unmarshal of the same body into typed structs.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{16 << 10, 256 << 10, 1 << 20} {
		for _, tt := range []struct {
			name      string
			body      []byte
			translate dialect.Translator
			yardstick func() any
		}{
			{"chat-gemini", chatTurn(size), gemini.FromChat(gemini.Options{}), func() any { return new(yardstickChat) }},
			{"chat-gemini-plain", chatTurn(size), gemini.FromChat(gemini.Options{PlainSchemas: true}), nil},
			{"messages-gemini", messagesTurn(size), dialect.Chain(anthropic.ToChat(anthropic.Options{}), gemini.FromChat(gemini.Options{})), func() any { return new(yardstickMessages) }},
			{"gemini-messages", nativeTurn(size), dialect.Chain(gemini.ToChat(gemini.Options{}), anthropic.FromChat(anthropic.Options{})), nil},
			{"gemini-chat", nativeTurn(size), gemini.ToChat(gemini.Options{}), func() any { return new(yardstickNative) }},
		} {
			name := fmt.Sprintf("%s/%dK", tt.name, size>>10)
			b.Run(name, func(b *testing.B) {
				b.SetBytes(int64(len(tt.body)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tt.translate(dialect.Request{Model: "gemini-3-pro", Provider: "google", Stream: true, Body: tt.body}); err != nil {
						b.Fatal(err)
					}
				}
			})
			if tt.yardstick == nil {
				continue
			}
			b.Run(name+"/yardstick", func(b *testing.B) {
				b.SetBytes(int64(len(tt.body)))
				for b.Loop() {
					if err := json.Unmarshal(tt.body, tt.yardstick()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkStream translates one event of a stream, in each direction.
func BenchmarkStream(b *testing.B) {
	for _, tt := range []struct {
		name      string
		translate dialect.Translator
		body, ev  string
	}{
		{"gemini-chat", gemini.FromChat(gemini.Options{}), `{"stream":true,"messages":[{"role":"user","content":"x"}]}`,
			`{"candidates":[{"content":{"parts":[{"text":" a few words of an answer"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"totalTokenCount":13},"modelVersion":"gemini-3-pro","responseId":"r1"}`},
		{"chat-gemini", gemini.ToChat(gemini.Options{}), `{"contents":[{"role":"user","parts":[{"text":"x"}]}]}`,
			`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000001,"model":"m-1","choices":[{"index":0,"delta":{"content":" a few words of an answer"},"finish_reason":null}]}`},
	} {
		b.Run(tt.name, func(b *testing.B) {
			call, err := tt.translate(dialect.Request{Model: "m", Stream: true, Body: []byte(tt.body)})
			if err != nil {
				b.Fatal(err)
			}
			s := call.Reply.Stream()
			ev := sse.Event{Data: []byte(tt.ev)}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Event(ev, func(sse.Event) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
