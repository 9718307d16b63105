package gemini

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// grounding is what a candidate reports about Google's search
// (https://ai.google.dev/gemini-api/docs/google-search).
type grounding struct {
	Queries []string `json:"webSearchQueries,omitempty"`
	Chunks  []struct {
		Web *webChunk `json:"web"`
	} `json:"groundingChunks,omitempty"`
	Supports []struct {
		Segment segment `json:"segment"`
		Chunks  []int   `json:"groundingChunkIndices"`
	} `json:"groundingSupports,omitempty"`
}

type webChunk struct {
	URI   string `json:"uri"`
	Title string `json:"title"`
}

// segment is a part of a candidate's text, in bytes.
type segment struct {
	Start int    `json:"startIndex"`
	End   int    `json:"endIndex"`
	Text  string `json:"text"`
}

// readPages are the pages that the model read by their URL.
type readPages struct {
	Pages []struct {
		URL    string `json:"retrievedUrl"`
		Status string `json:"urlRetrievalStatus,omitempty"`
	} `json:"urlMetadata"`
}

// searches returns the searches and the pages read, in the intermediate form.
// Google does not list results by query: they are all added to the first one.
func (c *candidate) searches() (out []dialect.Search) {
	if g := c.Grounding; g != nil {
		for _, query := range g.Queries {
			out = append(out, dialect.Search{Query: query})
		}
		if len(out) == 0 && len(g.Chunks) > 0 {
			out = []dialect.Search{{}}
		}
		for i := range g.Chunks {
			if web := g.Chunks[i].Web; web != nil {
				out[0].Results = append(out[0].Results, dialect.Source{URL: web.URI, Title: web.Title})
			}
		}
	}
	if c.Read != nil {
		for _, page := range c.Read.Pages {
			out = append(out, dialect.Search{Page: page.URL})
		}
	}
	return out
}

// annotations returns the citations of a candidate with the given text, in the
// intermediate form. Google counts in bytes, chat completions in characters.
func (g *grounding) annotations(text string) (out []dialect.Annotation) {
	if g == nil {
		return nil
	}
	at := func(n int) int { return utf8.RuneCountInString(text[:min(max(n, 0), len(text))]) }
	for i := range g.Supports {
		s := &g.Supports[i]
		for _, k := range s.Chunks {
			if k < 0 || k >= len(g.Chunks) || g.Chunks[k].Web == nil {
				continue
			}
			web := g.Chunks[k].Web
			out = append(out, dialect.Annotation{Type: "url_citation", URL: dialect.URLCitation{
				Start: at(s.Segment.Start), End: at(s.Segment.End), URL: web.URI, Title: web.Title,
			}})
		}
	}
	return out
}

// appendSearched appends the members of a message, or of a delta, that describe web
// searches.
func (c *candidate) appendSearched(b []byte, text string) []byte {
	if found := c.Grounding.annotations(text); len(found) > 0 {
		b = append(append(b, `,"annotations":`...), rawjson.Must(found)...)
	}
	if searches := c.searches(); len(searches) > 0 {
		b = append(append(b, `,"web_searches":`...), rawjson.Must(searches)...)
	}
	return b
}

// textOf returns a candidate's text without thoughts.
func textOf(texts []jsonscan.String) string {
	var b []byte
	for _, text := range texts {
		b = jsonscan.AppendUnquoted(b, text)
	}
	return string(b)
}

// nativeGrounding collects searches and citations, to be written in Google's form
// at the end of a choice.
type nativeGrounding struct {
	searches []dialect.Search
	cited    []dialect.URLCitation
	keep     bool   // the client asked for a search: the complete text is needed
	text     []byte // of the response; citations refer to positions in it
}

func (n *nativeGrounding) take(m *chatMessage, text jsonscan.String) {
	n.searches = append(n.searches, m.Searches...)
	n.cited = append(n.cited, dialect.ReadCitations(m.Annotations)...)
	if n.keep && len(n.text) <= maxCalls {
		n.text = jsonscan.AppendUnquoted(n.text, text)
	}
}

// beside adds the sources outside of the message, if the message cites none.
func (n *nativeGrounding) beside(annotations []json.RawMessage) {
	if len(n.cited) == 0 {
		n.cited = dialect.ReadCitations(annotations)
	}
}

// append appends groundingMetadata and urlContextMetadata as further members, if
// there is something to report.
func (n *nativeGrounding) append(b []byte) []byte {
	var queries []string
	var chunks []webChunk
	var pages readPages
	place := func(url, title string) int {
		i := slices.IndexFunc(chunks, func(c webChunk) bool { return c.URI == url })
		if i < 0 {
			i = len(chunks)
			chunks = append(chunks, webChunk{url, title})
		}
		return i
	}
	for _, s := range n.searches {
		if s.Page != "" {
			pages.Pages = append(pages.Pages, struct {
				URL    string `json:"retrievedUrl"`
				Status string `json:"urlRetrievalStatus,omitempty"`
			}{s.Page, "URL_RETRIEVAL_STATUS_SUCCESS"})
			continue
		}
		if s.Query != "" {
			queries = append(queries, s.Query)
		}
		for _, source := range s.Results {
			place(source.URL, source.Title)
		}
	}
	supports := n.supports(place)
	if len(pages.Pages) > 0 {
		b = append(append(b, `,"urlContextMetadata":`...), rawjson.Must(pages)...)
	}
	if len(queries) == 0 && len(chunks) == 0 {
		return b
	}
	from := len(b) + len(`,"groundingMetadata":`)
	b = append(b, `,"groundingMetadata":{`...)
	if len(queries) > 0 {
		b = append(appendName(b, from, "webSearchQueries"), rawjson.Must(queries)...)
	}
	if len(chunks) > 0 {
		list := make([]map[string]webChunk, len(chunks))
		for i, c := range chunks {
			list[i] = map[string]webChunk{"web": c}
		}
		b = append(appendName(b, from, "groundingChunks"), rawjson.Must(list)...)
	}
	if len(supports) > 0 {
		b = append(appendName(b, from, "groundingSupports"), rawjson.Array(supports)...)
	}
	return append(b, '}')
}

// supports returns the citations, with positions in characters converted to bytes.
func (n *nativeGrounding) supports(place func(url, title string) int) (out []json.RawMessage) {
	if len(n.cited) == 0 {
		return nil
	}
	runes := []rune(string(n.text))
	for _, c := range n.cited {
		chunk := place(c.URL, c.Title)
		if len(runes) == 0 {
			continue
		}
		start, end := c.Start, c.End
		if start < 0 || end <= start || end > len(runes) {
			start, end = 0, len(runes)
		}
		cited := string(runes[start:end])
		first := len(string(runes[:start]))
		b := strconv.AppendInt([]byte(`{"segment":{"startIndex":`), int64(first), 10)
		b = strconv.AppendInt(append(b, `,"endIndex":`...), int64(first+len(cited)), 10)
		b = jsonscan.AppendQuote(append(b, `,"text":`...), cited)
		b = strconv.AppendInt(append(b, `},"groundingChunkIndices":[`...), int64(chunk), 10)
		out = append(out, append(b, "]}"...))
	}
	return out
}

// queries returns the number of searches of a candidate.
func (c *candidate) queries() (n int) {
	for _, s := range c.searches() {
		if s.Page == "" {
			n++
		}
	}
	return n
}
