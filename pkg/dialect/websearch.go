package dialect

import (
	"encoding/json"
	"fmt"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// WebSearch is the middle's web_search_options: the provider may, or has to, search
// the web while its model answers. Its first two members are OpenAI's own of chat
// completions; no provider of chat completions gets the others.
type WebSearch struct {
	Size     string          `json:"search_context_size,omitempty"` // low, medium or high
	Location *SearchLocation `json:"user_location,omitempty"`

	Allowed  []string `json:"allowed_domains,omitempty"`
	Blocked  []string `json:"blocked_domains,omitempty"`
	MaxUses  int64    `json:"max_uses,omitempty"`  // the most searches of one answer; 0 is any number
	Fetch    bool     `json:"fetch,omitempty"`     // pages whose URL the conversation names may be read
	NoSearch bool     `json:"no_search,omitempty"` // only that: there is no search
	Required bool     `json:"required,omitempty"`  // the request makes no sense without
	Forced   bool     `json:"forced,omitempty"`    // the model has to search, and is not asked whether
	From     string   `json:"from,omitempty"`      // the caller's own name of it; "" is web_search_options
}

// SearchLocation is where the user roughly is.
type SearchLocation struct {
	Type        string `json:"type"` // approximate
	Approximate Place  `json:"approximate"`
}

// Place is a place in words; each may be "".
type Place struct {
	City     string `json:"city,omitempty"`
	Region   string `json:"region,omitempty"`
	Country  string `json:"country,omitempty"` // ISO 3166-1, two letters
	Timezone string `json:"timezone,omitempty"`
}

// At returns the location of a place, nil if it names none.
func At(p Place) *SearchLocation {
	if p == (Place{}) {
		return nil
	}
	return &SearchLocation{Type: "approximate", Approximate: p}
}

// SearchOptions are the members of web_search_options that OpenAI knows.
var SearchOptions = []string{"search_context_size", "user_location"}

// ReadWebSearch reads web_search_options; nil is a request without.
func ReadWebSearch(v jsonscan.Value) (*WebSearch, error) {
	if !v.Set() {
		return nil, nil
	}
	w := &WebSearch{}
	if v.Kind() != '{' || v.Decode(w) != nil {
		return nil, Invalid("web_search_options", "web_search_options must be an object")
	}
	return w, nil
}

// Value is the middle's member.
func (w *WebSearch) Value() jsonscan.Value {
	raw, err := json.Marshal(w)
	if err != nil {
		panic(err) // of strings and numbers: cannot be
	}
	return jsonscan.Raw(raw)
}

// Name is what the caller calls it.
func (w *WebSearch) Name() string {
	if w.From == "" {
		return "web_search_options"
	}
	return w.From
}

// Unavailable settles a search that the provider cannot make beside the rest of the
// request: it is left out and named in ignored, or a fault where it was demanded.
func (w *WebSearch) Unavailable(ignored []string) ([]string, error) {
	if !w.Required {
		return Ignore(ignored, w.Name()), nil
	}
	what := "web search"
	if w.NoSearch {
		what = "the reading of pages by URL"
	}
	return nil, Invalid(w.Name(), fmt.Sprintf("%s asks for %s, which the provider itself has to offer: this provider or model does not; use one of anthropic, google or openai, or offer a function of your own", w.Name(), what))
}

// Search is one entry of the middle's web_searches, on a message or a delta: a search
// that the provider made for its model, or a page that it read.
type Search struct {
	Query   string   `json:"query,omitempty"`
	Results []Source `json:"results,omitempty"`
	Page    string   `json:"page,omitempty"` // the page's URL; Query is "" then
}

// Source is one result of a search.
type Source struct {
	URL   string `json:"url"`
	Title string `json:"title"`
	Age   string `json:"page_age,omitempty"`
}

// Annotation is an entry of a message's annotations in chat completions.
type Annotation struct {
	Type string      `json:"type"` // url_citation; others hold no URL
	URL  URLCitation `json:"url_citation"`
}

// URLCitation names the source of a part of a message's content.
type URLCitation struct {
	Start int    `json:"start_index"` // in characters of the content
	End   int    `json:"end_index"`
	URL   string `json:"url"`
	Title string `json:"title"`
	Cited string `json:"cited_text,omitempty"` // the source's own words
}

// ReadCitations returns the citations among annotations, which name a URL.
func ReadCitations(annotations []json.RawMessage) (out []URLCitation) {
	for _, raw := range annotations {
		var a Annotation
		if jsonscan.Decode(raw, &a) == nil && a.Type == "url_citation" && a.URL.URL != "" {
			out = append(out, a.URL)
		}
	}
	return out
}

// Searched is the part of a message or a delta that tells of the web.
type Searched struct {
	Annotations []json.RawMessage `json:"annotations"`
	Searches    []Search          `json:"web_searches"`
}

// Sourced is the part of a completion, or of a chunk of one, in which some providers of
// chat completions name their sources beside the message: Perplexity's search_results,
// and citations, which xAI has too. It is to be embedded.
type Sourced struct {
	Citations     []json.RawMessage `json:"citations"` // URLs
	SearchResults []Source          `json:"search_results"`
}

// Found returns the sources as annotations of the whole text: without a place in
// it.
func (s *Sourced) Found() (annotations []json.RawMessage) {
	add := func(c URLCitation) {
		if raw, err := json.Marshal(Annotation{Type: "url_citation", URL: c}); err == nil && c.URL != "" {
			annotations = append(annotations, raw)
		}
	}
	for _, r := range s.SearchResults {
		add(URLCitation{URL: r.URL, Title: r.Title})
	}
	if len(annotations) > 0 {
		return annotations
	}
	for _, raw := range s.Citations {
		if url, ok := jsonscan.Text(raw); ok {
			add(URLCitation{URL: url})
		}
	}
	return annotations
}

// ToolUse is the middle's usage of tools that the provider ran.
type ToolUse struct {
	Searches int64 `json:"web_search_requests"`
}
