package daemon

import (
	"context"
	"sync/atomic"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/gateway"
)

// controlSettings shows config.json as the control server needs it.
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

// gatewaySettings gives the gateway its settings without copying them for each
// request: they are put together once at each change.
type gatewaySettings struct {
	settings *config.Settings
	current  atomic.Pointer[gateway.Settings]
}

func newGatewaySettings(s *config.Settings) *gatewaySettings {
	g := &gatewaySettings{settings: s}
	g.refresh()
	return g
}

func (g *gatewaySettings) get() gateway.Settings { return *g.current.Load() }

func (g *gatewaySettings) refresh() {
	models := map[string][]string{}
	for _, name := range g.settings.ModelProviders() {
		models[name] = g.settings.Models(name)
	}
	g.current.Store(&gateway.Settings{
		StreamUsageOff: !g.settings.StreamUsage(), EchoOff: !g.settings.EchoEnabled(),
		Origins: g.settings.AllowedOrigins(), Models: models, OllamaModels: g.settings.OllamaModels(),
	})
}
