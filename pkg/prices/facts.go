package prices

import (
	"slices"
	"sync"
)

// Facts are what the embedded snapshot knows of a model besides its price. The zero
// value is a model of which nothing is known.
type Facts struct {
	Context int // tokens of prompt and answer together, 0 if it is not known
	Output  int // most tokens of an answer, 0 if it is not known

	TextOnly   bool // it is known to read nothing but text
	Sees       bool // it is known to read pictures
	Thinks     bool // it is known to think
	ThinksNot  bool // it is known not to
	CallsTools bool // it is known to call tools
	Known      bool // there is anything known of what it reads and does
}

var facts = sync.OnceValue(func() *Book { return NewBook(nil, Default()) })

// FactsOf returns the facts of a provider's model (canonical name).
func FactsOf(provider, model string) (f Facts) {
	m := facts().Find(provider, model)
	if m == nil {
		return f
	}
	f.Context, f.Output = m.Limit.Context, m.Limit.Output
	if m.Modalities != nil && len(m.Modalities.Input) > 0 {
		f.Known = true
		f.Sees = slices.Contains(m.Modalities.Input, "image")
		f.TextOnly = len(m.Modalities.Input) == 1 && m.Modalities.Input[0] == "text"
	}
	if m.Reasoning != nil {
		f.Thinks, f.ThinksNot = *m.Reasoning, !*m.Reasoning
	}
	f.CallsTools = m.ToolCall != nil && *m.ToolCall
	return f
}
