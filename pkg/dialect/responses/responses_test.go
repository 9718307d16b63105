package responses_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

func options(store responses.Store) responses.Options {
	n := 0
	return responses.Options{
		Store: store,
		Now:   func() time.Time { return time.Unix(1700000000, 0) },
		NewID: func() string { n++; return fmt.Sprint(n) },
	}
}

// TestGolden runs cases of a request and a response or a stream.
func TestGolden(t *testing.T) {
	dialecttest.Golden{
		Glob:   "testdata/*.txtar",
		Parts:  []string{"request", "error", "chat", "ignored", "reply", "response", "events", "stream"},
		Inputs: []string{"request", "reply", "events"},
		Run:    run,
	}.Test(t)
}

func run(t *testing.T, c dialecttest.Case) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	in := c.In
	call, err := responses.ToChat(options(nil))(dialect.Request{Model: "m", Provider: "p", Body: in["request"]})
	if err != nil {
		got["error"] = dialecttest.Refused(t, err)
		return got
	}
	got["chat"] = dialecttest.Indent(t, call.Body)
	if len(call.Ignored) > 0 {
		got["ignored"] = dialecttest.Lines(call.Ignored)
	}
	if reply, ok := in["reply"]; ok {
		body, err := call.Reply.Body(reply)
		if err != nil {
			t.Fatal(err)
		}
		got["response"] = dialecttest.Indent(t, body)
	}
	if events, ok := in["events"]; ok {
		got["stream"] = dialecttest.Translate(call.Reply.Stream(), bytes.NewReader(events), nil)
	}
	return got
}

