package prices

import (
	"maps"
	"slices"
	"strings"
)

// Listed is one entry of a book.
type Listed struct {
	Provider string `json:"provider"` // canonical
	Model    string `json:"model"`    // one of config.json may end in *
	Own      bool   `json:"own"`      // from config.json
	Price    *Price `json:"price"`    // null if not known
	Context  int    `json:"context"`  // tokens of prompt and response together; 0 if not known
	Output   int    `json:"output"`   // maximum tokens of a response; 0 if not known
}

// List returns all entries of a book: first those of config.json, in the order of
// their precedence, then the snapshot's by provider and model.
func (b *Book) List() []Listed {
	out := []Listed{}
	for _, o := range b.own {
		model := o.model
		if o.glob {
			model += "*"
		}
		out = append(out, Listed{Provider: o.provider, Model: model, Own: true, Price: o.price})
	}
	for _, provider := range slices.Sorted(maps.Keys(names)) {
		lines := map[string]Listed{}
		for _, name := range slices.Backward(names[provider]) {
			for model, m := range b.snapshot[name].Models {
				lines[model] = Listed{provider, model, false, b.parse(m, model).standard, m.Limit.Context, m.Limit.Output}
			}
		}
		out = append(out, slices.SortedFunc(maps.Values(lines), func(x, y Listed) int { return strings.Compare(x.Model, y.Model) })...)
	}
	return out
}
