package responses

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// isSearch reports whether a tool's type is OpenAI's search of the web, by its name or
// a dated or earlier one (https://platform.openai.com/docs/guides/tools-web-search).
func isSearch(kind string) bool {
	return kind == "web_search" || strings.HasPrefix(kind, "web_search_preview") || strings.HasPrefix(kind, "web_search_20")
}

// searchSpec is what OpenAI's web_search has beside its type.
type searchSpec struct {
	Size    string `json:"search_context_size"`
	Filters struct {
		Allowed []string `json:"allowed_domains"`
		Blocked []string `json:"blocked_domains"`
	} `json:"filters"`
	Location dialect.Place `json:"user_location"`
}

// webSearch is the wish for a search that a tool is.
func (s *toolSpec) webSearch() *dialect.WebSearch {
	return &dialect.WebSearch{
		Size: s.Size, Allowed: s.Filters.Allowed, Blocked: s.Filters.Blocked,
		Location: dialect.At(s.searchSpec.Location), From: "tools." + s.Type,
	}
}

// searchItem is a search, or the opening of a page, that the provider made.
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

// search makes the client's item of a search; sources are given to those that ask.
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

// entries are what an item of the provider's tells: a search for each query, what was
// found standing with the first, or a page that was opened.
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

// queries counts the searches among entries.
func queries(list []dialect.Search) (n int) {
	for i := range list {
		if list[i].Page == "" {
			n++
		}
	}
	return n
}

// titled returns the results of searches the titles that citations of them have.
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

// citationsOf are the annotations of a part of an answer's text, which begins behind so
// many characters of it, in the words of the Responses API.
func citationsOf(annotations []json.RawMessage, from int, text string) (out []any) {
	if len(annotations) == 0 {
		return nil
	}
	length := utf8.RuneCountInString(text)
	for _, c := range dialect.ReadCitations(annotations) {
		if c.End <= c.Start {
			c.Start, c.End = from, from+length // it has no place of its own
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

// searched shows searches that the provider made, each in an item of its own.
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
