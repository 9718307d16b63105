package responses

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// isSearch reports whether a tool's type is OpenAI's web search, under its current,
// a dated or an earlier name
// (https://platform.openai.com/docs/guides/tools-web-search).
func isSearch(kind string) bool {
	return kind == "web_search" || strings.HasPrefix(kind, "web_search_preview") || strings.HasPrefix(kind, "web_search_20")
}

// searchSpec holds the members of OpenAI's web_search besides its type.
type searchSpec struct {
	Size    string `json:"search_context_size"`
	Filters struct {
		Allowed []string `json:"allowed_domains"`
		Blocked []string `json:"blocked_domains"`
	} `json:"filters"`
	Location dialect.Place `json:"user_location"`
}

// webSearch returns the web search that a tool stands for.
func (s *toolSpec) webSearch() *dialect.WebSearch {
	return &dialect.WebSearch{
		Size: s.Size, Allowed: s.Filters.Allowed, Blocked: s.Filters.Blocked,
		Location: dialect.At(s.searchSpec.Location), From: "tools." + s.Type,
	}
}

// searchItem is a search, or the opening of a page, by the provider.
type searchItem struct {
	ID     string       `json:"id"`
	Type   string       `json:"type"`
	Status string       `json:"status"`
	Action searchAction `json:"action"`
}

type searchAction struct {
	Type    string         `json:"type"` // search, open_page or find_in_page
	Query   *string        `json:"query,omitempty"`
	Queries []string       `json:"queries,omitempty"`
	URL     string         `json:"url,omitempty"`
	Sources []searchSource `json:"sources,omitempty"`
}

type searchSource struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

// search returns the client's item for a search. Its sources are only included if
// the client asked for them.
func (r *reply) search(id string, s *dialect.Search, status string) searchItem {
	it := searchItem{ID: id, Type: "web_search_call", Status: status, Action: searchAction{Type: "search", Query: &s.Query}}
	if s.Page != "" {
		it.Action = searchAction{Type: "open_page", URL: s.Page}
	}
	if r.sources {
		for _, source := range s.Results {
			it.Action.Sources = append(it.Action.Sources, searchSource{"url", source.URL})
		}
	}
	return it
}

// entries returns what a provider's item describes: a search for each query, with
// all results added to the first one, or a page that was opened.
func (a *searchAction) entries() (out []dialect.Search) {
	switch {
	case a.Type == "open_page" && a.URL != "":
		return []dialect.Search{{Page: a.URL}}
	case a.Type != "search":
		return nil
	}
	for _, query := range a.Queries {
		out = append(out, dialect.Search{Query: query})
	}
	if len(out) == 0 {
		out = []dialect.Search{{}}
		if a.Query != nil {
			out[0].Query = *a.Query
		}
	}
	for _, source := range a.Sources {
		if source.URL != "" {
			out[0].Results = append(out[0].Results, dialect.Source{URL: source.URL})
		}
	}
	return out
}

// queries returns the number of searches among entries.
func queries(list []dialect.Search) (n int) {
	for i := range list {
		if list[i].Page == "" {
			n++
		}
	}
	return n
}

// titled adds the titles of citations to the results of searches.
func titled(list []dialect.Search, annotations []jsonscan.Value) []dialect.Search {
	titles := map[string]string{}
	for _, a := range annotations {
		for _, c := range dialect.ReadCitations([]json.RawMessage{a.JSON()}) {
			titles[c.URL] = c.Title
		}
	}
	for i := range list {
		for j := range list[i].Results {
			if r := &list[i].Results[j]; r.Title == "" {
				r.Title = titles[r.URL]
			}
		}
	}
	return list
}

// citation is an annotation of a part of text.
type citation struct {
	Type  string `json:"type"`
	Start int    `json:"start_index"`
	End   int    `json:"end_index"`
	URL   string `json:"url"`
	Title string `json:"title"`
}

// citationsOf returns the annotations, in the form of the Responses API, of a part
// of a response's text that begins after from characters of the text.
func citationsOf(annotations []json.RawMessage, from int, text string) (out []any) {
	if len(annotations) == 0 {
		return nil
	}
	length := utf8.RuneCountInString(text)
	for _, c := range dialect.ReadCitations(annotations) {
		if c.End <= c.Start {
			c.Start, c.End = from, from+length // it has no position
		}
		start, end := c.Start-from, c.End-from
		if end <= 0 && from > 0 || start >= length && start > 0 {
			continue // of another part
		}
		out = append(out, citation{"url_citation", max(start, 0), min(end, length), c.URL, c.Title})
	}
	for _, raw := range annotations {
		var a struct {
			Type string `json:"type"`
			File struct {
				ID    string `json:"file_id"`
				Name  string `json:"filename"`
				Start int    `json:"start_index"`
			} `json:"file_citation"`
		}
		if jsonscan.Decode(raw, &a) == nil && a.Type == "file_citation" {
			out = append(out, map[string]any{"type": a.Type, "file_id": a.File.ID, "filename": a.File.Name, "index": a.File.Start})
		}
	}
	return out
}

// searched sends the searches that the provider made, each as a separate item.
func (s *stream) searched(emit emitter, list []dialect.Search) {
	for i := range list {
		if s.message == nil {
			s.closeReasoning(emit)
		}
		id, index := "ws_"+s.r.options.NewID(), s.next()
		s.added(emit, index, s.r.search(id, &list[i], "in_progress"))
		for _, state := range [...]string{"in_progress", "searching", "completed"} {
			s.send(emit, "response.web_search_call."+state, map[string]any{"item_id": id, "output_index": index})
		}
		s.doneItem(emit, index, s.r.search(id, &list[i], "completed"))
	}
}

// annotate adds citations to the open part of text.
func (s *stream) annotate(emit emitter, annotations []json.RawMessage) {
	if len(annotations) == 0 || s.message == nil || s.message.part != "output_text" {
		return
	}
	for _, a := range citationsOf(annotations, s.before, s.message.text.String()) {
		s.send(emit, "response.output_text.annotation.added", s.partFields(map[string]any{"annotation_index": len(s.message.annotations), "annotation": a}))
		s.message.annotations = append(s.message.annotations, a)
	}
}
