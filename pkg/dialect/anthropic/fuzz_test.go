package anthropic_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

// seed adds the golden cases of a direction to a fuzz corpus.
func seed(f *testing.F, folder string) {
	for _, c := range dialecttest.Cases(f, filepath.Join("testdata", folder, "*.txtar")) {
		f.Add(c.In["request"], c.In["reply"], c.In["events"])
	}
}

// check checks what must be true for any input: no panic, valid JSON as output, bad
// requests refused as such, and the same stream however it is divided into chunks.
// It returns the stream.
func check(t *testing.T, make func() dialect.Translator, model string, request, reply, events []byte) []byte {
	t.Helper()
	req := dialect.Request{Model: model, Provider: "p", Body: request}
	call, err := make()(req)
	if err != nil {
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v is not a bad request", request, err)
		}
		return nil
	}
	if !json.Valid(call.Body) {
		t.Errorf("invalid request %s", call.Body)
	}
	if again, err := make()(req); err != nil || !bytes.Equal(again.Body, call.Body) || !slices.Equal(again.Ignored, call.Ignored) {
		t.Errorf("a second time %v (%v), not %s %v", again, err, call.Body, call.Ignored)
	}
	if body, err := call.Reply.Body(reply); err == nil && !json.Valid(body) {
		t.Errorf("invalid reply %s", body)
	}
	if body := call.Reply.Error(500, nil, reply); !json.Valid(body) {
		t.Errorf("invalid error %s", body)
	}
	var streams []string
	for range 2 {
		call, _ = make()(req)
		r := iotest.OneByteReader(bytes.NewReader(events))
		if streams == nil {
			r = bytes.NewReader(events)
		}
		streams = append(streams, string(dialecttest.Translate(call.Reply.Stream(), r, nil)))
	}
	if diff := cmp.Diff(streams[0], streams[1]); diff != "" {
		t.Errorf("chunked otherwise:\n%s", diff)
	}
	dialecttest.CheckEvents(t, []byte(streams[0]))
	return []byte(streams[0])
}

func each(stream []byte, f func(sse.Event)) {
	r := sse.NewReader(bytes.NewReader(stream), 1<<30)
	for {
		ev, err := r.Next()
		if err != nil {
			return
		}
		f(ev)
	}
}

func FuzzFromChat(f *testing.F) {
	seed(f, "fromchat")
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		stream := check(t, func() dialect.Translator { return anthropic.FromChat(options()) }, "claude-sonnet-4-5", request, reply, events)
		if stream == nil {
			return
		}
		ends, finishes, failures, after := 0, 0, 0, 0
		each(stream, func(ev sse.Event) {
			if ev.Data == nil {
				return
			}
			if ends+failures > 0 {
				after++
			}
			switch {
			case string(ev.Data) == "[DONE]":
				ends++
			case bytes.HasPrefix(ev.Data, []byte(`{"error":`)):
				failures++
			default:
				var c struct {
					Choices []struct {
						Finish *string `json:"finish_reason"`
					}
				}
				json.Unmarshal(ev.Data, &c)
				if len(c.Choices) > 0 && c.Choices[0].Finish != nil {
					finishes++
				}
			}
		})
		if ends+failures != 1 || finishes != ends || after != 0 {
			t.Errorf("%d ends, %d errors, %d finish reasons, %d events after them in %s", ends, failures, finishes, after, stream)
		}
	})
}

func FuzzToChat(f *testing.F) {
	seed(f, "tochat")
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		stream := check(t, func() dialect.Translator { return anthropic.ToChat(options()) }, "gpt-4o", request, reply, events)
		if stream != nil {
			wellFormed(t, stream)
		}
	})
}

func FuzzChain(f *testing.F) {
	seed(f, "chain")
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		chain := func() dialect.Translator {
			return dialect.Chain(anthropic.ToChat(options()), anthropic.FromChat(options()))
		}
		if stream := check(t, chain, "claude-sonnet-4-5", request, reply, events); stream != nil {
			wellFormed(t, stream)
		}
		// A body of the intermediate form that is passed on unwritten equals the
		// written one.
		in := dialect.Request{Model: "claude-sonnet-4-5", Provider: "p", Body: request}
		chat, err := anthropic.ToChat(options())(in)
		if err != nil {
			return
		}
		in.Body = chat.Body
		want, wantErr := anthropic.FromChat(options())(in)
		in.Body = request
		got, gotErr := chain()(in)
		if (wantErr == nil) != (gotErr == nil) || wantErr == nil && !bytes.Equal(want.Body, got.Body) {
			t.Errorf("with a written chat request %v (%v), with an unwritten one %v (%v)", want, wantErr, got, gotErr)
		}
	})
}

