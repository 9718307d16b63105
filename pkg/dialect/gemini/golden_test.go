package gemini_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// options are the same in every run.
func options() gemini.Options {
	n := 0
	return gemini.Options{
		Fetch: func(_ context.Context, url string) (string, []byte, error) {
			if strings.Contains(url, "unreachable") {
				return "", nil, errors.New("dial tcp 10.0.0.1: refused")
			}
			return "image/jpg; charset=x", []byte("picture of " + url), nil
		},
		Signatures: gemini.NewSignatureCache(8),
		Now:        func() time.Time { return time.Unix(1700000000, 0) },
		NewID:      func() string { n++; return fmt.Sprint("id", n) },
	}
}

// translators are chosen by the beginning of a case's file name.
var translators = map[string]func(gemini.Options) dialect.Translator{
	"fromchat": gemini.FromChat,
	"plain":    func(o gemini.Options) dialect.Translator { o.PlainSchemas = true; return gemini.FromChat(o) },
	"tochat":   gemini.ToChat,
	"embed":    func(gemini.Options) dialect.Translator { return gemini.EmbedFromOpenAI() },
	"toembed":  func(gemini.Options) dialect.Translator { return gemini.EmbedToOpenAI() },
}

var given = []string{"model", "request", "reply", "status", "failure", "events"}

// TestGolden: request in, call out; then reply in, response out; a failure; a stream.
func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	if len(files) == 0 {
		t.Fatal("no golden files")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := map[string][]byte{}
			for _, f := range archive.Files {
				in[f.Name] = f.Data
			}
			kind, _, _ := strings.Cut(name, "-")
			got := run(t, translators[kind](options()), in)
			if *update {
				out := &txtar.Archive{Comment: archive.Comment}
				for _, name := range []string{"model", "request", "error", "path", "call", "ignored", "reply", "response", "status", "failure", "told", "events", "stream"} {
					if data, ok := got[name]; ok {
						out.Files = append(out.Files, txtar.File{Name: name, Data: data})
					} else if data, ok := in[name]; ok && strings.Contains(" "+strings.Join(given, " ")+" ", " "+name+" ") {
						out.Files = append(out.Files, txtar.File{Name: name, Data: data})
					}
				}
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, name := range given {
				delete(in, name)
			}
			for name, data := range got {
				if diff := cmp.Diff(string(in[name]), string(data)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
				delete(in, name)
			}
			for name := range in {
				t.Errorf("%s was not made", name)
			}
		})
	}
}

func run(t *testing.T, tr dialect.Translator, in map[string][]byte) map[string][]byte {
	t.Helper()
	got := map[string][]byte{}
	model := strings.TrimSpace(string(in["model"]))
	if model == "" {
		model = "gemini-2.5-flash"
	}
	call, err := tr(dialect.Request{Model: model, Provider: "google", Stream: in["events"] != nil, Body: in["request"]})
	if err != nil {
		e := fault.From(err)
		got["error"] = fmt.Appendf(nil, "%d %s: %s\n", e.Kind.Status(), e.Param, e.Message)
		return got
	}
	got["path"] = []byte(call.Path + "\n")
	got["call"] = indent(t, call.Body)
	if len(call.Ignored) > 0 {
		got["ignored"] = []byte(strings.Join(call.Ignored, "\n") + "\n")
	}
	if reply, ok := in["reply"]; ok {
		body, err := call.Reply.Body(reply)
		if err != nil {
			body, _ = json.Marshal("error: " + err.Error())
		}
		got["response"] = indent(t, body)
	}
	if failure, ok := in["failure"]; ok {
		status, _ := strconv.Atoi(strings.TrimSpace(string(in["status"])))
		got["told"] = indent(t, call.Reply.Error(status, http.Header{"Retry-After": {"7"}}, failure))
	}
	if events, ok := in["events"]; ok {
		got["stream"] = translate(call.Reply.Stream(), bytes.NewReader(events))
	}
	return got
}

// translate reads a stream as the gateway does.
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

func indent(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return append(b.Bytes(), '\n')
}

