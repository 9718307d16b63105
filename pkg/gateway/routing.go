package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/provider"
)

// credential resolves a provider by its canonical name.
func (g *Gateway) credential(ctx context.Context, name string, settings Settings) (*provider.Provider, Credential, error) {
	p := catalogue().Get(name)
	if p != nil && p.Builtin {
		if settings.EchoOff {
			return nil, Credential{}, &fault.Error{Kind: fault.Unconfigured, Message: fmt.Sprintf("the built-in provider %q is switched off", name), Next: "hostless config set echo on"}
		}
		return p, Credential{Provider: name}, nil
	}
	cred, ok, err := g.cfg.Keys.Get(ctx, name)
	if err != nil {
		return nil, Credential{}, err
	}
	if !ok && (p == nil || !p.KeyOptional) || ok && p != nil && !p.KeyOptional && cred.Key.IsZero() && cred.BaseURL == "" {
		return nil, Credential{}, unconfigured(name)
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

// target finds the provider of a model's name, OpenAI where nothing else claims
// it. An error says that the stored providers cannot be listed: the name may be one
// of theirs, so that it must not go anywhere else.
func (g *Gateway) target(model string, settings Settings) (provider.Target, error) {
	k := known{keys: g.cfg.Keys, models: settings.Models}
	t := catalogue().Route(model, &k)
	return t, k.err
}

// target is that for the request's settings.
func (c *exchange) target(model string) (provider.Target, error) {
	return c.g.target(model, c.settings)
}

// planCall is the gateway's own Planner: one candidate, with the one credential that
// is stored for the provider that the model's name leads to.
func (g *Gateway) planCall(ctx context.Context, call *pipeline.Call) ([]pipeline.Candidate, error) {
	settings := g.cfg.Settings()
	target := provider.Target{Provider: call.Provider}
	if call.Model != "" {
		var err error
		if target, err = g.route(ctx, call, settings); err != nil {
			return nil, err
		}
	}
	if err := call.Allow(target.Provider, target.Model); err != nil {
		return nil, err
	}
	p, cred, err := g.credential(ctx, target.Provider, settings)
	if err != nil {
		return nil, err
	}
	return []pipeline.Candidate{{Provider: p, Credential: cred, Model: target.Model}}, nil
}

// route finds where a call for a model goes. A name whose prefix is no provider's goes
// to the provider of last resort only where that one is known to have it: elsewhere it
// is a mistyped or removed provider, whose prompts are not to be sent to another one.
func (g *Gateway) route(ctx context.Context, call *pipeline.Call, settings Settings) (provider.Target, error) {
	t, err := g.target(call.Model, settings)
	if err != nil {
		return provider.Target{}, err
	}
	inPath := call.Dialect == dialect.Gemini && googleByDefault(t)
	prefix, _, slashed := strings.Cut(call.Model, "/")
	if slashed && !t.Stripped && t.Provider == "openai" && catalogue().Listed(t.Model) == nil && (&known{models: settings.Models}).Lists(t.Model) == "" &&
		!(inPath && googleCollections[prefix]) {
		if err := g.checkUnclaimed(ctx, t.Model, prefix, settings); err != nil {
			return provider.Target{}, err
		}
	}
	if inPath {
		t.Provider = "google"
	}
	return t, nil
}

// checkUnclaimed lets a name with a prefix that is no provider's through where OpenAI
// is known to have it, or the user's own server stands in OpenAI's place.
func (g *Gateway) checkUnclaimed(ctx context.Context, model, prefix string, settings Settings) error {
	p, cred, err := g.credential(ctx, "openai", settings)
	switch {
	case fault.Is(err, fault.Unconfigured):
	case err != nil:
		return err
	case cred.BaseURL != "":
		return nil
	default:
		for _, m := range g.lists.Live(ctx, p, cred) {
			if m.ID == model {
				return nil
			}
		}
	}
	return g.unknownPrefix(prefix)
}

// googleCollections open the resource names of Google's models in Gemini's paths.
var googleCollections = map[string]bool{"models": true, "tunedModels": true, "publishers": true, "projects": true}

// maxModelName bounds a model's name, which headers, counters and messages repeat.
const maxModelName = 512

// checkModelName refuses names that would be something else in a URL, where some
// providers' APIs put them: another path, a query or a fragment.
func checkModelName(model string) error {
	bad := func(why string) error {
		return &fault.Error{Kind: fault.Invalid, Message: "model " + why, Param: "model"}
	}
	if len(model) > maxModelName {
		return bad(fmt.Sprintf("is longer than %d bytes", maxModelName))
	}
	for i := range len(model) {
		switch c := model[i]; {
		case c == '?' || c == '#':
			return bad("must not contain ? or #")
		case c < ' ' || c == 0x7f:
			return bad("must not contain control characters")
		}
	}
	if strings.IndexByte(model, '.') >= 0 {
		for segment := range strings.FieldsFuncSeq(model, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." {
				return bad("must not have . or .. between slashes")
			}
		}
	}
	return nil
}

// unknownPrefix is the error of a model whose prefix names no provider.
func (g *Gateway) unknownPrefix(prefix string) error {
	f := &fault.Error{
		Kind: fault.Invalid, Param: "model", Code: "unknown_provider",
		Message: fmt.Sprintf("no provider is named %q", respond.HeaderSafe(prefix)),
	}
	stored, err := g.cfg.Keys.Stored()
	if err != nil {
		return err
	}
	if near := nearNames(strings.ToLower(prefix), stored); len(near) > 0 {
		f.Message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	f.Next = "hostless keys list"
	return f
}

// nearNames are the providers, of the catalogue and the stored ones, that a name
// may be a misspelling of: at most three, the nearest first.
func nearNames(name string, stored []string) []string {
	type near struct {
		name     string
		distance int
	}
	var found []near
	try := func(as, provider string) {
		d := editDistance(name, as)
		if strings.HasPrefix(as, name) && len(name) >= 3 {
			d = min(d, 2)
		}
		if d > 2 || d >= len(name) {
			return
		}
		for i := range found {
			if found[i].name == provider {
				found[i].distance = min(found[i].distance, d)
				return
			}
		}
		found = append(found, near{provider, d})
	}
	for _, p := range catalogue().All() {
		try(p.Name, p.Name)
		for _, alias := range p.Aliases {
			try(alias, p.Name)
		}
	}
	for _, custom := range stored {
		try(custom, custom)
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.distance - b.distance })
	var names []string
	for _, n := range found[:min(len(found), 3)] {
		names = append(names, n.name)
	}
	return names
}

// editDistance is how many bytes must be inserted, removed or replaced to make b of
// a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// known answers routing's questions from what is stored and configured.
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

// plainProvider names the provider of an endpoint that carries no model: the one
// the caller names in x-hostless-provider, else the one whose dialect it speaks.
func (c *exchange) plainProvider() (string, error) {
	if asked := c.r.Header.Get("X-Hostless-Provider"); asked != "" {
		name := catalogue().Canonical(asked)
		if catalogue().Get(name) == nil {
			k := known{keys: c.g.cfg.Keys}
			switch exists := k.Custom(name); {
			case k.err != nil:
				return "", k.err
			case !exists:
				return "", &fault.Error{Kind: fault.Invalid, Message: "x-hostless-provider names no provider", Param: "x-hostless-provider"}
			}
		}
		return name, nil
	}
	switch {
	case c.matched.Dialect == dialect.Gemini:
		return "google", nil
	case c.matched.Dialect == dialect.Anthropic, c.r.Header.Get("Anthropic-Version") != "":
		return "anthropic", nil
	}
	return "openai", nil
}
