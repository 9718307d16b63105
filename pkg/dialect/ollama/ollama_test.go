package ollama_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

// options returns options with a clock that advances a millisecond with each call.
func options() ollama.Options {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	return ollama.Options{Now: func() time.Time { now = now.Add(time.Millisecond); return now }}
}

// translators maps the beginning of a case's file name to the translator.
var translators = map[string]func(ollama.Options) dialect.Translator{
	"chat":       ollama.ToChat,
	"generate":   ollama.GenerateToChat,
	"embed":      ollama.EmbedToOpenAI,
	"embeddings": ollama.EmbeddingsToOpenAI,
}

// TestGolden runs cases of a request, a response, a failure and a stream.
func TestGolden(t *testing.T) {
	dialecttest.Golden{
		Glob:   "testdata/*.txtar",
		Parts:  []string{"request", "error", "call", "ignored", "reply", "response", "status", "failure", "client-error", "events", "stream"},
		Inputs: []string{"request", "reply", "status", "failure", "events"},
		Run: func(t *testing.T, c dialecttest.Case) map[string][]byte {
			kind, _, _ := strings.Cut(c.Name, "-")
			return run(t, translators[kind](options()), c.In)
		},
	}.Test(t)
}

func run(t *testing.T, tr dialect.Translator, in map[string][]byte) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	call, err := tr(dialect.Request{Model: "gpt-x", Provider: "openai", Body: in["request"]})
	if err != nil {
		got["error"] = dialecttest.Refused(t, err)
		return got
	}
	got["call"] = dialecttest.Indent(t, call.Body)
	if len(call.Ignored) > 0 {
		got["ignored"] = dialecttest.Lines(call.Ignored)
	}
	if reply, ok := in["reply"]; ok {
		body, err := call.Reply.Body(reply)
		if err != nil {
			body, _ = json.Marshal("error: " + err.Error())
		}
		got["response"] = dialecttest.Indent(t, body)
	}
	if failure, ok := in["failure"]; ok {
		status, _ := strconv.Atoi(strings.TrimSpace(string(in["status"])))
		got["client-error"] = dialecttest.Indent(t, call.Reply.Error(status, nil, failure))
	}
	if events, ok := in["events"]; ok {
		got["stream"] = translate(call.Reply.Stream(), bytes.NewReader(events))
	}
	return got
}

// appendLine adds an event to b as a line of NDJSON, as the gateway does.
func appendLine(b []byte, ev sse.Event) []byte {
	if ev.Data == nil {
		return b
	}
	return append(append(b, ev.Data...), '\n')
}

// translate reads a stream as the gateway does and writes it as NDJSON.
func translate(s dialect.Stream, events io.Reader) []byte {
	return dialecttest.Translate(s, events, appendLine)
}

// seed adds the golden cases of some translators to a fuzz corpus.
func seed(f *testing.F, kinds ...string) {
	for _, c := range dialecttest.Cases(f, "testdata/*.txtar") {
		if kind, _, _ := strings.Cut(c.Name, "-"); slices.Contains(kinds, kind) {
			f.Add(c.In["request"], c.In["reply"], c.In["events"])
		}
	}
}

// FuzzToChat: no input panics, the output is JSON, chunking makes no difference,
// and a stream ends once.
func FuzzToChat(f *testing.F) {
	seed(f, "chat", "generate")
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		for _, make := range []func(ollama.Options) dialect.Translator{ollama.ToChat, ollama.GenerateToChat} {
			translated := func(events io.Reader) (*dialect.Call, []byte) {
				call, err := make(options())(dialect.Request{Model: "m", Body: request})
				if err != nil {
					if fault.From(err).Kind != fault.Invalid {
						t.Errorf("%s: %v is not a bad request", request, err)
					}
					return nil, nil
				}
				return call, translate(call.Reply.Stream(), events)
			}
			call, whole := translated(bytes.NewReader(events))
			if call == nil {
				continue
			}
			if !json.Valid(call.Body) {
				t.Errorf("invalid request %s", call.Body)
			}
			if body, err := call.Reply.Body(reply); err == nil && !json.Valid(body) {
				t.Errorf("invalid reply %s", body)
			}
			if sent := call.Reply.Error(500, nil, reply); !json.Valid(sent) {
				t.Errorf("invalid error %s", sent)
			}
			if _, pieces := translated(iotest.OneByteReader(bytes.NewReader(events))); !bytes.Equal(whole, pieces) {
				t.Errorf("in one piece:\n%s\nbyte by byte:\n%s", whole, pieces)
			}
			ends := 0
			lines := strings.Split(strings.TrimSuffix(string(whole), "\n"), "\n")
			for i, line := range lines {
				var o struct {
					Done  bool `json:"done"`
					Error any  `json:"error"`
				}
				if err := json.Unmarshal([]byte(line), &o); err != nil {
					t.Errorf("line %q: %v", line, err)
				}
				if o.Done || o.Error != nil {
					ends++
					if i != len(lines)-1 {
						t.Errorf("lines after the end: %s", whole)
					}
				}
			}
			if ends != 1 {
				t.Errorf("%d ends in %s", ends, whole)
			}
		}
	})
}

func FuzzEmbed(f *testing.F) {
	seed(f, "embed", "embeddings")
	f.Fuzz(func(t *testing.T, request, reply, _ []byte) {
		for _, make := range []func(ollama.Options) dialect.Translator{ollama.EmbedToOpenAI, ollama.EmbeddingsToOpenAI} {
			call, err := make(options())(dialect.Request{Model: "m", Body: request})
			if err != nil {
				if fault.From(err).Kind != fault.Invalid {
					t.Errorf("%s: %v is not a bad request", request, err)
				}
				continue
			}
			if !json.Valid(call.Body) {
				t.Errorf("invalid request %s", call.Body)
			}
			if body, err := call.Reply.Body(reply); err == nil && !json.Valid(body) {
				t.Errorf("invalid reply %s", body)
			}
		}
	})
}

