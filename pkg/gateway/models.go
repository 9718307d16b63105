package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/modelist"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/provider"
)

// union gives every model that the caller may use, by provider. name makes the ID
// that a model is listed under.
func (g *Gateway) union(ctx context.Context, settings Settings, allowed func(provider, model string) bool, name func(p *provider.Provider, id string) string) []modelist.Model {
	var sources []modelist.Source
	for _, stored := range g.usable(settings) {
		if !allowed(stored, "") {
			continue
		}
		p, cred, err := g.plan.Credential(ctx, stored, settings)
		if err != nil {
			continue // a locked or broken store: the others are listed still
		}
		configured := settings.Models[p.Name]
		for _, alias := range p.Aliases {
			configured = append(configured[:len(configured):len(configured)], settings.Models[alias]...)
		}
		sources = append(sources, modelist.Source{Provider: p, Credential: cred, Configured: configured})
	}
	return g.lists.List(ctx, sources, allowed, name)
}

// usable names the providers that can be used at all, in the catalogue's order
// and then the custom ones.
func (g *Gateway) usable(settings Settings) []string {
	stored := map[string]bool{}
	names, err := g.cfg.Keys.Stored()
	if err != nil {
		g.cfg.Logger.Warn("providers cannot be listed", "error", err)
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

// openAIName is how /v1/models calls a model: openai's, anthropic's and google's
// by their bare ids, where these lead back to them; all others with the
// provider's name before them.
func (g *Gateway) openAIName(settings Settings) func(*provider.Provider, string) string {
	return func(p *provider.Provider, id string) string {
		if p.BareModels {
			if t, _ := g.plan.Target(id, settings); t.Provider == p.Name && t.Model == id {
				return id
			}
		}
		return p.Name + "/" + id
	}
}

// geminiName is how Gemini's list calls a model: as OpenAI's does, but for those
// that would be taken for Google's when asked for in Gemini's way.
func geminiName(name func(*provider.Provider, string) string) func(*provider.Provider, string) string {
	return func(p *provider.Provider, id string) string {
		if called := name(p, id); called != id || !plan.GoogleByDefault(provider.Target{Provider: p.Name, Model: id}) {
			return called
		}
		return p.Name + "/" + id
	}
}

// may is the caller's scope over models.
func (c *exchange) may(name, model string) bool { return c.allow(name, model) == nil }

// serveModels answers a list of models, or one, in the asker's dialect.
func (c *exchange) serveModels() error {
	shape := c.Matched.Dialect
	if shape == dialect.OpenAI && c.HTTP.Header.Get("Anthropic-Version") != "" {
		shape = dialect.Anthropic
		c.Call.Dialect = shape
	}
	name := c.g.openAIName(c.Settings)
	if shape == dialect.Gemini {
		name = geminiName(name)
	}
	all := c.g.union(c.HTTP.Context(), c.Settings, c.may, name)
	if c.Matched.Kind == endpoint.ListModels {
		part, err := modelist.PageOf(shape, c.HTTP.URL.Query(), all)
		if err != nil {
			return err
		}
		if err := c.admit(c.HTTP.Context(), nil); err != nil {
			return err
		}
		return c.writeJSON(modelist.Encode(shape, part))
	}
	asked := c.Matched.Tail()
	target, err := c.Target(asked)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.ID == asked || m.Provider == target.Provider && m.Info.ID == target.Model {
			if err := c.admit(c.HTTP.Context(), nil); err != nil {
				return err
			}
			m.ID = asked
			return c.writeJSON(modelist.EncodeModel(shape, m))
		}
	}
	if err := c.allow(target.Provider, target.Model); err != nil {
		return err
	}
	return &fault.Error{Kind: fault.NotFound, Message: "the model `" + respond.HeaderSafe(asked) + "` does not exist or is not listed by its provider", Param: "model", Code: "model_not_found"}
}

// writeJSON answers with a value of Hostless's own.
func (c *exchange) writeJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.write(data)
}

// write answers with JSON of Hostless's own.
func (c *exchange) write(data []byte) error {
	h := c.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	c.outcome.Status = http.StatusOK
	c.w.WriteHeader(http.StatusOK)
	if c.HTTP.Method == http.MethodHead {
		return nil
	}
	if _, err := c.w.Write(data); err != nil {
		return respond.ErrDisconnected
	}
	return nil
}
