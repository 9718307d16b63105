// Package sdk runs OpenAI's Go SDK through Hostless: only base URL and key are
// set. It is a module of its own, so that the main one stays free of it;
// test/sdkgo runs it.
package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// all are models of each provider's dialect.
var all = []string{"gpt-4o-mini", "openai/gpt-4o-mini", "mine/any-model", "claude-sonnet-4-5", "anthropic/claude-haiku-4-5", "gemini-2.5-flash", "google/gemini-3-pro"}

func client(t *testing.T, key string) openai.Client {
	t.Helper()
	base := os.Getenv("HOSTLESS_API")
	if base == "" {
		t.Fatal("HOSTLESS_API is not set: go test ./test/sdkgo runs this")
	}
	return openai.NewClient(option.WithBaseURL(base), option.WithAPIKey(os.Getenv(key)), option.WithMaxRetries(0), option.WithRequestTimeout(30*time.Second))
}

func messages(texts ...string) []openai.ChatCompletionMessageParamUnion {
	var out []openai.ChatCompletionMessageParamUnion
	for _, text := range texts {
		out = append(out, openai.UserMessage(text))
	}
	return out
}

var weather = openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
	Name: "weather",
	Parameters: openai.FunctionParameters{
		"type": "object", "properties": map[string]any{"city": map[string]string{"type": "string"}}, "required": []string{"city"},
	},
})

func TestChat(t *testing.T) {
	c := client(t, "HOSTLESS_TOKEN")
	for _, model := range all {
		t.Run(model, func(t *testing.T) {
			got, err := c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: model, Messages: messages("hi <you> é😀")})
			if err != nil {
				t.Fatal(err)
			}
			if text := got.Choices[0].Message.Content; text != "You said: hi <you> é😀" || got.Choices[0].FinishReason != "stop" || got.Usage.TotalTokens == 0 {
				t.Errorf("got %q, %s, %d tokens", text, got.Choices[0].FinishReason, got.Usage.TotalTokens)
			}
		})
	}
}

