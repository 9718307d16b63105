// Package prices knows what models cost: a snapshot of models.dev's list, own prices
// of config.json before it, and rules for what such a list does not tell. What is
// not known has no price; nothing is taken for free because it is unknown.
package prices

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostless/hostless/pkg/gateway/usage"
)

// Book answers what a request costs. It is immutable and safe for concurrent use.
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

// parsedModel is a model's prices, ready for use.
type parsedModel struct {
	standard *Price // nil if there is none
	over     []overContext
	tiers    map[string]*Price // by service tier
}

type overContext struct {
	size  int64
	price *Price
}

// NewBook makes a book of own prices and a snapshot.
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

// Free is the price of what costs nothing: what runs on this machine.
var Free = free()

// Quote is the price for a model of a provider (canonical name), as it holds for a
// prompt of so many tokens in a service tier ("" for the provider's default); nil
// if it is not known. An own price holds in every tier.
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

// Cost is what an answer cost and the price that was applied. It is nil if a class
// that was used has no known price.
func (b *Book) Cost(provider, model string, r usage.Report) (cost Nano, applied *Price) {
	p := b.Quote(provider, model, r.Tier, r.Tokens.Input)
	if p == nil {
		return 0, nil
	}
	cost, ok := p.Cost(r.Tokens)
	if !ok {
		return 0, nil
	}
	return cost, p
}

// dated is the end of a model's name that tells its release: names with and without
// it have one price, unless the list knows the dated one.
var dated = regexp.MustCompile(`-(?:20\d{2}-[01]\d-[0-3]\d|20\d{2}[01]\d[0-3]\d|latest)$`)

// regions is what Amazon puts before a model's name for an inference profile.
var regions = []string{"us.", "eu.", "apac.", "jp.", "au.", "global."}

// Find is what the snapshot knows of a model, or nil.
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

// known is a list's price. A list writes 0 for both directions where a model is part
// of a plan or its price is not known: only a name that ends in :free is free.
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

// at is the price in a service tier for a prompt of so many tokens.
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

// halved are the service tiers at half the standard price. Sources:
// https://openai.com/api/pricing and https://platform.openai.com/docs/guides/flex-processing
// (flex is at the rates of the Batch API, half of the standard ones),
// https://docs.claude.com/en/docs/build-with-claude/batch-processing#pricing.
var halved = map[string][]string{"openai": {"batch", "flex"}, "anthropic": {"batch"}}
