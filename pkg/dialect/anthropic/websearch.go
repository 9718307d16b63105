package anthropic

import (
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// Anthropic's tools that search the web and read pages
// (https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool).
const (
	searchTool = "web_search"
	searchType = "web_search_20250305"
	fetchTool  = "web_fetch"
	fetchType  = "web_fetch_20250910"
	fetchBeta  = "web-fetch-2025-09-10"
)

// madeHere stands for Anthropic's encrypted results in searches that another
// provider made. Foreign removes such results.
const madeHere = sealedPrefix + "search"

// searchID begins the id of the blocks of such a search.
const searchID = "srvtoolu_hostless_"

// inSearch holds the members of Anthropic's web_search tool besides its name.
type inSearch struct {
	MaxUses  int64         `json:"max_uses"`
	Allowed  []string      `json:"allowed_domains"`
	Blocked  []string      `json:"blocked_domains"`
	Location dialect.Place `json:"user_location"`
}

// web adds a tool that searches the web or reads its pages to w. It returns false for
// any other tool.
func (t *inTool) web(w **dialect.WebSearch) bool {
	search := strings.HasPrefix(t.Type, "web_search_")
	switch {
	case search:
		fetch := *w != nil && (*w).Fetch
		*w = &dialect.WebSearch{
			MaxUses: t.MaxUses, Allowed: t.Allowed, Blocked: t.Blocked, Location: dialect.At(t.Location), Fetch: fetch, From: "tools." + searchTool,
		}
	case strings.HasPrefix(t.Type, "web_fetch_"):
		if *w == nil {
			*w = &dialect.WebSearch{NoSearch: true, MaxUses: t.MaxUses, Allowed: t.Allowed, Blocked: t.Blocked, From: "tools." + fetchTool}
		}
		(*w).Fetch = true
	default:
		return false
	}
	return true
}

// putSearch adds Anthropic's own tools for a search that the client wants. If a
// tool of the client has the same name, the model calls that one.
func (t *fromChat) putSearch() error {
	w, err := dialect.ReadWebSearch(t.req.WebSearch)
	if w == nil || err != nil {
		return err
	}
	if slices.Contains(t.toolNames, searchTool) || slices.Contains(t.toolNames, fetchTool) {
		t.names, err = w.Unavailable(t.names)
		return err
	}
	t.mustSearch = w.Forced && !w.NoSearch
	if !w.NoSearch {
		o := jsonscan.Obj(member("type", text(searchType)), member("name", text(searchTool)))
		if w.MaxUses > 0 {
			o.Put("max_uses", jsonscan.Raw(strconv.AppendInt(nil, w.MaxUses, 10)))
		}
		switch {
		case len(w.Allowed) > 0:
			o.Put("allowed_domains", jsonscan.Raw(rawjson.Must(w.Allowed)))
			if len(w.Blocked) > 0 {
				t.ignore(w.Name() + ".blocked_domains") // Anthropic accepts only one of the two lists
			}
		case len(w.Blocked) > 0:
			o.Put("blocked_domains", jsonscan.Raw(rawjson.Must(w.Blocked)))
		}
		if w.Location != nil {
			o.Put("user_location", location(w.Location.Approximate))
		}
		t.tools, t.toolNames = append(t.tools, o), append(t.toolNames, searchTool)
	}
	if w.Size != "" && w.Size != "medium" {
		t.ignore(w.Name() + ".search_context_size")
	}
	if w.Fetch {
		t.fetches = true
		o := jsonscan.Obj(member("type", text(fetchType)), member("name", text(fetchTool)))
		if w.MaxUses > 0 {
			o.Put("max_uses", jsonscan.Raw(strconv.AppendInt(nil, w.MaxUses, 10)))
		}
		t.tools, t.toolNames = append(t.tools, o), append(t.toolNames, fetchTool)
	}
	return nil
}

func location(p dialect.Place) jsonscan.Value {
	o := jsonscan.Obj(member("type", text("approximate")))
	for _, f := range [...]struct{ name, value string }{{"city", p.City}, {"region", p.Region}, {"country", p.Country}, {"timezone", p.Timezone}} {
		if f.value != "" {
			o.PutText(f.name, f.value)
		}
	}
	return o
}

// search is a search or a page view of Anthropic's, as its blocks describe it.
type search struct {
	name  string // web_search or web_fetch
	input []byte // JSON, so far
}

// entry returns the search with the content of its result block.
func (s *search) entry(result json.RawMessage) dialect.Search {
	var input struct {
		Query string `json:"query"`
		URL   string `json:"url"`
	}
	jsonscan.Decode(s.input, &input)
	if s.name == fetchTool {
		return dialect.Search{Page: input.URL}
	}
	out := dialect.Search{Query: input.Query}
	jsonscan.Decode(result, &out.Results) // an object if the search failed
	return out
}

// searchBlocks returns the blocks with which Anthropic would describe a search of
// another provider: the request and its results. A page that was read has no
// blocks, because its text is not known here.
func (r *messageReply) searchBlocks(s *dialect.Search) (use, result jsonscan.Value) {
	id := searchID + r.options.NewID()
	input := jsonscan.Obj()
	if s.Query != "" {
		input.PutText("query", s.Query)
	}
	use = jsonscan.Obj(member("type", jsonscan.Lit(`"server_tool_use"`)), member("id", text(id)), member("name", text(searchTool)), member("input", input))
	results := make([]jsonscan.Value, len(s.Results))
	for i, source := range s.Results {
		if u, err := url.Parse(source.URL); err == nil && source.Title == "" {
			source.Title = u.Hostname() // the real title comes later, if at all
		}
		results[i] = jsonscan.Obj(
			member("type", jsonscan.Lit(`"web_search_result"`)), member("url", text(source.URL)), member("title", text(source.Title)),
			member("encrypted_content", text(madeHere)), member("page_age", jsonscan.Lit("null")))
		if source.Age != "" {
			results[i].PutText("page_age", source.Age)
		}
	}
	result = jsonscan.Obj(member("type", jsonscan.Lit(`"web_search_tool_result"`)), member("tool_use_id", text(id)), member("content", jsonscan.Arr(results)))
	return use, result
}

// searches returns the searches of a response. A provider that reports no search,
// but cites sources, has made one search; only clients that asked for a search get
// it.
func (r *messageReply) searches(reported []dialect.Search, cited []dialect.URLCitation) (out []dialect.Search) {
	for _, s := range reported {
		if s.Page == "" {
			out = append(out, s)
		}
	}
	if len(reported) > 0 || len(cited) == 0 || !r.searching {
		return out
	}
	var one dialect.Search
	for _, c := range cited {
		if !slices.ContainsFunc(one.Results, func(s dialect.Source) bool { return s.URL == c.URL }) {
			one.Results = append(one.Results, dialect.Source{URL: c.URL, Title: c.Title})
		}
	}
	return []dialect.Search{one}
}

// citation returns a citation in Anthropic's form.
func citation(c *dialect.URLCitation) jsonscan.Value {
	return jsonscan.Obj(
		member("type", jsonscan.Lit(`"web_search_result_location"`)), member("url", text(c.URL)), member("title", text(c.Title)),
		member("encrypted_index", text(madeHere)), member("cited_text", text(c.Cited)))
}

// citedBlocks splits a response's text where its citations begin and end, because
// in Messages a citation belongs to a whole block. Citations without a position are
// attached to the last block.
func citedBlocks(answer jsonscan.String, cited []dialect.URLCitation) []jsonscan.Value {
	if len(cited) == 0 {
		return []jsonscan.Value{textBlock(jsonscan.Str(answer))}
	}
	runes := []rune(answer.Text())
	cited = slices.Clone(cited)
	for i := range cited {
		if c := &cited[i]; c.Start < 0 || c.End <= c.Start || c.End > len(runes) {
			c.Start, c.End = 0, len(runes)
		}
	}
	cuts := []int{0, len(runes)}
	for _, c := range cited {
		cuts = append(cuts, c.Start, c.End)
	}
	sort.Ints(cuts)
	cuts = slices.Compact(cuts)
	var out []jsonscan.Value
	for i := 1; i < len(cuts); i++ {
		block := textBlock(text(string(runes[cuts[i-1]:cuts[i]])))
		var here []jsonscan.Value
		for j := range cited {
			if cited[j].Start <= cuts[i-1] && cited[j].End >= cuts[i] {
				here = append(here, citation(&cited[j]))
			}
		}
		if here != nil {
			block.Put("citations", jsonscan.Arr(here))
		}
		out = append(out, block)
	}
	return out
}

// foreignCitations returns the edits that remove citations made here from a text
// block.
func foreignCitations(data []byte, block jsonscan.Span) []jsonscan.Edit {
	at := jsonscan.Fields(data, block, "citations")[0]
	if !strings.Contains(string(at.Of(data)), madeHere) {
		return nil
	}
	return []jsonscan.Edit{{At: at, Text: []byte("null")}}
}
