package openai_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/dialecttest"
	"github.com/hostless/hostless/pkg/dialect/openai"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
)

// asIs is a translator to chat completions that changes nothing.
func asIs(in dialect.Request) (*dialect.Call, error) {
	return &dialect.Call{Path: "/chat/completions", Body: in.Body}, nil
}

// TestGolden: a case's `request` is in the intermediate form, `call` is the request
// for each provider named in the comment, and `ignored` and `error` are what the
// client gets.
func TestGolden(t *testing.T) {
	dialecttest.Golden{
		Glob: "testdata/*.txtar", Min: 6, Inputs: []string{"request"},
		PartsOf: func(c dialecttest.Case) []string {
			parts := []string{"request"}
			for _, name := range providers(c) {
				parts = append(parts, name+" error", name+" call", name+" ignored")
			}
			return parts
		},
		Run: func(t *testing.T, c dialecttest.Case) map[string][]byte {
			if len(providers(c)) == 0 || c.In["request"] == nil {
				t.Fatal("no `providers:` in the comment, or no request")
			}
			got := map[string][]byte{}
			for _, name := range providers(c) {
				run(t, name, c.In["request"], got)
			}
			return got
		},
	}.Test(t)
}

func providers(c dialecttest.Case) []string {
	_, names, _ := strings.Cut(c.Comment, "providers: ")
	return strings.Fields(names)
}

func run(t *testing.T, name string, request []byte, got map[string][]byte) {
	t.Helper()
	p := provider.Default().Get(name)
	if p == nil {
		p = provider.Custom(name, dialect.OpenAI)
	}
	var asked struct{ Model string }
	if err := json.Unmarshal(request, &asked); err != nil {
		t.Fatal(err)
	}
	call, err := openai.Restrict(asIs, p.ChatFacts(), "")(dialect.Request{Model: asked.Model, Provider: name, Body: request})
	if err != nil {
		got[name+" error"] = dialecttest.Refused(t, err)
		return
	}
	got[name+" call"] = dialecttest.Indent(t, call.Body)
	if len(call.Ignored) > 0 {
		got[name+" ignored"] = dialecttest.Lines(call.Ignored)
	}
}

// TestUntouched: what need not change keeps its bytes, and a provider that accepts
// everything gets the first translator's own request.
func TestUntouched(t *testing.T) {
	const body = `{"model":"m","messages":[{"role":"user","content":"a <b> \"cache_control\" 1.0","x":1.50}],"tools":[ {"a": 1e3} ],"temperature":1.0}`
	for _, facts := range []openai.Facts{nil, openai.Everything(), {openai.User}} {
		call, err := openai.Restrict(asIs, facts, "")(dialect.Request{Model: "m", Provider: "p", Body: []byte(body)})
		if err != nil || string(call.Body) != body {
			t.Errorf("%v: %v\n%s, want\n%s", facts, err, call.Body, body)
		}
	}
	refused := func(dialect.Request) (*dialect.Call, error) { return nil, fault.New(fault.Invalid, "no") }
	if _, err := openai.Restrict(refused, nil, "")(dialect.Request{}); err == nil {
		t.Error("the first translation's error is lost")
	}
}

// FuzzRestrict: the output is JSON, contains nothing that the provider would
// refuse, asks for the same model, and does not change if it is restricted once
// more.
func FuzzRestrict(f *testing.F) {
	for _, c := range dialecttest.Cases(f, "testdata/*.txtar") {
		f.Add(c.In["request"], 0)
		f.Add(c.In["request"], 1)
	}
	kinds := []openai.Facts{nil, {openai.ReasoningDetails, openai.CacheControl}, {openai.MaxCompletionTokens, openai.Refusal, openai.Developer}}
	f.Fuzz(func(t *testing.T, body []byte, kind int) {
		var asked struct {
			Model  string
			Stream any
		}
		if !json.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
			return
		}
		json.Unmarshal(body, &asked)
		facts := kinds[uint(kind)%uint(len(kinds))]
		in := dialect.Request{Model: asked.Model, Provider: "p", Body: body}
		call, err := openai.Restrict(asIs, facts, "")(in)
		if err != nil {
			if e := fault.From(err); e.Kind != fault.Invalid || e.Param == "" {
				t.Errorf("%v is not an invalid-request fault with a param", err)
			}
			return
		}
		var out map[string]json.RawMessage
		if err := json.Unmarshal(call.Body, &out); err != nil {
			t.Fatalf("%v in %s", err, call.Body)
		}
		for _, name := range []string{openai.User, openai.SafetyIdentifier, openai.PromptCacheKey, openai.ServiceTier, openai.Verbosity} {
			// Only extra_body may set it, because the client wrote that for this
			// provider.
			if _, there := out[name]; there && !bytes.Contains(body, []byte("extra")) && !bytes.Contains(body, []byte(`\u`)) {
				t.Errorf("%s remains in %s", name, call.Body)
			}
		}
		var messages []map[string]json.RawMessage
		if json.Unmarshal(out["messages"], &messages) == nil && !bytes.Contains(body, []byte(`\u`)) {
			for _, m := range messages {
				for _, name := range []string{openai.CacheControl, openai.ReasoningContent, openai.ReasoningDetails, openai.ExtraContent, openai.Refusal} {
					if _, there := m[name]; there && !facts.Takes(name) {
						t.Errorf("%s remains in %s", name, call.Body)
					}
				}
			}
		}
		in.Body = call.Body
		again, err := openai.Restrict(asIs, facts, "")(in)
		if err != nil {
			if !bytes.Contains(call.Body, []byte("extra_body")) { // one may be nested in the other
				t.Fatal(err)
			}
			return
		}
		if !bytes.Contains(body, []byte("extra")) && !bytes.Equal(again.Body, call.Body) {
			t.Errorf("not the same a second time: %s, then %s", call.Body, again.Body)
		}
	})
}
