package openai

import (
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// webSearch writes the provider's form of a web search. OpenRouter's plugin
// searches with every request instead of letting the model decide. With tools it
// would search in each of an agent's turns, so it is left out unless the search is
// required.
func (p *restriction) webSearch(out *jsonscan.Value, options jsonscan.Value, tools bool) error {
	w, err := dialect.ReadWebSearch(options)
	if w == nil || err != nil {
		return err
	}
	switch {
	case p.facts.onward():
		out.Put(WebSearchOptions, options)
		return nil
	case w.NoSearch:
	case p.facts.Takes(WebSearchOptions) || Searches(p.in.Model):
		own := jsonscan.Obj()
		for name, value := range options.Members() {
			if slices.Contains(dialect.SearchOptions, name) {
				own.Put(name, value)
			}
		}
		out.Put(WebSearchOptions, own)
		return nil
	case p.facts.Takes(Plugins) && (w.Required || !tools):
		plugin := jsonscan.Obj(jsonscan.Field{Name: "id", Value: jsonscan.Lit(`"web"`)})
		if len(w.Allowed) > 0 {
			plugin.Put("include_domains", jsonscan.Raw(rawjson.Must(w.Allowed)))
		}
		if len(w.Blocked) > 0 {
			plugin.Put("exclude_domains", jsonscan.Raw(rawjson.Must(w.Blocked)))
		}
		out.Put(Plugins, jsonscan.Arr([]jsonscan.Value{plugin}))
		return nil
	}
	p.ignored, err = w.Unavailable(p.ignored)
	return err
}
