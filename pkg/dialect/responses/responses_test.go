package responses_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/responses"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func options(store responses.Store) responses.Options {
	n := 0
	return responses.Options{
		Store: store,
		Now:   func() time.Time { return time.Unix(1700000000, 0) },
		NewID: func() string { n++; return fmt.Sprint(n) },
	}
}

// TestGolden: request in, request out, then reply in, reply out, or a stream.
func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no golden files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := map[string][]byte{}
			for _, f := range archive.Files {
				in[f.Name] = f.Data
			}
			got := run(t, in)
			if *update {
				out := &txtar.Archive{Comment: archive.Comment}
				for _, name := range []string{"request", "error", "chat", "ignored", "reply", "response", "events", "stream"} {
					if data, ok := got[name]; ok {
						out.Files = append(out.Files, txtar.File{Name: name, Data: data})
					} else if data, ok := in[name]; ok && (name == "request" || name == "reply" || name == "events") {
						out.Files = append(out.Files, txtar.File{Name: name, Data: data})
					}
				}
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for name, data := range got {
				if diff := cmp.Diff(string(in[name]), string(data)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func run(t *testing.T, in map[string][]byte) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	call, err := responses.ToChat(options(nil))(dialect.Request{Model: "m", Provider: "p", Body: in["request"]})
	if err != nil {
		e := fault.From(err)
		got["error"] = fmt.Appendf(nil, "%d %s: %s\n", e.Kind.Status(), e.Param, e.Message)
		return got
	}
	got["chat"] = indent(t, call.Body)
	if len(call.Ignored) > 0 {
		got["ignored"] = []byte(strings.Join(call.Ignored, "\n") + "\n")
	}
	if reply, ok := in["reply"]; ok {
		body, err := call.Reply.Body(reply)
		if err != nil {
			t.Fatal(err)
		}
		got["response"] = indent(t, body)
	}
	if events, ok := in["events"]; ok {
		got["stream"] = translate(t, call, events)
	}
	return got
}

func translate(t *testing.T, call *dialect.Call, events []byte) []byte {
	t.Helper()
	var out []byte
	emit := func(ev sse.Event) { out = sse.Append(out, ev) }
	s := call.Reply.Stream()
	r := sse.NewReader(bytes.NewReader(events), 0)
	var cause error
	for {
		ev, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.Event(ev, emit)
		}
		if err != nil {
			cause = err
			break
		}
	}
	s.End(cause, emit)
	return out
}

func indent(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return append(b.Bytes(), '\n')
}

// TestPreviousResponse: a stored turn comes back in front of the next input,
// without the instructions of the first.
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

// TestItemReference: the items of an answer may be named in the next request,
// their thinking too where the client was not given it; streamed and not.
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

// FuzzToChat: no input panics, and what comes out is JSON.
func FuzzToChat(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		archive, _ := txtar.ParseFile(file)
		var request, reply, events []byte
		for _, part := range archive.Files {
			switch part.Name {
			case "request":
				request = part.Data
			case "reply":
				reply = part.Data
			case "events":
				events = part.Data
			}
		}
		f.Add(request, reply, events)
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
		if body, err := call.Reply.Body(reply); err == nil && !json.Valid(body) {
			t.Errorf("invalid reply %s", body)
		}
		out := translate(t, call, events)
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
