package modelist

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/access"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
)

// Metadata serves Ollama's metadata endpoints. They need no token, because they reveal only
// names. A web page may use them only from bare localhost.
func (s *Service) Metadata(ctx context.Context, r *plan.Request) ([]byte, error) {
	if err := access.PlainOrigin(r.HTTP); err != nil {
		return nil, err
	}
	switch r.Matched.Pattern {
	case "/api/version":
		return ollama.Version(""), nil
	case "/api/ps":
		return ollama.PS(s.Active()), nil
	case "/api/tags":
		return ollama.Tags(s.ollamaModels(ctx, r.Settings)), nil
	}
	data, err := body.Read(r.HTTP, 1<<20, &r.Lease)
	if err != nil {
		return nil, err
	}
	name, err := ollama.ShowRequest(data)
	if err != nil {
		return nil, err
	}
	name = ollama.Name(name)
	target, err := r.Target(name)
	if err != nil {
		return nil, err
	}
	for _, m := range s.ollamaModels(ctx, r.Settings) {
		if m.Name == name || ollama.Name(m.Name) == name || m.Name == ollama.ID(target.Provider, target.Model) {
			m.Name = name
			return ollama.Show(m), nil
		}
	}
	return nil, fault.New(fault.NotFound, fmt.Sprintf("model '%s' not found", respond.HeaderSafe(name)))
}

// ollamaModels returns all models in the form of Ollama's lists: those of the providers,
// and those of ollama_api_models in config.json.
func (s *Service) ollamaModels(ctx context.Context, settings plan.Settings) []ollama.Model {
	everything := func(string, string) bool { return true }
	var out []ollama.Model
	all := s.union(ctx, settings, everything, func(p *provider.Provider, id string) string { return ollama.ID(p.Name, id) })
	for _, m := range append(all, s.aliases(settings, everything, all)...) {
		out = append(out, s.ollamaModel(m, s.modified(m.Created)))
	}
	for _, added := range settings.OllamaModels {
		target, err := s.Planner.Target(added.Name, settings)
		if err != nil || target.Model == "" {
			continue // stored providers cannot be listed at the moment
		}
		id := ollama.ID(target.Provider, target.Model)
		i := slices.IndexFunc(out, func(m ollama.Model) bool { return m.Name == id })
		if i < 0 {
			i, out = len(out), append(out, ollama.Model{Name: id, Provider: target.Provider, Modified: s.modified(0)})
		}
		if added.Context > 0 {
			out[i].Context = added.Context
		}
		if added.Capabilities != nil {
			out[i].Capabilities = added.Capabilities
		}
	}
	return out
}

// ollamaModel converts a model. Members that the provider's list lacks come from the
// embedded model data.
func (s *Service) ollamaModel(m Model, modified time.Time) ollama.Model {
	facts := s.Facts(m.Provider, m.Info.ID)
	out := ollama.Model{Name: m.ID, Provider: m.Provider, Modified: modified, Context: m.Input}
	if out.Context == 0 {
		out.Context = facts.Context
	}
	switch {
	case m.makes() == prices.Embeddings:
		out.Capabilities = []string{"embedding"}
	case facts.Known:
		out.Capabilities = []string{"completion"}
		for _, c := range [...]struct {
			has  bool
			name string
		}{{facts.CallsTools, "tools"}, {facts.Sees, "vision"}, {facts.Thinks, "thinking"}} {
			if c.has {
				out.Capabilities = append(out.Capabilities, c.name)
			}
		}
	}
	return out
}

// modified returns the creation time of a model, or the start time of the gateway if it is
// unknown.
func (s *Service) modified(created int64) time.Time {
	if created > 0 {
		return time.Unix(created, 0).UTC()
	}
	return s.Made
}