// wellFormed checks the grammar of a Messages stream: blocks are numbered from 0,
// at most one is open at a time, and the stream ends with one message_stop or one
// error.
func wellFormed(t *testing.T, stream []byte) {
	t.Helper()
	next, open, started, ended := 0, false, false, 0
	each(stream, func(ev sse.Event) {
		var e struct {
			Type  string
			Index int
		}
		json.Unmarshal(ev.Data, &e)
		bad := ev.Name != e.Type || ended > 0
		switch e.Type {
		case "message_start":
			bad, started = bad || started, true
		case "content_block_start":
			bad, open = bad || open || !started || e.Index != next, true
		case "content_block_delta":
			bad = bad || !open || e.Index != next
		case "content_block_stop":
			bad, open = bad || !open || e.Index != next, false
			next++
		case "message_delta":
			bad = bad || open
		case "message_stop", "error":
			ended++
		}
		if bad {
			t.Errorf("%s (index %d) is out of place in %s", ev.Name, e.Index, stream)
		}
	})
	if ended != 1 {
		t.Errorf("%d ends in %s", ended, stream)
	}
}

// FuzzRoundTrip translates a chat client's request to Messages and back to a chat
// request, and a response likewise: texts and calls stay the same.
func FuzzRoundTrip(f *testing.F) {
	f.Add("sys", "hello", "text", "Bash", "call.1", `{"command":"ls <x>","n":1.50}`, "result")
	f.Add("", "a\u2028b\x00", "", "f", "", `{}`, "")
	f.Fuzz(func(t *testing.T, system, user, reply, name, id, arguments, result string) {
		for _, s := range []*string{&system, &user, &reply, &name, &id, &arguments, &result} {
			*s = strings.ToValidUTF8(*s, "")
		}
		if strings.TrimSpace(user) == "" || id == "" || name == "" || len(name) > 64 || strings.Contains(id, "__thought__") ||
			strings.HasPrefix(system, "x-anthropic-billing-header:") || !json.Valid([]byte(arguments)) || strings.TrimSpace(arguments)[0] != '{' {
			return
		}
		call := map[string]any{"id": id, "type": "function", "function": map[string]any{"name": name, "arguments": arguments}}
		request, _ := json.Marshal(map[string]any{"messages": []any{
			map[string]any{"role": "system", "content": system}, map[string]any{"role": "user", "content": user},
			map[string]any{"role": "assistant", "content": reply, "tool_calls": []any{call}},
			map[string]any{"role": "tool", "tool_call_id": id, "content": result},
		}})
		up, err := anthropic.FromChat(options())(dialect.Request{Model: "m", Body: request})
		if err != nil {
			t.Fatal(err)
		}
		back, err := anthropic.ToChat(options())(dialect.Request{Model: "m", Body: up.Body})
		if err != nil {
			t.Fatalf("%v in %s", err, up.Body)
		}
		var compact bytes.Buffer
		json.Compact(&compact, []byte(arguments))
		blank := func(s string) string {
			if strings.TrimSpace(s) == "" {
				return ""
			}
			return s
		}
		want := []string{blank(system), user, blank(reply), id, name, compact.String(), id, blank(result)}
		var chat struct {
			Messages []struct {
				Role, Content string
				ToolCallID    string `json:"tool_call_id"`
				ToolCalls     []struct {
					ID       string
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
		}
		if err := json.Unmarshal(back.Body, &chat); err != nil {
			t.Fatal(err)
		}
		got := []string{""}
		for _, m := range chat.Messages {
			switch m.Role {
			case "system":
				got[0] = m.Content
			case "user":
				got = append(got, m.Content)
			case "assistant":
				got = append(got, m.Content, m.ToolCalls[0].ID, m.ToolCalls[0].Function.Name, m.ToolCalls[0].Function.Arguments)
			case "tool":
				got = append(got, m.ToolCallID, m.Content)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}

		answer, _ := json.Marshal(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": reply, "tool_calls": []any{call}}, "finish_reason": "tool_calls"}}})
		message, err := back.Reply.Body(answer)
		if err != nil {
			t.Fatal(err)
		}
		final, err := up.Reply.Body(message)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Choices []struct {
				Message struct {
					Content   *string
					ToolCalls []struct {
						Function struct{ Name, Arguments string }
					} `json:"tool_calls"`
				}
				Finish string `json:"finish_reason"`
			}
		}
		json.Unmarshal(final, &c)
		m := c.Choices[0].Message
		if text := m.Content; reply != "" && (text == nil || *text != reply) || c.Choices[0].Finish != "tool_calls" ||
			m.ToolCalls[0].Function.Name != name || m.ToolCalls[0].Function.Arguments != compact.String() {
			t.Errorf("answer %s came back as %s", answer, final)
		}
	})
}
