package plan

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// searchesTheWeb reports whether the request asks for the provider's web search, in its
// dialect.
func (r *Request) searchesTheWeb() bool {
	if r.Envelope != nil {
		return r.Matched.Dialect == dialect.OpenAI && r.Envelope.SearchOptions || r.offersSearch()
	}
	body := r.Call.Body
	if !bytes.Contains(body, []byte("web_search")) && !bytes.Contains(body, []byte("oogle")) && !bytes.Contains(body, []byte("WebSearch")) && !bytes.Contains(body, []byte("rlContext")) && !bytes.Contains(body, []byte("url_context")) {
		return false
	}
	var tools jsonscan.Value
	for name, value := range jsonscan.Raw(body).Members() {
		switch {
		case name == "web_search_options" && r.Matched.Dialect == dialect.OpenAI:
			return value.Set()
		case name == "tools":
			tools = value
		}
	}
	return r.searchAmong(tools)
}

// offersSearch reports whether the tools of a request with an envelope include a web
// search.
func (r *Request) offersSearch() bool {
	for _, m := range r.Envelope.Holders {
		if m.Name == "tools" && r.searchAmong(jsonscan.Raw(m.Value)) {
			return true
		}
	}
	return false
}

func (r *Request) searchAmong(tools jsonscan.Value) bool {
	if r.Matched.Dialect != dialect.Anthropic && r.Matched.Dialect != dialect.Gemini {
		return false
	}
	for _, tool := range tools.Elements() {
		switch r.Matched.Dialect {
		case dialect.Anthropic:
			if strings.HasPrefix(tool.Get("type").String().Text(), "web_search_") {
				return true
			}
		case dialect.Gemini:
			for name := range tool.Members() {
				switch name {
				case "googleSearch", "google_search", "googleSearchRetrieval", "google_search_retrieval", "enterpriseWebSearch", "enterprise_web_search", "urlContext", "url_context":
					return true
				}
			}
		}
	}
	return false
}

// inlineFiles wraps a translator so that it downloads files which messages refer to by URL
// and the provider does not fetch itself, within the limits for one request.
func (r *Request) inlineFiles(first dialect.Translator, wanted func(url string) bool) dialect.Translator {
	return dialect.InlineFiles(r.HTTP.Context(), first, r.Planner.cfg.Fetcher.Budget().Fetch, wanted)
}

// textFile reports whether a URL has the name of a text file.
func textFile(url string) bool { return dialect.FileKind(url) == "text" }

// refusesSearch reports whether an error, in lower case, means that the model or the
// account has no web search.
func refusesSearch(lower string) bool {
	return strings.Contains(lower, "web search") || strings.Contains(lower, "web_search") || strings.Contains(lower, "web_fetch") || strings.Contains(lower, "web fetch")
}

// withoutSearch returns the edits that remove the provider's web search from the tools of a
// request, if it is optional and there are other tools. at has the positions of the tools
// and of tool_choice.
func withoutSearch(body []byte, at []jsonscan.Span) (edits []jsonscan.Edit, names []string) {
	if bytes.Contains(at[1].Of(body), []byte(`"web_`)) {
		return nil, nil
	}
	all := jsonscan.Spans(body, at[0])
	search := make([]bool, len(all))
	n := 0
	for i, tool := range all {
		kind := jsonscan.Fields(body, tool, "type")[0].Of(body)
		if search[i] = bytes.HasPrefix(kind, []byte(`"web_search`)) || bytes.HasPrefix(kind, []byte(`"web_fetch`)); search[i] {
			n++
		}
	}
	if n == 0 || n == len(all) {
		return nil, nil
	}
	return jsonscan.Cut(all, func(i int) bool { return search[i] }), []string{"web_search"}
}
