package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/anthropic"
	"github.com/hostless/hostless/pkg/dialect/gemini"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/provider"
)

// listed is a model as it stands in a list: ID is what it is called by.
type listed struct {
	ID       string
	Provider string
	modelInfo
}

// union gives every model that the caller may use, by provider. name makes the
// ID a model is listed under.
func (g *Gateway) union(ctx context.Context, settings Settings, may func(provider, model string) bool, name func(p *provider.Provider, id string) string) []listed {
	type part struct {
		p      *provider.Provider
		models []modelInfo
	}
	var parts []*part
	var wait sync.WaitGroup
	for _, stored := range g.usable(settings) {
		if !may(stored, "") {
			continue
		}
		p, cred, err := g.credential(ctx, stored, settings)
		if err != nil {
			continue // a locked or broken store: the others are listed still
		}
		one := &part{p: p}
		parts = append(parts, one)
		wait.Add(1)
		go func() {
			defer wait.Done()
			one.models = g.modelsOf(ctx, p, cred, settings)
		}()
	}
	wait.Wait()
	var all []listed
	seen := map[string]bool{}
	for _, part := range parts {
		for _, m := range part.models {
			id := name(part.p, m.ID)
			if seen[id] || !may(part.p.Name, m.ID) {
				continue
			}
			seen[id] = true
			switch {
			case part.p.Builtin:
				m.Owner = "hostless"
			case m.Owner == "":
				m.Owner = part.p.Name
			}
			all = append(all, listed{id, part.p.Name, m})
		}
	}
	return all
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
	for _, p := range catalogue().All() {
		if p.Builtin && !settings.EchoOff || stored[p.Name] {
			out = append(out, p.Name)
		}
	}
	for _, name := range names {
		if catalogue().Get(name) == nil {
			out = append(out, name)
		}
	}
	return out
}

// modelsOf gives a provider's models: live where it lists them, else those that
// config.json names, else the catalogue's.
func (g *Gateway) modelsOf(ctx context.Context, p *provider.Provider, cred Credential, settings Settings) []modelInfo {
	if p.ModelsURL && !p.Builtin {
		if live := g.lists.get(ctx, p, cred); len(live) > 0 {
			return live
		}
	}
	ids := settings.Models[p.Name]
	for _, alias := range p.Aliases {
		ids = append(ids[:len(ids):len(ids)], settings.Models[alias]...)
	}
	if len(ids) == 0 {
		ids = p.List
	}
	models := make([]modelInfo, 0, len(ids))
	for _, id := range ids {
		models = append(models, modelInfo{ID: id, Title: id})
	}
	return models
}

// openAIName is how /v1/models calls a model: openai's, anthropic's and google's
// by their bare ids, where these lead back to them; all others with the
// provider's name before them.
func (g *Gateway) openAIName(settings Settings) func(*provider.Provider, string) string {
	k := &known{keys: g.cfg.Keys, models: settings.Models}
	return func(p *provider.Provider, id string) string {
		if p.BareModels {
			if t := catalogue().Route(id, k); t.Provider == p.Name && t.Model == id {
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
		if called := name(p, id); called != id || !googleByDefault(provider.Target{Provider: p.Name, Model: id}) {
			return called
		}
		return p.Name + "/" + id
	}
}

// googleByDefault is whether a model that was asked for in Gemini's way leads to
// Google because nothing says otherwise.
func googleByDefault(to provider.Target) bool {
	return !to.Stripped && to.Provider == "openai" && catalogue().Listed(to.Model) == nil
}

// may is the caller's scope over models.
func (c *exchange) may(name, model string) bool { return c.allow(name, model) == nil }

// serveModels answers a list of models, or one, in the asker's dialect.
func (c *exchange) serveModels() error {
	shape := c.matched.Dialect
	if shape == dialect.OpenAI && c.r.Header.Get("Anthropic-Version") != "" {
		shape = dialect.Anthropic
		c.call.Dialect = shape
	}
	name := c.g.openAIName(c.settings)
	if shape == dialect.Gemini {
		name = geminiName(name)
	}
	all := c.g.union(c.r.Context(), c.settings, c.may, name)
	if c.matched.Kind == endpoint.ListModels {
		part, err := pageOf(shape, c.r.URL.Query(), all)
		if err != nil {
			return err
		}
		if err := c.admit(c.r.Context(), nil); err != nil {
			return err
		}
		return c.writeJSON(modelList(shape, part))
	}
	asked := c.matched.Tail()
	target, err := c.target(asked)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.ID == asked || m.Provider == target.Provider && m.modelInfo.ID == target.Model {
			if err := c.admit(c.r.Context(), nil); err != nil {
				return err
			}
			m.ID = asked
			return c.writeJSON(modelEntry(shape, m))
		}
	}
	if err := c.allow(target.Provider, target.Model); err != nil {
		return err
	}
	return &fault.Error{Kind: fault.NotFound, Message: "the model `" + respond.HeaderSafe(asked) + "` does not exist or is not listed by its provider", Param: "model", Code: "model_not_found"}
}

func modelList(shape dialect.Name, p page) any {
	entries := make([]any, 0, len(p.models))
	for _, m := range p.models {
		entries = append(entries, modelEntry(shape, m))
	}
	switch shape {
	case dialect.Anthropic:
		list := map[string]any{"data": entries, "has_more": p.more, "first_id": nil, "last_id": nil}
		if n := len(p.models); n > 0 {
			list["first_id"], list["last_id"] = p.models[0].ID, p.models[n-1].ID
		}
		return list
	case dialect.Gemini:
		list := map[string]any{"models": entries}
		if p.next != "" {
			list["nextPageToken"] = p.next
		}
		return list
	default:
		return map[string]any{"object": "list", "data": entries}
	}
}

func modelEntry(shape dialect.Name, m listed) any {
	title := m.Title
	if title == "" {
		title = m.ID
	}
	switch shape {
	case dialect.Anthropic:
		return json.RawMessage(anthropic.AppendModel(nil, anthropic.ModelInfo{ID: m.ID, DisplayName: title, Created: time.Unix(m.Created, 0)}))
	case dialect.Gemini:
		if m.Raw != nil && m.ID == m.modelInfo.ID {
			return m.Raw
		}
		return json.RawMessage(gemini.Model{ID: m.ID, DisplayName: title, Input: m.Input, Output: m.Output}.JSON())
	default:
		return map[string]any{"id": m.ID, "object": "model", "created": m.Created, "owned_by": m.Owner}
	}
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
	if c.r.Method == http.MethodHead {
		return nil
	}
	if _, err := c.w.Write(data); err != nil {
		return respond.ErrDisconnected
	}
	return nil
}
