package anthropic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/sse"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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

// directions are the folders of testdata and the translator that each tests.
func directions() map[string]dialect.Translator {
	return map[string]dialect.Translator{
		"fromchat": anthropic.FromChat(options()),
		"tochat":   anthropic.ToChat(options()),
		// A Messages client whose chat is translated again is as close as this
		// package comes to both of its translators at work.
		"chain": dialect.Chain(anthropic.ToChat(options()), anthropic.FromChat(options())),
	}
}

// A case's inputs are request, reply, failure (a status and a body) and events;
// its outputs error or call, header, ignored, answer, failed and stream. A
// "provider: name" line in the comment sets the provider.
var parts = []string{"request", "error", "call", "header", "ignored", "reply", "answer", "failure", "failed", "events", "stream"}

var inputs = map[string]bool{"request": true, "reply": true, "failure": true, "events": true}

func TestGolden(t *testing.T) {
	total := 0
	for folder := range directions() {
		files, _ := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
		total += len(files)
		for _, file := range files {
			t.Run(folder+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, folder, file) })
		}
	}
	if total < 30 {
		t.Errorf("%d golden files, want 30 or more", total)
	}
}

func golden(t *testing.T, folder, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := map[string][]byte{}
	for _, f := range archive.Files {
		in[f.Name] = f.Data
	}
	_, name, _ := strings.Cut(string(archive.Comment), "provider: ")
	got := run(t, folder, strings.TrimSpace(name), in)
	if *update {
		out := &txtar.Archive{Comment: archive.Comment}
		for _, name := range parts {
			if data, ok := got[name]; ok {
				out.Files = append(out.Files, txtar.File{Name: name, Data: data})
			} else if data, ok := in[name]; ok && inputs[name] {
				out.Files = append(out.Files, txtar.File{Name: name, Data: data})
			}
		}
		if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, name := range parts {
		if inputs[name] {
			continue
		}
		if diff := cmp.Diff(string(in[name]), string(got[name])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
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
		e := fault.From(err)
		if e.Kind != fault.Invalid {
			t.Errorf("kind %d of %v, want Invalid", e.Kind, err)
		}
		got["error"] = fmt.Appendf(nil, "%d %s: %s\n", e.Kind.Status(), e.Param, e.Message)
		return got
	}
	if call.Stream != asked.Stream {
		t.Errorf("stream %v, want %v", call.Stream, asked.Stream)
	}
	got["call"] = append([]byte(call.Path+"\n"), indent(t, call.Body)...)
	if beta := call.Header.Get("Anthropic-Beta"); beta != "" {
		got["header"] = []byte("anthropic-beta: " + beta + "\n")
	}
	if len(call.Ignored) > 0 {
		got["ignored"] = []byte(strings.Join(call.Ignored, "\n") + "\n")
	}
	if reply, ok := in["reply"]; ok {
		body, err := call.Reply.Body(reply)
		if err != nil {
			t.Fatal(err)
		}
		got["answer"] = indent(t, body)
	}
	if failure, ok := in["failure"]; ok {
		status, body, _ := bytes.Cut(failure, []byte("\n"))
		var code int
		fmt.Sscan(string(status), &code)
		got["failed"] = indent(t, call.Reply.Error(code, http.Header{"Request-Id": {"req_1"}}, body))
	}
	if events, ok := in["events"]; ok {
		fresh, _ := directions()[folder](dialect.Request{Model: asked.Model, Provider: provider, Stream: asked.Stream, Body: in["request"]})
		got["stream"] = translate(fresh.Reply.Stream(), bytes.NewReader(events))
		for _, r := range []io.Reader{iotest.OneByteReader(bytes.NewReader(events)), iotest.HalfReader(bytes.NewReader(events))} {
			again, _ := directions()[folder](dialect.Request{Model: asked.Model, Provider: provider, Stream: asked.Stream, Body: in["request"]})
			if diff := cmp.Diff(string(got["stream"]), string(translate(again.Reply.Stream(), r))); diff != "" {
				t.Errorf("chunked otherwise (-whole +chunked):\n%s", diff)
			}
		}
		checkJSON(t, got["stream"])
	}
	return got
}

// translate runs events through a stream as the gateway does.
func translate(s dialect.Stream, events io.Reader) []byte {
	var out []byte
	emit := func(ev sse.Event) { out = sse.Append(out, ev) }
	r := sse.NewReader(events, 0)
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

func checkJSON(t *testing.T, stream []byte) {
	t.Helper()
	r := sse.NewReader(bytes.NewReader(stream), 1<<30)
	for {
		ev, err := r.Next()
		if err != nil {
			return
		}
		if ev.Data != nil && string(ev.Data) != "[DONE]" && !json.Valid(ev.Data) {
			t.Errorf("invalid event %s", ev.Data)
		}
	}
}

func indent(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return append(b.Bytes(), '\n')
}
