package gemini_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/sse"
)

// options returns the same options in every run.
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

// translators maps the beginning of a case's file name to the translator.
var translators = map[string]func(gemini.Options) dialect.Translator{
	"fromchat": gemini.FromChat,
	"plain":    func(o gemini.Options) dialect.Translator { o.PlainSchemas = true; return gemini.FromChat(o) },
	"tochat":   gemini.ToChat,
	"embed":    func(gemini.Options) dialect.Translator { return gemini.EmbedFromOpenAI() },
	"toembed":  func(gemini.Options) dialect.Translator { return gemini.EmbedToOpenAI() },
}

// TestGolden runs cases of a request, a response, a failure and a stream.
func TestGolden(t *testing.T) {
	dialecttest.Golden{
		Glob:   "testdata/*.txtar",
		Parts:  []string{"model", "request", "error", "path", "call", "ignored", "reply", "response", "status", "failure", "client-error", "events", "stream"},
		Inputs: []string{"model", "request", "reply", "status", "failure", "events"},
		Run: func(t *testing.T, c dialecttest.Case) map[string][]byte {
			kind, _, _ := strings.Cut(c.Name, "-")
			return run(t, translators[kind](options()), c.In)
		},
	}.Test(t)
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
		got["error"] = dialecttest.Refused(t, err)
		return got
	}
	got["path"] = []byte(call.Path + "\n")
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
		got["client-error"] = dialecttest.Indent(t, call.Reply.Error(status, http.Header{"Retry-After": {"7"}}, failure))
	}
	if events, ok := in["events"]; ok {
		got["stream"] = dialecttest.Translate(call.Reply.Stream(), bytes.NewReader(events), nil)
	}
	return got
}

// seed adds the golden cases of some translators to a fuzz corpus.
func seed(f *testing.F, kinds ...string) {
	for _, c := range dialecttest.Cases(f, "testdata/*.txtar") {
		if kind, _, _ := strings.Cut(c.Name, "-"); slices.Contains(kinds, kind) {
			f.Add(c.In["request"], c.In["reply"], c.In["events"])
		}
	}
}

// check checks what must be true for any input.
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
				t.Errorf("an event after the error: %s", whole)
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
	return dialecttest.Translate(call.Reply.Stream(), events, nil)
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
