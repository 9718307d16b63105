package openai

import (
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/rawjson"
	"github.com/hostless/hostless/pkg/jsonscan"
)

// webSearch writes what the provider has for a search of the web. OpenRouter's plugin
// searches each time, not as the model sees fit: beside tools it would search at each
// of an agent's turns, and is left out unless it was demanded.
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
