package prices

import (
	"maps"
	"slices"
	"strings"
)

// Listed is one line of a book.
type Listed struct {
	Provider string `json:"provider"` // canonical
	Model    string `json:"model"`    // an own one may end in *
	Own      bool   `json:"own"`      // of config.json
	Price    *Price `json:"price"`    // null where it is not known
	Context  int    `json:"context"`  // tokens of prompt and answer together, 0 if not known
	Output   int    `json:"output"`   // tokens of an answer, 0 if not known
}

// List returns all that a book knows: own prices first, in the order in which they
// are looked at, then the snapshot's by provider and model.
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