func TestIdle(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 6000, time.UTC)
	for _, tt := range []struct{ path, body, want string }{
		{"/api/chat", `{"model":"a/b"}`, `{"model":"a/b","created_at":"2025-01-02T03:04:05.000006Z","message":{"role":"assistant","content":""},"done_reason":"load","done":true}`},
		{"/api/generate", `{"model":"a/b","keep_alive":0}`, `{"model":"a/b","created_at":"2025-01-02T03:04:05.000006Z","response":"","done_reason":"unload","done":true}`},
		{"/api/chat", `{"model":"a","messages":[{}]}`, ""},
		{"/api/generate", `{"model":"a","prompt":"x"}`, ""},
		{"/api/chat", `{}`, ""},
	} {
		got, ok := ollama.Idle(tt.path, []byte(tt.body), now)
		if string(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("Idle(%s, %s) = %s, %v, want %s", tt.path, tt.body, got, ok, tt.want)
		}
	}
}

func TestShapes(t *testing.T) {
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	m := ollama.Model{Name: ollama.ID("google", "models/gemini-2.5-flash"), Provider: "google", Modified: at, Context: 1048576, Capabilities: []string{"completion", "vision"}}
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"no tags", ollama.Tags(nil), `{"models":[]}`},
		{"nothing runs", ollama.PS(nil), `{"models":[]}`},
		{"version", ollama.Version(""), `{"version":"` + ollama.APIVersion + `"}`},
		{"tags", ollama.Tags([]ollama.Model{m}), `{"models":[{"name":"gemini/gemini-2.5-flash","model":"gemini/gemini-2.5-flash","modified_at":"2025-01-02T03:04:05.000000Z","size":0,"digest":"DIGEST","details":{"parent_model":"","format":"remote","family":"google","families":["google"],"parameter_size":"","quantization_level":""}}]}`},
		{"show", ollama.Show(m), `{"license":"","modelfile":"FROM gemini/gemini-2.5-flash\n","parameters":"","template":"{{ .Prompt }}","details":{"parent_model":"","format":"remote","family":"google","families":["google"],"parameter_size":"","quantization_level":""},"model_info":{"general.architecture":"google","general.basename":"gemini/gemini-2.5-flash","google.context_length":1048576},"capabilities":["completion","vision"],"modified_at":"2025-01-02T03:04:05.000000Z"}`},
		{"ps", ollama.PS([]ollama.Active{{Model: m, Expires: at}}), `{"models":[{"name":"gemini/gemini-2.5-flash","model":"gemini/gemini-2.5-flash","size":0,"digest":"DIGEST","details":{"parent_model":"","format":"remote","family":"google","families":["google"],"parameter_size":"","quantization_level":""},"expires_at":"2025-01-02T03:04:05.000000Z","size_vram":0,"context_length":1048576}]}`},
		{"fault", ollama.Fault(&fault.Error{Kind: fault.Unconfigured, Message: "no <key>", Next: "hostless keys add openai"}), `{"error":"no <key> (hostless keys add openai)"}`},
	} {
		want := tt.want
		got := string(tt.got)
		if i := strings.Index(got, `"digest":"`); i >= 0 {
			digest := got[i+len(`"digest":"`):][:64]
			if strings.Trim(digest, "0123456789abcdef") != "" {
				t.Errorf("%s: digest %s", tt.name, digest)
			}
			want = strings.ReplaceAll(tt.want, "DIGEST", digest)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if a, b := ollama.ID("openai", "gpt-x"), ollama.Name("openai/gpt-x:latest"); a != b {
		t.Errorf("ID %s, Name %s", a, b)
	}
}

func TestShowRequest(t *testing.T) {
	for body, want := range map[string]string{`{"model":"a/b:latest"}`: "a/b", `{"name":"c","verbose":true}`: "c", `{"name":"c","model":"d"}`: "d", `{}`: "", `[]`: "", `{"model":3}`: ""} {
		got, err := ollama.ShowRequest([]byte(body))
		if got != want || (want == "") != fault.Is(err, fault.Invalid) {
			t.Errorf("ShowRequest(%s) = %q, %v, want %q", body, got, err, want)
		}
	}
}

// TestCauseIsPrivate: the reason why a stream broke is not shown.
func TestCauseIsPrivate(t *testing.T) {
	call, err := ollama.ToChat(ollama.Options{})(dialect.Request{Model: "m", Body: []byte(`{"messages":[{"role":"user","content":"x"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	s := call.Reply.Stream()
	emit := func(ev sse.Event) { out = appendLine(out, ev) }
	s.End(errors.New("read tcp 10.1.2.3:443: reset"), emit)
	s.End(nil, emit)
	if got, want := string(out), `{"error":"the provider closed the stream before the response was complete"}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkStream(b *testing.B) {
	call, err := ollama.ToChat(ollama.Options{})(dialect.Request{Model: "m", Body: []byte(`{"messages":[{"role":"user","content":"x"}]}`)})
	if err != nil {
		b.Fatal(err)
	}
	s := call.Reply.Stream()
	ev := sse.Event{Data: []byte(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000001,"model":"m-1","choices":[{"index":0,"delta":{"content":" a few words of an answer"},"finish_reason":null}]}`)}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Event(ev, func(sse.Event) {}); err != nil {
			b.Fatal(err)
		}
	}
}
