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

// The tools by which Anthropic searches the web and reads pages
// (https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool).
const (
	searchTool = "web_search"
	searchType = "web_search_20250305"
	fetchTool  = "web_fetch"
	fetchType  = "web_fetch_20250910"
	fetchBeta  = "web-fetch-2025-09-10"
)

// madeHere is what stands for Anthropic's encrypted results in searches that another
// provider made: Foreign takes both out again.
const madeHere = sealedPrefix + "search"

// searchID begins the id of such a search's blocks.
const searchID = "srvtoolu_hostless_"

// inSearch is what Anthropic's web_search has beside its name, among the tools.
type inSearch struct {
	MaxUses  int64         `json:"max_uses"`
	Allowed  []string      `json:"allowed_domains"`
	Blocked  []string      `json:"blocked_domains"`
	Location dialect.Place `json:"user_location"`
}

// webSearch returns the wish for a search that a tool is; nil of any other tool.
func (t *inTool) webSearch() *dialect.WebSearch {
	if !strings.HasPrefix(t.Type, "web_search_") {
		return nil
	}
	return &dialect.WebSearch{
		MaxUses: t.MaxUses, Allowed: t.Allowed, Blocked: t.Blocked, Location: dialect.At(t.Location), From: "tools." + searchTool,
	}
}

// putSearch adds Anthropic's own tools for a search that the caller wants. Where one
// of the caller's own tools has such a name, that is what the model calls.
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
				t.ignore(w.Name() + ".blocked_domains") // Anthropic takes one list of the two
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

// search is a search, or the reading of a page, of Anthropic's, as its blocks tell.
type search struct {
	name  string // web_search or web_fetch
	input []byte // so far
}

// entry returns the search with what its result block holds.
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
	jsonscan.Decode(result, &out.Results) // an object where the search failed
	return out
}

// blocks are a search of another provider's in Anthropic's words: what the model asked
// for, and what it was given. A page that was read has none, since its text is not here.
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
			source.Title = u.Hostname() // what it is called comes later, if at all
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

// searches are those of an answer. A provider that searches without a word of it, but
// cites what it found, has searched once; only those who asked for a search hear so.
func (r *messageReply) searches(told []dialect.Search, cited []dialect.URLCitation) (out []dialect.Search) {
	for _, s := range told {
		if s.Page == "" {
			out = append(out, s)
		}
	}
	if len(told) > 0 || len(cited) == 0 || !r.searching {
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

// citation is a citation in Anthropic's words.
func citation(c *dialect.URLCitation) jsonscan.Value {
	return jsonscan.Obj(
		member("type", jsonscan.Lit(`"web_search_result_location"`)), member("url", text(c.URL)), member("title", text(c.Title)),
		member("encrypted_index", text(madeHere)), member("cited_text", text(c.Cited)))
}

// citedBlocks cuts an answer's text where its citations begin and end: a block of
// Anthropic's is cited as a whole. Citations without a place stand on the last block.
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

// foreignCitations returns the edits that take citations made here out of a text
// block.
func foreignCitations(data []byte, block jsonscan.Span) []jsonscan.Edit {
	at := jsonscan.Fields(data, block, "citations")[0]
	if !strings.Contains(string(at.Of(data)), madeHere) {
		return nil
	}
	return []jsonscan.Edit{{At: at, Text: []byte("null")}}
}
