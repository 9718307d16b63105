// Package prices knows what models cost. It combines a snapshot of models.dev's
// list, the user's prices in config.json, which take precedence, and rules for what
// such a list leaves out. A model that is not known has no price; it is never
// assumed to be free.
package prices

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/gateway/usage"
)

// Book computes what requests cost. It is immutable and safe for concurrent use.
type Book struct {
	own      []ownPrice // exact names first, then the longest prefix
	snapshot Snapshot
	parsed   sync.Map // *Model: *parsedModel
}

type ownPrice struct {
	provider, model string // model without its closing *
	glob            bool
	price           *Price
}

// parsedModel holds a model's prices, ready for use.
type parsedModel struct {
	standard *Price // nil if there is none
	over     []overContext
	tiers    map[string]*Price // by service tier
}

type overContext struct {
	size  int64
	price *Price
}

// NewBook returns a Book of the user's prices and a snapshot.
func NewBook(own Own, snapshot Snapshot) *Book {
	b := &Book{snapshot: snapshot}
	for name, p := range own {
		provider, model, _ := strings.Cut(name, "/")
		prefix, glob := strings.CutSuffix(model, "*")
		b.own = append(b.own, ownPrice{provider, prefix, glob, p.completed(model)})
	}
	slices.SortFunc(b.own, func(x, y ownPrice) int {
		if x.glob != y.glob {
			if y.glob {
				return -1
			}
			return 1
		}
		return cmp.Or(len(y.model)-len(x.model), strings.Compare(x.provider+"/"+x.model, y.provider+"/"+y.model))
	})
	return b
}

// Free is the price of everything that runs on this machine: nothing.
var Free = free()

// Quote returns the price of a provider's model (canonical name) for a prompt of
// that many tokens in a service tier ("" for the provider's default). It returns
// nil if the price is not known. A price of config.json applies in every tier.
func (b *Book) Quote(provider, model, tier string, prompt int64) *Price {
	for i := range b.own {
		o := &b.own[i]
		if o.provider == provider && (o.model == model || o.glob && strings.HasPrefix(model, o.model)) {
			return o.price
		}
	}
	m := b.Find(provider, model)
	if m == nil {
		return nil
	}
	return b.parse(m, model).at(provider, tier, prompt)
}

// Cost returns what a response cost and the price that was applied. applied is nil
// if a class of tokens that was used has no known price.
func (b *Book) Cost(provider, model string, r usage.Report) (cost Nano, applied *Price) {
	p := b.Quote(provider, model, r.Tier, r.Tokens.Input)
	if p == nil {
		return 0, nil
	}
	if r.Tokens.WebSearches > 0 && p.WebSearch == nil {
		priced := *p
		priced.WebSearch = searchPrices[provider]
		p = &priced
	}
	cost, ok := p.Cost(r.Tokens)
	if !ok {
		return 0, nil
	}
	return cost, p
}

// searchPrices are the prices of a thousand web searches, which lists do not have. Sources:
// https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool#usage-and-pricing
// and https://openai.com/api/pricing (web search; the found text is counted as input).
var searchPrices = map[string]*Nano{"anthropic": dollars(10), "openai": dollars(10)}

func dollars(n Nano) *Nano {
	n *= Dollar
	return &n
}

// dated matches the end of a model's name that gives its release date. Names with
// and without it have the same price, unless the list has the dated one.
var dated = regexp.MustCompile(`-(?:20\d{2}-[01]\d-[0-3]\d|20\d{2}[01]\d[0-3]\d|latest)$`)

// regions are the prefixes that Amazon Bedrock puts before a model's name for an
// inference profile.
var regions = []string{"us.", "eu.", "apac.", "jp.", "au.", "global."}

// Find returns what the snapshot knows about a model, or nil.
func (b *Book) Find(provider, model string) *Model {
	for _, name := range names[provider] {
		models := b.snapshot[name].Models
		if m := models[model]; m != nil {
			return m
		}
		if at := dated.FindStringIndex(model); at != nil {
			if m := models[model[:at[0]]]; m != nil {
				return m
			}
		}
		if provider != "bedrock" {
			continue
		}
		for _, region := range regions {
			if rest, ok := strings.CutPrefix(model, region); ok && models[rest] != nil {
				return models[rest]
			}
		}
	}
	return nil
}

func (b *Book) parse(m *Model, name string) *parsedModel {
	if p, ok := b.parsed.Load(m); ok {
		return p.(*parsedModel)
	}
	p := &parsedModel{tiers: map[string]*Price{}}
	p.standard = known(m.Cost, name)
	if m.Cost != nil && p.standard != nil {
		if r := m.Cost.Over200k; r != nil {
			if price, err := r.price(); err == nil {
				p.over = append(p.over, overContext{200_000, price.completed(name)})
			}
		}
		for _, t := range m.Cost.Tiers {
			if price, err := t.price(); err == nil && t.Tier.Size > 0 {
				p.over = append(p.over, overContext{t.Tier.Size, price.completed(name)})
			}
		}
	}
	slices.SortFunc(p.over, func(x, y overContext) int { return cmp.Compare(y.size, x.size) })
	if m.Experimental != nil {
		for _, mode := range m.Experimental.Modes {
			if price := known(mode.Cost, name); price != nil {
				p.tiers[mode.Provider.Body.ServiceTier] = price
			}
		}
	}
	kept, _ := b.parsed.LoadOrStore(m, p)
	return kept.(*parsedModel)
}

// known returns the price of a list entry. Lists write 0 for input and output if a
// model is part of a plan or its price is unknown: only a name that ends in :free
// is free.
func known(c *cost, name string) *Price {
	if c == nil {
		return nil
	}
	p, err := c.price()
	if err != nil || p.Input == nil || p.Output == nil {
		return nil
	}
	if *p.Input == 0 && *p.Output == 0 && !strings.HasSuffix(name, ":free") {
		return nil
	}
	return p.completed(name)
}

// at returns the price in a service tier for a prompt of that many tokens.
func (p *parsedModel) at(provider, tier string, prompt int64) *Price {
	if price := p.tiers[tier]; price != nil && tier != "" {
		return price
	}
	price := p.standard
	for _, over := range p.over {
		if prompt > over.size {
			price = over.price
			break
		}
	}
	if price == nil {
		return nil
	}
	switch tier {
	case "", "default", "standard", "auto", "on_demand":
		return price
	}
	if half := halved[provider]; slices.Contains(half, tier) {
		return price.times(1, 2)
	}
	return nil
}

// halved lists the service tiers at half the standard price. Sources:
// https://openai.com/api/pricing and
// https://platform.openai.com/docs/guides/flex-processing (flex has the rates of
// the Batch API, half of the standard ones),
// https://docs.claude.com/en/docs/build-with-claude/batch-processing#pricing.
var halved = map[string][]string{"openai": {"batch", "flex"}, "anthropic": {"batch"}}
