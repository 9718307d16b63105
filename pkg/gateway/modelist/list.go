package modelist

import (
	"context"
	"sync"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
)

// Model is a model in a list.
type Model struct {
	ID       string // its name in this list
	Provider string // canonical name
	Info
}

// makes returns the model's purpose, from its provider's list or else by its name.
func (m *Model) makes() prices.Purpose {
	if m.Purpose != nil {
		return *m.Purpose
	}
	return prices.PurposeOf(m.Provider, m.Info.ID)
}

// Source is a provider whose models are listed.
type Source struct {
	Provider   *provider.Provider
	Credential pipeline.Credential
	// Configured has the models that config.json lists for the provider. They are used if
	// the provider has no live list.
	Configured []string
}

// List returns the models of all sources, in their order: the provider's live list,
// otherwise the configured models, otherwise those of the catalogue. allowed reports
// whether a model is listed; name returns the ID under which it is listed. Of equal IDs the
// first one is kept.
func (l *Lists) List(ctx context.Context, sources []Source, allowed func(provider, model string) bool, name func(p *provider.Provider, id string) string) []Model {
	models := make([][]Info, len(sources))
	var wait sync.WaitGroup
	for i, s := range sources {
		wait.Go(func() { models[i] = l.modelsOf(ctx, s) })
	}
	wait.Wait()
	var all []Model
	seen := map[string]bool{}
	for i, s := range sources {
		for _, m := range models[i] {
			id := name(s.Provider, m.ID)
			if seen[id] || !allowed(s.Provider.Name, m.ID) {
				continue
			}
			seen[id] = true
			switch {
			case s.Provider.Builtin:
				m.Owner = "hostless"
			case m.Owner == "":
				m.Owner = s.Provider.Name
			}
			all = append(all, Model{ID: id, Provider: s.Provider.Name, Info: m})
		}
	}
	return all
}

// modelsOf returns the models of one source.
func (l *Lists) modelsOf(ctx context.Context, s Source) []Info {
	if s.Provider.ModelsURL && !s.Provider.Builtin {
		if live := l.Live(ctx, s.Provider, s.Credential); len(live) > 0 {
			return live
		}
	}
	ids := s.Configured
	if len(ids) == 0 {
		ids = s.Provider.List
	}
	models := make([]Info, 0, len(ids))
	for _, id := range ids {
		models = append(models, Info{ID: id, Title: id})
	}
	return models
}
