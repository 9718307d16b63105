package plan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/provider"
)

// Credential returns a provider and its stored credential by its canonical name. The error
// is a fault, such as fault.Unconfigured.
func (pl *Planner) Credential(ctx context.Context, name string, settings Settings) (*provider.Provider, pipeline.Credential, error) {
	p := catalogue().Get(name)
	if p != nil && p.Builtin {
		if settings.EchoOff {
			return nil, pipeline.Credential{}, &fault.Error{Kind: fault.Unconfigured, Message: fmt.Sprintf("the built-in provider %q is switched off", name), Next: "hostless config set echo on"}
		}
		return p, pipeline.Credential{Provider: name}, nil
	}
	cred, ok, err := pl.cfg.Keys.Get(ctx, name)
	if err != nil {
		return nil, pipeline.Credential{}, err
	}
	if !ok && (p == nil || !p.KeyOptional) || ok && p != nil && !p.KeyOptional && cred.Key.IsZero() && cred.BaseURL == "" {
		return nil, pipeline.Credential{}, unconfigured(name)
	}
	cred.Provider = name
	if p == nil {
		return provider.Custom(name, cred.Dialect), cred, nil
	}
	return p.With(cred.Dialect), cred, nil
}

func unconfigured(name string) error {
	return &fault.Error{
		Kind: fault.Unconfigured, Code: "no_provider_key",
		Message: fmt.Sprintf("no key for provider %q", name),
		Next:    "hostless keys add " + name,
	}
}

// Target returns the provider that a model name routes to; OpenAI if no other provider
// claims it. An error means that the stored providers cannot be listed. The name may then
// belong to one of them, so the request must not be sent anywhere else.
func (pl *Planner) Target(model string, settings Settings) (provider.Target, error) {
	k := known{keys: pl.cfg.Keys, models: settings.Models}
	t := catalogue().Route(model, &k)
	return t, k.err
}

// Candidates implements pipeline.Planner. It returns one candidate: the provider that the
// model name routes to, with its stored credential.
func (pl *Planner) Candidates(ctx context.Context, call *pipeline.Call) ([]pipeline.Candidate, error) {
	settings := pl.cfg.Settings()
	target := provider.Target{Provider: call.Provider}
	if call.Model != "" {
		var err error
		if target, err = pl.route(ctx, call, settings); err != nil {
			return nil, err
		}
	}
	if err := call.Allow(target.Provider, target.Model); err != nil {
		return nil, err
	}
	p, cred, err := pl.Credential(ctx, target.Provider, settings)
	if err != nil {
		return nil, err
	}
	return []pipeline.Candidate{{Provider: p, Credential: cred, Model: target.Model}}, nil
}

// route returns the target of a call for a model. OpenAI is the default provider. A name
// with an unknown prefix goes there only if OpenAI is known to have it: otherwise the
// prefix is a mistyped or removed provider, whose prompts must not be sent to another one.
func (pl *Planner) route(ctx context.Context, call *pipeline.Call, settings Settings) (provider.Target, error) {
	t, err := pl.Target(call.Model, settings)
	if err != nil {
		return provider.Target{}, err
	}
	inPath := call.Dialect == dialect.Gemini && GoogleByDefault(t)
	prefix, _, slashed := strings.Cut(call.Model, "/")
	if slashed && !t.Stripped && t.Provider == "openai" && catalogue().Listed(t.Model) == nil && (&known{models: settings.Models}).Lists(t.Model) == "" &&
		!(inPath && googleCollections[prefix]) {
		if err := pl.checkUnclaimed(ctx, t.Model, prefix, settings); err != nil {
			return provider.Target{}, err
		}
	}
	if inPath {
		t.Provider = "google"
	}
	return t, nil
}

// checkUnclaimed returns an error for a model with an unknown prefix, unless OpenAI is
// known to have it or the user has replaced OpenAI's base URL.
func (pl *Planner) checkUnclaimed(ctx context.Context, model, prefix string, settings Settings) error {
	p, cred, err := pl.Credential(ctx, "openai", settings)
	switch {
	case fault.Is(err, fault.Unconfigured):
	case err != nil:
		return err
	case cred.BaseURL != "":
		return nil
	default:
		if pl.cfg.Lists.Has(ctx, p, cred, model) {
			return nil
		}
	}
	return pl.unknownPrefix(prefix)
}

// GoogleByDefault reports whether a request of the Gemini API for a model goes to Google
// because no other provider claims the model.
func GoogleByDefault(to provider.Target) bool {
	return !to.Stripped && to.Provider == "openai" && catalogue().Listed(to.Model) == nil
}

// googleCollections are the first segments of Google's resource names in paths.
var googleCollections = map[string]bool{"models": true, "tunedModels": true, "publishers": true, "projects": true}

// known is a provider.ModelIndex of the stored and configured providers.
type known struct {
	keys   Keys
	models map[string][]string
	err    error // why the stored providers cannot be listed
}

// Custom implements provider.ModelIndex.
func (k *known) Custom(name string) bool {
	stored, err := k.keys.Stored()
	if err != nil {
		k.err = err
		return false
	}
	return slices.Contains(stored, name)
}

// Lists implements provider.ModelIndex.
func (k *known) Lists(model string) string {
	found := ""
	for name, list := range k.models {
		for _, m := range list {
			if m == model && (found == "" || name < found) {
				found = name
			}
		}
	}
	return found
}
