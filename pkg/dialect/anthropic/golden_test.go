package anthropic_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/provider"
)

func options() anthropic.Options {
	n := 0
	return anthropic.Options{
		Now:   func() time.Time { return time.Unix(1700000000, 0) },
		NewID: func() string { n++; return fmt.Sprint(n) },
		Takes: func(name string) openai.Facts {
			if p := provider.Default().Get(name); p != nil && p.Primary() == dialect.OpenAI {
				return p.ChatFacts()
			}
			return openai.Everything()
		},
	}
}

// directions maps the folders of testdata to the translator that each tests.
func directions() map[string]dialect.Translator {
	return map[string]dialect.Translator{
		"fromchat": anthropic.FromChat(options()),
		"tochat":   anthropic.ToChat(options()),
		// Translating a Messages client's chat request back to Messages exercises
		// both translators of this package together.
		"chain": dialect.Chain(anthropic.ToChat(options()), anthropic.FromChat(options())),
	}
}

// TestGolden runs the golden cases. A "provider: name" line in a case's comment
// sets the provider.
func TestGolden(t *testing.T) {
	for folder, min := range map[string]int{"fromchat": 20, "tochat": 10, "chain": 1} {
		t.Run(folder, func(t *testing.T) {
			dialecttest.Golden{
				Glob: filepath.Join("testdata", folder, "*.txtar"), Min: min,
				Parts:  []string{"request", "error", "call", "header", "ignored", "reply", "answer", "failure", "failed", "events", "stream"},
				Inputs: []string{"request", "reply", "failure", "events"},
				Run: func(t *testing.T, c dialecttest.Case) map[string][]byte {
					_, name, _ := strings.Cut(c.Comment, "provider: ")
					return run(t, folder, strings.TrimSpace(name), c.In)
				},
			}.Test(t)
		})
	}
}

func run(t *testing.T, folder, provider string, in map[string][]byte) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	var asked struct {
		Model  string
		Stream bool
	}
	json.Unmarshal(in["request"], &asked)
	translator := directions()[folder]
	call, err := translator(dialect.Request{Model: asked.Model, Provider: provider, Stream: asked.Stream, Body: in["request"]})
	if err != nil {
		got["error"] = dialecttest.Refused(t, err)
		return got
	}
	if call.Stream != asked.Stream {
		t.Errorf("stream %v, want %v", call.Stream, asked.Stream)
	}
	got["call"] = append([]byte(call.Path+"\n"), dialecttest.Indent(t, call.Body)...)
	if beta := call.Header.Get("Anthropic-Beta"); beta != "" {
		got["header"] = []byte("anthropic-beta: " + beta + "\n")
	}
	if len(call.Ignored) > 0 {
		got["ignored"] = dialecttest.Lines(call.Ignored)
	}
	if reply, ok := in["reply"]; ok {
		body, err := call.Reply.Body(reply)
		if err != nil {
			t.Fatal(err)
		}
		got["answer"] = dialecttest.Indent(t, body)
	}
	if failure, ok := in["failure"]; ok {
		status, body, _ := bytes.Cut(failure, []byte("\n"))
		var code int
		fmt.Sscan(string(status), &code)
		got["failed"] = dialecttest.Indent(t, call.Reply.Error(code, http.Header{"Request-Id": {"req_1"}}, body))
	}
	if events, ok := in["events"]; ok {
		fresh, _ := directions()[folder](dialect.Request{Model: asked.Model, Provider: provider, Stream: asked.Stream, Body: in["request"]})
		got["stream"] = dialecttest.Translate(fresh.Reply.Stream(), bytes.NewReader(events), nil)
		for _, r := range []io.Reader{iotest.OneByteReader(bytes.NewReader(events)), iotest.HalfReader(bytes.NewReader(events))} {
			again, _ := directions()[folder](dialect.Request{Model: asked.Model, Provider: provider, Stream: asked.Stream, Body: in["request"]})
			if diff := cmp.Diff(string(got["stream"]), string(dialecttest.Translate(again.Reply.Stream(), r, nil))); diff != "" {
				t.Errorf("chunked differently (-whole +chunked):\n%s", diff)
			}
		}
		dialecttest.CheckEvents(t, got["stream"])
	}
	return got
}
