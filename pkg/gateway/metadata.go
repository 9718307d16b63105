package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/access"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/provider"
)

// activeFor is how long a model is listed as active after it was used.
const activeFor = 5 * time.Minute

// serveMetadata answers Ollama's lists, which need no token: they tell names
// alone. A page may ask only from bare localhost.
func (c *exchange) serveMetadata() error {
	if err := access.PlainOrigin(c.HTTP); err != nil {
		return err
	}
	switch c.Matched.Pattern {
	case "/api/version":
		return c.write(ollama.Version(""))
	case "/api/ps":
		return c.write(ollama.PS(c.g.active()))
	case "/api/tags":
		return c.write(ollama.Tags(c.g.ollamaModels(c.HTTP.Context(), c.Settings)))
	}
	data, err := body.Read(c.HTTP, 1<<20, &c.Lease)
	if err != nil {
		return err
	}
	name, err := ollama.ShowRequest(data)
	if err != nil {
		return err
	}
	name = ollama.Name(name)
	target, err := c.Target(name)
	if err != nil {
		return err
	}
	for _, m := range c.g.ollamaModels(c.HTTP.Context(), c.Settings) {
		if m.Name == name || m.Name == ollama.ID(target.Provider, target.Model) {
			m.Name = name
			return c.write(ollama.Show(m))
		}
	}
	return fault.New(fault.NotFound, fmt.Sprintf("model '%s' not found", respond.HeaderSafe(name)))
}

// root answers HEAD /, by which Ollama's clients look for their server.
func (g *Gateway) root(w http.ResponseWriter, r *http.Request) {
	g.access.CORS(w.Header(), r)
	if err := access.PlainOrigin(r); err != nil {
		respond.Fault(w, dialect.Ollama, err)
		return
	}
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.WriteHeader(http.StatusOK)
}

// ollamaModels gives all models as Ollama's lists name them: what the providers
// have, and what config.json's ollama_api_models adds.
func (g *Gateway) ollamaModels(ctx context.Context, settings Settings) []ollama.Model {
	everything := func(string, string) bool { return true }
	var out []ollama.Model
	for _, m := range g.union(ctx, settings, everything, func(p *provider.Provider, id string) string { return ollama.ID(p.Name, id) }) {
		out = append(out, ollama.Model{Name: m.ID, Provider: m.Provider, Modified: g.modified(m.Created), Context: m.Input})
	}
	for _, added := range settings.OllamaModels {
		target, err := g.plan.Target(added.Name, settings)
		if err != nil || target.Model == "" {
			continue // the stored providers cannot be listed now
		}
		id := ollama.ID(target.Provider, target.Model)
		i := slices.IndexFunc(out, func(m ollama.Model) bool { return m.Name == id })
		if i < 0 {
			i, out = len(out), append(out, ollama.Model{Name: id, Provider: target.Provider, Modified: g.modified(0)})
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

// modified is when a model was made, or else when this gateway was.
func (g *Gateway) modified(created int64) time.Time {
	if created > 0 {
		return time.Unix(created, 0).UTC()
	}
	return g.made
}

// active gives the models that were used lately, the latest first.
func (g *Gateway) active() []ollama.Active {
	var out []ollama.Active
	for _, u := range g.ledger.list() {
		if u.Model != "" && g.since(u.LastUsed) < activeFor {
			out = append(out, ollama.Active{
				Model:   ollama.Model{Name: ollama.ID(u.Provider, u.Model), Provider: u.Provider, Modified: g.made},
				Expires: u.LastUsed.Add(activeFor),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b ollama.Active) int { return b.Expires.Compare(a.Expires) })
	return out
}
