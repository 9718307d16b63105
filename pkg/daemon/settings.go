package daemon

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/alias"
	"github.com/hostless/hostless/pkg/keys/reference"
	"github.com/hostless/hostless/pkg/reqlog"
)

// controlSettings adapts config.json to control.Settings.
type controlSettings struct{ *config.Settings }

func (c controlSettings) Values(context.Context) (control.ConfigValues, error) {
	return c.Settings.Values(), nil
}

func (c controlSettings) Patch(_ context.Context, values control.ConfigValues) error {
	return c.Settings.Patch(values)
}

func (c controlSettings) Origins(context.Context) ([]string, error) {
	return c.AllowedOrigins(), nil
}

func (c controlSettings) AddOrigin(_ context.Context, origin string) error {
	return c.Settings.AddOrigin(origin)
}

func (c controlSettings) RemoveOrigin(_ context.Context, origin string) error {
	return c.Settings.RemoveOrigin(origin)
}

func (c controlSettings) Commands(context.Context) ([]control.Command, error) {
	all := c.Settings.Commands()
	out := []control.Command{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, control.Command{Name: name, Argv: all[name].Argv, CacheTTL: all[name].CacheTTL})
	}
	return out, nil
}

func (c controlSettings) SetCommand(_ context.Context, cmd control.Command) error {
	if err := reference.ValidCommand(cmd.Name); err != nil {
		return err
	}
	return c.Settings.SetCommand(cmd.Name, config.Command{Argv: cmd.Argv, CacheTTL: cmd.CacheTTL})
}

func (c controlSettings) RemoveCommand(_ context.Context, name string) error {
	return c.Settings.RemoveCommand(name)
}

func (c controlSettings) Aliases(context.Context) ([]control.Alias, error) {
	all := c.ModelAliases()
	out := []control.Alias{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, control.Alias{Name: name, Targets: all[name]})
	}
	tokens := c.TokenModelAliases()
	for _, token := range slices.Sorted(maps.Keys(tokens)) {
		for _, name := range slices.Sorted(maps.Keys(tokens[token])) {
			out = append(out, control.Alias{Name: name, Targets: tokens[token][name], Token: token})
		}
	}
	return out, nil
}

func (c controlSettings) SetAlias(_ context.Context, a control.Alias) error {
	return c.SetModelAlias(a.Token, a.Name, a.Targets, func(others map[string][]string) error {
		return alias.Check(others, a.Name, a.Targets)
	})
}

func (c controlSettings) RemoveAlias(_ context.Context, token, name string) error {
	return c.RemoveModelAlias(token, name)
}

// gatewaySettings provides the gateway's settings. They are built once after each change,
// and not copied for each request.
type gatewaySettings struct {
	settings *config.Settings
	warnings *warnings
	current  atomic.Pointer[gateway.Settings]
}

func newGatewaySettings(s *config.Settings, w *warnings) *gatewaySettings {
	g := &gatewaySettings{settings: s, warnings: w}
	g.refresh()
	return g
}

func (g *gatewaySettings) get() gateway.Settings { return *g.current.Load() }

func (g *gatewaySettings) refresh() {
	models := map[string][]string{}
	for _, name := range g.settings.ModelProviders() {
		models[name] = g.settings.Models(name)
	}
	aliases, problems := alias.New(g.settings.ModelAliases(), g.settings.TokenModelAliases())
	for i, p := range problems {
		problems[i] = "config.json: " + p
	}
	g.warnings.set("aliases", problems)
	keep := 0
	if g.settings.LogBodies() != reqlog.BodiesOff {
		keep = reqlog.MaxResponseBody
	}
	attributes := map[string]map[string]string{}
	for name, a := range g.settings.Attributes() {
		attributes[name] = a
	}
	g.current.Store(&gateway.Settings{
		Attributes:     attributes,
		KeepResponse:   keep,
		Aliases:        aliases,
		Trace:          g.settings.OTLPEndpoint() != "",
		StreamUsageOff: !g.settings.StreamUsage(), EchoOff: !g.settings.EchoEnabled(),
		Origins: g.settings.AllowedOrigins(), Models: models, ModelAPIs: g.settings.ModelAPIs(), OllamaModels: ollamaModels(g.settings.OllamaModels()),
	})
}

func ollamaModels(list []config.OllamaModel) (out []gateway.OllamaModel) {
	for _, m := range list {
		out = append(out, gateway.OllamaModel(m))
	}
	return out
}
