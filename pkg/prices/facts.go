package prices

import (
	"slices"
	"sync"

	"github.com/hostless/hostless/pkg/dialect"
)

// Facts are what a snapshot knows about a model besides its price. The
// zero value means that nothing is known.
type Facts struct {
	Context int // tokens of prompt and response together; 0 if not known
	Output  int // maximum tokens of a response; 0 if not known

	TextOnly   bool            // known to accept nothing but text
	Sees       bool            // known to accept images
	Thinks     bool            // known to think
	ThinksNot  bool            // known not to think
	CallsTools bool            // known to call tools
	Efforts    dialect.Efforts // the efforts that it supports; "" if not known
	Known      bool            // anything of the above is known
}

var embeddedBook = sync.OnceValue(func() *Book { return NewBook(nil, Default()) })

// FactsOf returns the facts about a provider's model (canonical name) from the embedded
// snapshot.
func FactsOf(provider, model string) Facts { return embeddedBook().Facts(provider, model) }

// Facts returns the facts about a provider's model (canonical name) from the book's
// snapshot, or from the embedded one if the model is not in it.
func (b *Book) Facts(provider, model string) (f Facts) {
	m := b.Find(provider, model)
	if m == nil {
		if m = embeddedBook().Find(provider, model); m == nil {
			return f
		}
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
	f.Efforts = m.efforts()
	f.CallsTools = m.ToolCall != nil && *m.ToolCall
	return f
}
