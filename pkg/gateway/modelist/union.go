package modelist

import (
	"context"
	"log/slog"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
)

// Service serves the lists of models. All fields are required and must not change after the
// first request. It is safe for concurrent use.
type Service struct {
	Lists   *Lists
	Planner *plan.Planner
	Keys    plan.Keys
	Facts   func(provider, model string) prices.Facts
	Made    time.Time              // modification date of models without one
	Active  func() []ollama.Active // recently used models, last used first
	Logger  *slog.Logger
}

// union returns every model that the caller may use, by provider. name returns the ID under
// which a model is listed.
func (s *Service) union(ctx context.Context, settings plan.Settings, allowed func(provider, model string) bool, name func(p *provider.Provider, id string) string) []Model {
	var sources []Source
	for _, stored := range s.usable(settings) {
		if !allowed(stored, "") {
			continue
		}
		p, cred, err := s.Planner.Credential(ctx, stored, settings)
		if err != nil {
			continue // its key is locked or unreadable; the other providers are still listed
		}
		configured := settings.Models[p.Name]
		for _, alias := range p.Aliases {
			configured = append(configured[:len(configured):len(configured)], settings.Models[alias]...)
		}
		sources = append(sources, Source{Provider: p, Credential: cred, Configured: configured})
	}
	return s.Lists.List(ctx, sources, allowed, name)
}

// usable returns the providers that can be used: first those of the catalogue, in its
// order, then the custom ones.
func (s *Service) usable(settings plan.Settings) []string {
	stored := map[string]bool{}
	names, err := s.Keys.Stored()
	if err != nil {
		s.Logger.Warn("providers cannot be listed", "error", err)
	}
	for _, name := range names {
		stored[name] = true
	}
	var out []string
	for _, p := range provider.Default().All() {
		if p.Builtin && !settings.EchoOff || stored[p.Name] {
			out = append(out, p.Name)
		}
	}
	for _, name := range names {
		if provider.Default().Get(name) == nil {
			out = append(out, name)
		}
	}
	return out
}

// openAIName returns the naming of /v1/models. Models of openai, anthropic and google have
// their plain ID if it routes back to them; all others have the provider as a prefix.
func (s *Service) openAIName(settings plan.Settings) func(*provider.Provider, string) string {
	return func(p *provider.Provider, id string) string {
		if p.BareModels {
			if t, _ := s.Planner.Target(id, settings); t.Provider == p.Name && t.Model == id {
				return id
			}
		}
		return p.Name + "/" + id
	}
}

// geminiName returns the naming of Gemini's list. It differs from OpenAI's for models that
// the Gemini API would route to Google.
func geminiName(name func(*provider.Provider, string) string) func(*provider.Provider, string) string {
	return func(p *provider.Provider, id string) string {
		if called := name(p, id); called != id || !plan.GoogleByDefault(provider.Target{Provider: p.Name, Model: id}) {
			return called
		}
		return p.Name + "/" + id
	}
}

// Answer returns a list of models, or one model, in the format of a dialect, to be encoded
// as JSON. The errors are faults.
func (s *Service) Answer(ctx context.Context, r *plan.Request, shape dialect.Name) (any, error) {
	name := s.openAIName(r.Settings)
	if shape == dialect.Gemini {
		name = geminiName(name)
	}
	may := func(name, model string) bool { return r.Call.Allow(name, model) == nil }
	all := s.union(ctx, r.Settings, may, name)
	all = append(all, s.aliases(r.Settings, may, all)...)
	if r.Matched.Kind == endpoint.ListModels {
		part, err := PageOf(shape, r.HTTP.URL.Query(), all)
		if err != nil {
			return nil, err
		}
		value := Encode(shape, part)
		if list, ok := value.(map[string]any); ok && shape == dialect.OpenAI && r.HTTP.URL.Query().Has("client_version") {
			list["models"] = s.codexModels(part.Models) // for Codex, which reads a format of its own
		}
		return value, nil
	}
	asked := r.Matched.Tail()
	if m, ok := s.alias(asked, r.Settings, may, all); ok {
		return EncodeModel(shape, m), nil
	}
	target, err := r.Target(asked)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.ID == asked || m.Provider == target.Provider && m.Info.ID == target.Model {
			m.ID = asked
			return EncodeModel(shape, m), nil
		}
	}
	if err := r.Call.Allow(target.Provider, target.Model); err != nil {
		return nil, err
	}
	return nil, &fault.Error{Kind: fault.NotFound, Message: "the model `" + respond.HeaderSafe(asked) + "` does not exist or is not listed by its provider", Param: "model", Code: "model_not_found"}
}