// seed gives the fuzz targets the golden cases of some translators.
func seed(f *testing.F, kinds ...string) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		kind, _, _ := strings.Cut(filepath.Base(file), "-")
		if !strings.Contains(strings.Join(kinds, " "), kind) {
			continue
		}
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		in := map[string][]byte{}
		for _, part := range archive.Files {
			in[part.Name] = part.Data
		}
		f.Add(in["request"], in["reply"], in["events"])
	}
}

// check is what must hold for any input.
func check(t *testing.T, make func() dialect.Translator, request, reply, events []byte, ended func(data []byte) (finished, failed bool)) {
	t.Helper()
	for _, model := range []string{"gemini-2.5-flash", "gemini-3-pro"} {
		translator := make()
		call, err := translator(dialect.Request{Model: model, Provider: "google", Stream: true, Body: request})
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
		if sent := call.Reply.Error(400, nil, reply); !json.Valid(sent) {
			t.Errorf("invalid error %s", sent)
		}
		whole := stream(t, make(), model, request, bytes.NewReader(events))
		if pieces := stream(t, make(), model, request, iotest.OneByteReader(bytes.NewReader(events))); !bytes.Equal(whole, pieces) {
			t.Errorf("in one piece:\n%s\nbyte by byte:\n%s", whole, pieces)
		}
		r := sse.NewReader(bytes.NewReader(whole), 1<<30)
		finished, failed := 0, 0
		for {
			ev, err := r.Next()
			if err != nil {
				break
			}
			if ev.Data == nil {
				continue
			}
			if string(ev.Data) != "[DONE]" && !json.Valid(ev.Data) {
				t.Errorf("invalid event %s", ev.Data)
			}
			if failed > 0 {
				t.Errorf("an event behind the error: %s", whole)
			}
			a, b := ended(ev.Data)
			if a {
				finished++
			}
			if b {
				failed++
			}
		}
		if finished+failed != 1 {
			t.Errorf("%d finishes and %d errors in %s", finished, failed, whole)
		}
	}
}

func stream(t *testing.T, tr dialect.Translator, model string, request []byte, events io.Reader) []byte {
	t.Helper()
	call, err := tr(dialect.Request{Model: model, Provider: "google", Stream: true, Body: request})
	if err != nil {
		t.Fatal(err)
	}
	return translate(call.Reply.Stream(), events)
}

func FuzzFromChat(f *testing.F) {
	seed(f, "fromchat", "plain")
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		for _, plain := range []bool{false, true} {
			check(t, func() dialect.Translator { o := options(); o.PlainSchemas = plain; return gemini.FromChat(o) }, request, reply, events, func(data []byte) (bool, bool) {
				return string(data) == "[DONE]", bytes.HasPrefix(data, []byte(`{"error":`))
			})
		}
	})
}

func FuzzToChat(f *testing.F) {
	seed(f, "tochat")
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		check(t, func() dialect.Translator { return gemini.ToChat(options()) }, request, reply, events, func(data []byte) (bool, bool) {
			var a struct {
				Candidates []struct{ FinishReason string }
				Error      any
			}
			json.Unmarshal(data, &a)
			return len(a.Candidates) > 0 && a.Candidates[0].FinishReason != "", a.Error != nil
		})
	})
}

func FuzzEmbed(f *testing.F) {
	seed(f, "embed", "toembed")
	f.Fuzz(func(t *testing.T, request, reply, events []byte) {
		for _, tr := range []func() dialect.Translator{gemini.EmbedFromOpenAI, gemini.EmbedToOpenAI} {
			call, err := tr()(dialect.Request{Model: "m", Body: request})
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

func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"$defs":{"n":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}],"allOf":[{"$ref":"#/$defs/n"},{"$ref":"#"}]}},"$ref":"#/$defs/n"}`))
	f.Add([]byte(`{"type":["string","null"],"enum":["a",1,null],"oneOf":[{"const":"x"}],"minItems":"3","nullable":true}`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		if !json.Valid(schema) {
			return
		}
		for name, clean := range map[string]func(json.RawMessage) json.RawMessage{"clean": gemini.CleanSchema, "standard": gemini.StandardSchema} {
			if out := clean(schema); !json.Valid(out) {
				t.Errorf("%s: invalid %s of %s", name, out, schema)
			}
		}
		if out, err := gemini.CountTokens(schema); err == nil && !json.Valid(out) {
			t.Errorf("invalid count %s", out)
		}
	})
}
