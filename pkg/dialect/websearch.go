package dialect

import (
	"encoding/json"
	"fmt"

	"github.com/hostless/hostless/pkg/jsonscan"
)

// WebSearch is web_search_options of the intermediate form: the provider may, or
// must, search the web while its model responds. The first two members are OpenAI's
// own for chat completions; providers of chat completions never get the others.
type WebSearch struct {
	Size     string          `json:"search_context_size,omitempty"` // low, medium or high
	Location *SearchLocation `json:"user_location,omitempty"`

	Allowed  []string `json:"allowed_domains,omitempty"`
	Blocked  []string `json:"blocked_domains,omitempty"`
	MaxUses  int64    `json:"max_uses,omitempty"`  // maximum number of searches for one response; 0 means any number
	Fetch    bool     `json:"fetch,omitempty"`     // the model may read pages whose URL is in the conversation
	NoSearch bool     `json:"no_search,omitempty"` // pages may be read, but there is no search
	Required bool     `json:"required,omitempty"`  // the request is pointless without it
	Forced   bool     `json:"forced,omitempty"`    // the model must search
	From     string   `json:"from,omitempty"`      // the client's name for it; "" means web_search_options
}

// SearchLocation is the approximate location of the user.
type SearchLocation struct {
	Type        string `json:"type"` // approximate
	Approximate Place  `json:"approximate"`
}

// Place names a place. Each field may be "".
type Place struct {
	City     string `json:"city,omitempty"`
	Region   string `json:"region,omitempty"`
	Country  string `json:"country,omitempty"` // ISO 3166-1, two letters
	Timezone string `json:"timezone,omitempty"`
}

// At returns the location of a place, or nil if p is empty.
func At(p Place) *SearchLocation {
	if p == (Place{}) {
		return nil
	}
	return &SearchLocation{Type: "approximate", Approximate: p}
}

// SearchOptions are the members of web_search_options that OpenAI knows.
var SearchOptions = []string{"search_context_size", "user_location"}

// ReadWebSearch reads web_search_options. It returns nil if v is absent or null.
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

// Value returns the member of the intermediate form.
func (w *WebSearch) Value() jsonscan.Value {
	raw, err := json.Marshal(w)
	if err != nil {
		panic(err) // cannot happen: there are only strings and numbers
	}
	return jsonscan.Raw(raw)
}

// Name returns the client's name for the search.
func (w *WebSearch) Name() string {
	if w.From == "" {
		return "web_search_options"
	}
	return w.From
}

// Unavailable handles a search that the provider cannot make for this request: it
// leaves it out and adds its name to ignored, or returns a fault if the search is
// required.
func (w *WebSearch) Unavailable(ignored []string) ([]string, error) {
	if !w.Required {
		return Ignore(ignored, w.Name()), nil
	}
	what := "web search"
	if w.NoSearch {
		what = "reading pages by URL"
	}
	return nil, Invalid(w.Name(), fmt.Sprintf("%s asks for %s, which this provider or model does not offer: use anthropic, google or openai, or send a function of your own", w.Name(), what))
}

// Search is one entry of web_searches of the intermediate form, in a message or
// delta: a search that the provider made for its model, or a page that it read.
type Search struct {
	Query   string   `json:"query,omitempty"`
	Results []Source `json:"results,omitempty"`
	Page    string   `json:"page,omitempty"` // URL of the page; Query is "" then
}

// Source is one result of a search.
type Source struct {
	URL   string `json:"url"`
	Title string `json:"title"`
	Age   string `json:"page_age,omitempty"`
}

// Annotation is an entry of a message's annotations in chat completions.
type Annotation struct {
	Type string      `json:"type"` // url_citation; others contain no URL
	URL  URLCitation `json:"url_citation"`
}

// URLCitation is the source of a part of a message's content.
type URLCitation struct {
	Start int    `json:"start_index"` // in characters of the content
	End   int    `json:"end_index"`
	URL   string `json:"url"`
	Title string `json:"title"`
	Cited string `json:"cited_text,omitempty"` // the text in the source
}

// ReadCitations returns the annotations that are citations with a URL.
func ReadCitations(annotations []json.RawMessage) (out []URLCitation) {
	for _, raw := range annotations {
		var a Annotation
		if jsonscan.Decode(raw, &a) == nil && a.Type == "url_citation" && a.URL.URL != "" {
			out = append(out, a.URL)
		}
	}
	return out
}

// Searched is the part of a message or delta that describes web searches.
type Searched struct {
	Annotations []json.RawMessage `json:"annotations"`
	Searches    []Search          `json:"web_searches"`
}

// Sourced is the part of a completion, or of a chunk of one, in which some
// providers of chat completions list their sources outside of the message:
// Perplexity's search_results, and citations, which xAI has too. It is meant to be
// embedded.
type Sourced struct {
	Citations     []json.RawMessage `json:"citations"` // URLs
	SearchResults []Source          `json:"search_results"`
}

// Found returns the sources as annotations of the whole text, without positions.
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

// ToolUse is the usage of tools that the provider ran, in the intermediate form.
type ToolUse struct {
	Searches int64 `json:"web_search_requests"`
}
