package plan

import (
	"bytes"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// searchesTheWeb reports whether the request asks for the provider's search of the web,
// in the words of its dialect.
func (r *Request) searchesTheWeb() bool {
	body := r.Call.Body
	if !bytes.Contains(body, []byte("web_search")) && !bytes.Contains(body, []byte("oogle")) && !bytes.Contains(body, []byte("rlContext")) && !bytes.Contains(body, []byte("url_context")) {
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

// inlineFiles has the files downloaded, within the limits of one request, that messages
// name by URL and that the provider does not fetch itself.
func (r *Request) inlineFiles(first dialect.Translator, wanted func(url string) bool) dialect.Translator {
	return dialect.InlineFiles(r.HTTP.Context(), first, r.Planner.cfg.Fetcher.Budget().Fetch, wanted)
}

// textFile is whether a URL leads to a text, by its name.
func textFile(url string) bool { return dialect.FileKind(url) == "text" }
