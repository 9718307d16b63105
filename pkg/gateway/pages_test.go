package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestModelsInPages(t *testing.T) {
	w := newWorld(t)
	w.settings.EchoOff = true
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"data":[{"id":"gpt-1"},{"id":"gpt-2"},{"id":"gpt-3"},{"id":"gpt-4"},{"id":"gpt-5"}]}`)
	})
	for _, tt := range []struct {
		query string
		want  string
		more  bool
	}{
		{"", "1 2 3 4 5", false},
		{"?limit=2", "1 2", true},
		{"?limit=2&after_id=gpt-2", "3 4", true},
		{"?limit=2&after_id=gpt-3", "4 5", false},
		{"?after_id=gpt-5", "", false},
		{"?limit=2&before_id=gpt-4", "2 3", true},
		{"?limit=9&before_id=gpt-4", "1 2 3", false},
	} {
		a := w.do("GET", "/v1/models"+tt.query, "", "anthropic-version", "2023-06-01")
		var list struct {
			Data  []struct{ ID string }
			First string `json:"first_id"`
			Last  string `json:"last_id"`
			More  bool   `json:"has_more"`
		}
		json.Unmarshal([]byte(a.body), &list)
		var ids []string
		for _, m := range list.Data {
			ids = append(ids, strings.TrimPrefix(m.ID, "gpt-"))
		}
		if got := strings.Join(ids, " "); a.status != 200 || got != tt.want || list.More != tt.more {
			t.Errorf("%s: %d %s", tt.query, a.status, a.body)
		}
		if n := len(list.Data); n > 0 && (list.First != list.Data[0].ID || list.Last != list.Data[n-1].ID) {
			t.Errorf("%s: ends %s", tt.query, a.body)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?after_id=nope", "?before_id=nope"} {
		w.do("GET", "/v1/models"+query, "", "anthropic-version", "2023-06-01").want(t, 400, "invalid_request_error")
	}
	w.do("GET", "/v1/models?limit=1", "").want(t, 200, "gpt-5") // OpenAI's list has no pages

	var names []string
	for token, pages := "", 0; pages == 0 || token != ""; pages++ {
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
		a := w.do("GET", fmt.Sprintf("/v1beta/models?pageSize=2&pageToken=%s", token), "")
		var list struct {
			Models []struct{ Name string }
			Next   string `json:"nextPageToken"`
		}
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 || len(list.Models) > 2 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, m := range list.Models {
			names = append(names, strings.TrimPrefix(m.Name, "models/"))
		}
		token = list.Next
	}
	if want := []string{"gpt-1", "gpt-2", "gpt-3", "gpt-4", "gpt-5"}; !slices.Equal(names, want) {
		t.Errorf("Gemini's pages: %v", names)
	}
	w.do("GET", "/v1beta/models?pageToken=bm9wZQ", "").want(t, 400, "INVALID_ARGUMENT")
}