func TestChatStream(t *testing.T) {
	c := client(t, "HOSTLESS_TOKEN")
	for _, model := range append([]string{"echo/text"}, all...) {
		t.Run(model, func(t *testing.T) {
			stream := c.Chat.Completions.NewStreaming(t.Context(), openai.ChatCompletionNewParams{
				Model: model, Messages: messages("hi"), StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
			})
			var acc openai.ChatCompletionAccumulator
			for stream.Next() {
				acc.AddChunk(stream.Current())
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			if got := acc.Choices[0].Message.Content; !strings.Contains(got, "hi") || acc.Choices[0].FinishReason != "stop" || acc.Usage.TotalTokens == 0 {
				t.Errorf("got %q, %s, %d tokens", got, acc.Choices[0].FinishReason, acc.Usage.TotalTokens)
			}
		})
	}
}

func TestTools(t *testing.T) {
	c := client(t, "HOSTLESS_TOKEN")
	for _, model := range all {
		t.Run(model, func(t *testing.T) {
			params := openai.ChatCompletionNewParams{Model: model, Messages: messages("weather?"), Tools: []openai.ChatCompletionToolUnionParam{weather}}
			first, err := c.Chat.Completions.New(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			calls := first.Choices[0].Message.ToolCalls
			var args struct{ City string }
			if len(calls) != 1 || calls[0].Function.Name != "weather" || json.Unmarshal([]byte(calls[0].Function.Arguments), &args) != nil || args.City != "Paris" {
				t.Fatalf("got %+v", calls)
			}
			params.Messages = append(params.Messages, first.Choices[0].Message.ToParam(), openai.ToolMessage("sunny", calls[0].ID))
			second, err := c.Chat.Completions.New(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			if got := second.Choices[0].Message.Content; !strings.HasPrefix(got, "Tool said: ") || !strings.Contains(got, "sunny") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestResponses(t *testing.T) {
	c := client(t, "HOSTLESS_TOKEN")
	for _, model := range all {
		t.Run(model, func(t *testing.T) {
			params := responses.ResponseNewParams{Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hi")}}
			got, err := c.Responses.New(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != "completed" || got.OutputText() != "You said: hi" {
				t.Errorf("got %s %q", got.Status, got.OutputText())
			}
			text, last := "", ""
			stream := c.Responses.NewStreaming(t.Context(), params)
			for stream.Next() {
				ev := stream.Current()
				last = ev.Type
				if ev.Type == "response.output_text.delta" {
					text += ev.Delta
				}
			}
			if err := stream.Err(); err != nil || text != "You said: hi" || last != "response.completed" {
				t.Errorf("got %q, %s, %v", text, last, err)
			}
		})
	}
}

func TestModels(t *testing.T) {
	c := client(t, "HOSTLESS_TOKEN")
	var ids []string
	page := c.Models.ListAutoPaging(t.Context())
	for page.Next() {
		ids = append(ids, page.Current().ID)
	}
	if err := page.Err(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "mine/gpt-4o-mini", "echo/text"} {
		if !slices.Contains(ids, want) {
			t.Errorf("%s is missing in %v", want, ids)
		}
	}
	m, err := c.Models.Get(t.Context(), "gpt-4o-mini")
	if err != nil || m.ID != "gpt-4o-mini" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		key, model, kind, text string
		status                 int
	}{
		{"HOSTLESS_TOKEN", "err-429", "standin_error", "asked to fail", 429},
		{"HOSTLESS_TOKEN", "err-500", "standin_error", "asked to fail", 500},
		{"HOSTLESS_TOKEN", "groq/none", "configuration_error", "hostless keys add groq", 400},
		{"HOSTLESS_TOKEN", "claude-overloaded", "", "Overloaded", 529},
		{"HOSTLESS_TOKEN", "gemini-exhausted", "", "Quota exceeded", 429},
		{"HOSTLESS_SCOPED", "gpt-4o-mini", "scope_error", "may not use", 403},
		{"HOSTLESS_WRONG", "gpt-4o-mini", "authentication_error", "Invalid or unknown bridge token", 401},
	} {
		t.Run(tt.key+"/"+tt.model, func(t *testing.T) {
			c := client(t, tt.key)
			_, err := c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: tt.model, Messages: messages("x")})
			var e *openai.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.StatusCode != tt.status || tt.kind != "" && e.Type != tt.kind || !strings.Contains(e.Message, tt.text) {
				t.Errorf("got %d %q %q", e.StatusCode, e.Type, e.Message)
			}
		})
	}
	c := client(t, "HOSTLESS_TOKEN")
	_, err := c.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{Model: "claude-sonnet-4-5", Messages: messages("x"), N: openai.Int(2)})
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != 400 || e.Param != "n" {
		t.Errorf("n: 2 on Claude gave %v", err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := client(t, "HOSTLESS_TOKEN")
	stream := c.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{Model: "echo/slow", Messages: messages("one two three four")})
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	cancel()
	for stream.Next() {
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestOtherSurfaces(t *testing.T) {
	c := client(t, "HOSTLESS_TOKEN")
	embedded, err := c.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "text-embedding-3-small", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("x")}})
	if err != nil || len(embedded.Data[0].Embedding) != 2 {
		t.Errorf("embeddings: %v, %v", embedded, err)
	}
	speech, err := c.Audio.Speech.New(t.Context(), openai.AudioSpeechNewParams{Model: "gpt-4o-mini-tts", Voice: openai.AudioSpeechNewParamsVoiceUnion{OfString: openai.String("alloy")}, Input: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer speech.Body.Close()
	if sound, err := io.ReadAll(speech.Body); err != nil || len(sound) != 1200 {
		t.Errorf("speech: %d bytes, %v", len(sound), err)
	}
	file, err := c.Files.New(t.Context(), openai.FileNewParams{File: bytes.NewReader(make([]byte, 70000)), Purpose: openai.FilePurposeAssistants})
	if err != nil || file.Bytes != 70000 {
		t.Errorf("files: %+v, %v", file, err)
	}
	text, err := c.Audio.Transcriptions.New(t.Context(), openai.AudioTranscriptionNewParams{Model: "whisper-1", File: bytes.NewReader(make([]byte, 70000))})
	if err != nil || !strings.Contains(text.RawJSON(), "70000 bytes for whisper-1") {
		t.Errorf("transcriptions: %v, %v", text, err)
	}
}
