package body

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hostless/hostless/pkg/fault"
)

func TestWithModel(t *testing.T) {
	tests := []struct {
		name, in, model string
		usage           bool
		want            string
	}{
		{"nothing changes", `{"model":"a", "x":[1,{"model":"b"}]}`, "a", false, `{"model":"a", "x":[1,{"model":"b"}]}`},
		{"prefix goes", ` { "model" : "groq/a" , "temperature":0.10 } `, "a", false, ` { "model" : "a" , "temperature":0.10 } `},
		{"escaped", `{"\u006dodel":"groq\/a\u00e9"}`, "aé", false, `{"\u006dodel":"aé"}`},
		{"duplicates take the last", `{"model":"x","model":"groq/a"}`, "a", false, `{"model":"a","model":"a"}`},
		{"duplicates, last bare", `{"model":"x","model":"a"}`, "a", false, `{"model":"a","model":"a"}`},
		{"usage added", `{"model":"a","stream":true}`, "a", true, `{"model":"a","stream":true,"stream_options":{"include_usage":true}}`},
		{"usage in empty options", `{"model":"a","stream_options":{ }}`, "a", true, `{"model":"a","stream_options":{"include_usage":true }}`},
		{"usage beside others", `{"stream_options":{"x":1},"model":"p/a"}`, "a", true, `{"stream_options":{"include_usage":true,"x":1},"model":"a"}`},
		{"usage for null", `{"stream_options":null,"model":"a"}`, "a", true, `{"stream_options":{"include_usage":true},"model":"a"}`},
		{"usage asked", `{"model":"a","stream_options":{"include_usage":false}}`, "a", true, `{"model":"a","stream_options":{"include_usage":false}}`},
		{"a model within strings", `{"a":"\"model\":\"b\"","model":"groq/<c>"}`, "<c>", false, `{"a":"\"model\":\"b\"","model":"<c>"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := Parse([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			got := string(b.WithModel(tt.model, tt.usage))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("edit %s: %s", tt.in, diff)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("not JSON: %s", got)
			}
		})
	}
}

func TestParse(t *testing.T) {
	b, err := Parse([]byte(`{"messages":[{"role":"user","content":"\\\"}]{"}],"stream":true,"Model":"z","model":"p\/m"}`))
	if err != nil || b.Model != "p/m" || !b.Stream || !b.Ambiguous {
		t.Errorf("got %+v, %v", b, err)
	}
	for _, in := range []string{``, `[]`, `"x"`, `null`, `{`, `{"model":"a"`, `{"model":"a"}x`, `{"a":[1}}`, `{"a":]}`, `{"a" 1}`, `{a:1}`, `{"a":1,}`,
		`{"a":1/*"*/,"model":"b"/*"*/}`, `{'model':"x"}`, `{"model":7}`, `{"model":"a\x"}`, "{\"model\":\"a\n\"}", `{"model":{}}`, "\ufeff{}", "{\"a\":\"\xff\"}", `{"a":` + strings.Repeat("[", 5000) + `}`} {
		if _, err := Parse([]byte(in)); !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%.40q) = %v, want an invalid_request_error", in, err)
		}
	}
}

func FuzzWithModel(f *testing.F) {
	for _, s := range []string{`{}`, `{"model":"groq/a","stream":true}`, `{"a":"\\","model":"x","model":"\u00e9","stream_options":{"x":[{}]}}`, ` {"a":-1.5e9 , "b" :[ ]} `} {
		f.Add([]byte(s), "new \"name\"\n", true)
	}
	f.Fuzz(func(t *testing.T, data []byte, model string, usage bool) {
		before := bytes.Clone(data)
		b, err := Parse(data)
		if err != nil {
			if json.Valid(data) && utf8.Valid(data) && fault.From(err).Param == "" {
				var m map[string]any
				if json.Unmarshal(data, &m) == nil && m != nil {
					t.Fatalf("refused a valid object: %q: %v", data, err)
				}
			}
			return
		}
		out := b.WithModel(model, usage)
		if !bytes.Equal(before, data) {
			t.Fatalf("the caller's bytes were changed")
		}
		if !json.Valid(data) {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("edit of %q is not JSON: %q", data, out)
		}
		var was, is map[string]json.RawMessage
		if json.Unmarshal(data, &was) != nil || json.Unmarshal(out, &is) != nil {
			return
		}
		if raw, ok := was["model"]; ok {
			var s string
			if json.Unmarshal(raw, &s) == nil && s != b.Model {
				t.Fatalf("model %q, a decoder has %q", b.Model, s)
			}
			want, _ := json.Marshal(model)
			var round, got string
			json.Unmarshal(want, &round)
			json.Unmarshal(is["model"], &got)
			if string(raw) != "null" && got != round {
				t.Fatalf("model is %q after edit, want %q", got, round)
			}
		}
		delete(was, "model")
		delete(is, "model")
		delete(was, "stream_options")
		delete(is, "stream_options")
		if diff := cmp.Diff(was, is); diff != "" {
			t.Fatalf("other members changed: %s", diff)
		}
		// With the same model and nothing to add, no byte changes.
		if same := b.WithModel(b.Model, false); !b.differ && !bytes.Equal(same, data) {
			t.Fatalf("bytes lost: %q became %q", data, same)
		}
	})
}

func TestMessageHolders(t *testing.T) {
	m, ok := ParseMessage([]byte(`{"type":"response.create","models":"b","tools":[1],"response":{"tools":[2]},"input":"x"}`))
	var names []string
	for _, h := range m.Holders {
		names = append(names, h.Name+"="+string(h.Value))
	}
	if got := strings.Join(names, " "); !ok || got != `models="b" tools=[1]` {
		t.Errorf("got %s", got)
	}
}

func TestParseMessage(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"response.create","event_id":"e","model":"a","response":{"model":"b"}}`: "response.create e a [a b] false",
		`{"type":"session.update","session":{"audio":{"input":{"model":"b"}}}}`:          "session.update   [b] false",
		`{"type":"x","item":{"model":"b"}}`:                                              "x   [] false",
		`{"type":"x","Model":"b"}`:                                                       "x   [] true",
		`{"type":"x","model":"a","model":"b"}`:                                           "x  a [a b] true",
		`{"type":"x","type":"y"}`:                                                        "y   [] true",
		`{"type":"x","Type":"y"}`:                                                        "y   [] true",
		`{"type":"x\.y"}`:                                                                "   [] true",
		`{"type":"x","model":"a\.b"}`:                                                    "x   [] true",
	} {
		m, ok := ParseMessage([]byte(in))
		var names []string
		for _, one := range m.Models {
			names = append(names, one.Name)
		}
		if got := fmt.Sprintf("%s %s %s %v %v", m.Type, m.EventID, m.Model(), names, m.Ambiguous); !ok || got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{``, `[]`, `{`, `{"session":{"a":}}`} {
		if _, ok := ParseMessage([]byte(in)); ok {
			t.Errorf("%s was taken", in)
		}
	}
}