// TestPreviousResponse: a stored turn precedes the next input, without the
// instructions of the first request.
func TestPreviousResponse(t *testing.T) {
	store := responses.NewMemory(10, 1<<20)
	tr := responses.ToChat(options(store))
	first, err := tr(dialect.Request{Model: "m", Body: []byte(`{"instructions":"be brief","input":"hello"}`)})
	if err != nil {
		t.Fatal(err)
	}
	body, err := first.Reply.Body([]byte(`{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ ID string }
	json.Unmarshal(body, &answer)
	second, err := tr(dialect.Request{Model: "m", Body: []byte(`{"input":"more","previous_response_id":"` + answer.ID + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"model":"m","messages":[{"content":"hello","role":"user"},{"role":"assistant","content":"hi"},{"content":"more","role":"user"}]}`
	if got := string(second.Body); got != want {
		t.Errorf("second request:\n got %s\nwant %s", got, want)
	}
	_, err = tr(dialect.Request{Model: "m", Body: []byte(`{"input":"more","previous_response_id":"resp_unknown"}`)})
	if e := fault.From(err); e == nil || e.Param != "previous_response_id" || e.Kind != fault.Invalid {
		t.Errorf("unknown previous response: %v", err)
	}
}

// TestItemReference: the next request may refer to the items of a response,
// including their thinking even if the client did not get it. This holds with and
// without streaming.
func TestItemReference(t *testing.T) {
	thought := `"reasoning_content":"hm","reasoning_details":[{"type":"thinking","text":"hm","signature":"s"}]`
	call := `"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]`
	for _, stream := range []bool{false, true} {
		tr := responses.ToChat(options(responses.NewMemory(10, 1<<20)))
		first, err := tr(dialect.Request{Model: "m", Body: fmt.Appendf(nil, `{"input":"hello","stream":%t}`, stream)})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Output []struct{ ID, Type string }
		}
		if stream {
			s := first.Reply.Stream()
			emit := func(ev sse.Event) {
				if ev.Name == "response.completed" {
					json.Unmarshal(ev.Data, &struct{ Response any }{&answer})
				}
			}
			for _, delta := range []string{thought, `"content":"hi"`, call} {
				if err := s.Event(sse.Event{Data: []byte(`{"choices":[{"delta":{` + delta + `}}]}`)}, emit); err != nil {
					t.Fatal(err)
				}
			}
			s.Event(sse.Event{Data: []byte(`{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`)}, emit)
			s.End(nil, emit)
		} else {
			body, err := first.Reply.Body([]byte(`{"choices":[{"message":{` + thought + `,"content":"hi",` + call + `},"finish_reason":"tool_calls"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			json.Unmarshal(body, &answer)
		}
		input := `{"role":"user","content":"hello"}`
		for _, it := range answer.Output {
			input += `,{"type":"item_reference","id":"` + it.ID + `"}`
		}
		second, err := tr(dialect.Request{Model: "m", Body: []byte(`{"input":[` + input + `,{"type":"function_call_output","call_id":"c1","output":"done"}]}`)})
		if err != nil {
			t.Fatalf("stream %t: %v", stream, err)
		}
		want := `{"model":"m","messages":[{"content":"hello","role":"user"},` +
			`{"role":"assistant","content":"hi","reasoning_content":"hm","reasoning_details":[{"type":"thinking","text":"hm","signature":"s"}],"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
			`{"role":"tool","tool_call_id":"c1","content":"done"}]}`
		if got := string(second.Body); got != want {
			t.Errorf("stream %t: second request:\n got %s\nwant %s", stream, got, want)
		}
		_, err = tr(dialect.Request{Model: "m", Body: []byte(`{"input":[{"type":"item_reference","id":"msg_unknown"}]}`)})
		if e := fault.From(err); e == nil || e.Param != "input[0]" || e.Kind != fault.Invalid {
			t.Errorf("unknown item: %v", err)
		}
	}
}

func TestMemoryForgets(t *testing.T) {
	m := responses.NewMemory(2, 100)
	put := func(id string, n int) { m.Put(id, []json.RawMessage{bytes.Repeat([]byte("x"), n)}) }
	put("a", 10)
	put("b", 10)
	m.Get("a")
	put("c", 10)
	for id, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, ok := m.Get(id); ok != want {
			t.Errorf("after the third: %s kept = %v, want %v", id, ok, want)
		}
	}
	put("d", 90)
	put("e", 200)
	for id, want := range map[string]bool{"a": false, "c": false, "d": true, "e": false} {
		if _, ok := m.Get(id); ok != want {
			t.Errorf("after the large ones: %s kept = %v, want %v", id, ok, want)
		}
	}
}

// FuzzToChat: no input panics, and the output is JSON.
func FuzzToChat(f *testing.F) {
	for _, c := range dialecttest.Cases(f, "testdata/*.txtar") {
		f.Add(c.In["request"], c.In["reply"], c.In["events"])
	}
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		call, err := responses.ToChat(options(responses.NewMemory(4, 1<<16)))(dialect.Request{Model: "m", Body: request})
		if err != nil {
			if e := fault.From(err); e.Kind != fault.Invalid {
				t.Errorf("%s: %v is not a bad request", request, err)
			}
			return
		}
		if !json.Valid(call.Body) {
			t.Errorf("invalid request %s", call.Body)
		}
		again, err := responses.ToChat(options(responses.NewMemory(4, 1<<16)))(dialect.Request{Model: "m", Body: request})
		if err != nil || !bytes.Equal(again.Body, call.Body) || !slices.Equal(again.Ignored, call.Ignored) {
			t.Errorf("a second time %s %v (%v), not %s %v", again.Body, again.Ignored, err, call.Body, call.Ignored)
		}
		if body, err := call.Reply.Body(reply); err == nil && !json.Valid(body) {
			t.Errorf("invalid reply %s", body)
		}
		out := dialecttest.Translate(call.Reply.Stream(), bytes.NewReader(events), nil)
		r := sse.NewReader(bytes.NewReader(out), 1<<30)
		ends := 0
		for {
			ev, err := r.Next()
			if err != nil {
				break
			}
			if ev.Data != nil && !json.Valid(ev.Data) {
				t.Errorf("invalid event %s", ev.Data)
			}
			switch ev.Name {
			case "response.completed", "response.incomplete", "response.failed":
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("%d closing events in %s", ends, out)
		}
	})
}
