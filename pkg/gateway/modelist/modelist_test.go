package modelist

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][]Info{
		`{"data":[{"id":"a","created":7.0,"owned_by":"o","context_length":5,"max_completion_tokens":3},{"id":""},7]}`:      {{ID: "a", Created: 7, Owner: "o", Input: 5, Output: 3}},
		`{"data":[{"id":"a","display_name":"A","created_at":"1970-01-01T00:00:09Z","max_input_tokens":4,"max_tokens":2}]}`: {{ID: "a", Title: "A", Created: 9, Input: 4, Output: 2}},
		`[{"id":"a","name":"A"}]`: {{ID: "a", Title: "A"}},
		`{"data":[{"id":"a","max_model_len":4,"top_provider":{"max_completion_tokens":2}}]}`: {{ID: "a", Input: 4, Output: 2}},
		`{"models":[{"name":"models/a","displayName":"A","inputTokenLimit":4,"outputTokenLimit":2}]}`: {{
			ID: "a", Title: "A", Owner: "google", Input: 4, Output: 2,
			Raw: json.RawMessage(`{"name":"models/a","displayName":"A","inputTokenLimit":4,"outputTokenLimit":2}`),
		}},
		`{}`: {},
	} {
		got, err := parse([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
	if _, err := parse([]byte(`<html>`)); err == nil {
		t.Error("a page was read as a list")
	}
}

func TestEncode(t *testing.T) {
	m := Model{ID: "p/a", Provider: "p", Info: Info{ID: "a", Owner: "o", Created: 1}}
	for shape, want := range map[dialect.Name]string{
		dialect.OpenAI:    `{"data":[{"created":1,"id":"p/a","object":"model","owned_by":"o"}],"object":"list"}`,
		dialect.Anthropic: `{"data":[{"type":"model","id":"p/a","display_name":"p/a","created_at":"1970-01-01T00:00:01Z"}],"first_id":"p/a","has_more":true,"last_id":"p/a"}`,
	} {
		got, err := json.Marshal(Encode(shape, Page{Models: []Model{m}, More: true}))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", shape, got, err, want)
		}
	}
}

func TestPageOf(t *testing.T) {
	all := []Model{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	for query, want := range map[string]string{"": "abc", "pageSize=2": "ab>", "pageSize=2&pageToken=Yw": "c", "pageSize=0": "abc"} {
		values, _ := url.ParseQuery(query)
		p, err := PageOf(dialect.Gemini, values, all)
		got := ""
		for _, m := range p.Models {
			got += m.ID
		}
		if p.Next != "" {
			got += ">"
		}
		if err != nil || got != want || p.More != (p.Next != "") {
			t.Errorf("%q: %s, %v; want %s", query, got, err, want)
		}
	}
	for _, query := range []string{"pageSize=-1", "pageSize=x", "pageToken=eA"} {
		values, _ := url.ParseQuery(query)
		if _, err := PageOf(dialect.Gemini, values, all); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", query, err)
		}
	}
}
