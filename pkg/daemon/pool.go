package daemon

import (
	"context"
	"log/slog"
	"slices"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/keypool"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/secret"
)

// openPool creates the pool that distributes requests over the keys of a provider.
func (d *daemon) openPool(log *slog.Logger) (err error) {
	d.pool, err = keypool.New(keypool.Config{Keys: d.gatewayKeys(), Logger: log})
	return err
}

// gatewayKeys returns the key store as gateway.Keys.
func (d *daemon) gatewayKeys() gatewayKeys {
	return gatewayKeys{store: d.keys, used: d.redactor.Learn, urls: providerURLs{d.settings}}
}

// poolKeys returns gateway.Keys that select a working key of a provider with several.
func (d *daemon) poolKeys() gatewayKeys {
	k := d.gatewayKeys()
	k.pool = d.pool
	return k
}

// gatewayKeys adapts the key store to gateway.Keys and keypool.Keys.
type gatewayKeys struct {
	store *keys.Store
	used  func(secret.String) // called with each key before the gateway gets it
	urls  providerURLs
	pool  *keypool.Pool // nil in the pool itself
}

// Get implements gateway.Keys.
func (g gatewayKeys) Get(ctx context.Context, provider string) (gateway.Credential, bool, error) {
	if g.pool != nil && g.store.Count(provider) > 1 {
		all, err := g.All(ctx, provider)
		if err != nil {
			return gateway.Credential{}, false, err
		}
		works := func(c gateway.Credential) bool { return g.pool.Health(c.Provider, c.Label).State == keypool.OK }
		return all[max(0, slices.IndexFunc(all, works))], true, nil
	}
	e, err := g.store.Get(ctx, provider)
	if fault.Is(err, fault.Unconfigured) {
		return g.urls.keyless(provider)
	}
	if err != nil {
		return gateway.Credential{}, false, err
	}
	cred, err := g.credential(e)
	return cred, err == nil, err
}

// Count implements keypool.Keys.
func (g gatewayKeys) Count(provider string) int { return g.store.Count(provider) }

// All implements keypool.Keys.
func (g gatewayKeys) All(ctx context.Context, provider string) ([]gateway.Credential, error) {
	entries, err := g.store.All(ctx, provider)
	if err != nil {
		return nil, err
	}
	out := make([]gateway.Credential, 0, len(entries))
	for _, e := range entries {
		cred, err := g.credential(e)
		if err != nil {
			return nil, err
		}
		out = append(out, cred)
	}
	return out, nil
}

// credential returns an entry in the form that the gateway uses.
func (g gatewayKeys) credential(e keys.Entry) (gateway.Credential, error) {
	if err := g.urls.fill(&e); err != nil {
		return gateway.Credential{}, err
	}
	g.used(e.Key)
	return gateway.Credential{
		Provider: e.Provider, Label: e.Label, Key: e.Key, BaseURL: e.BaseURL, Dialect: dialect.Name(e.Dialect), AllowPrivate: e.AllowPrivate,
	}, nil
}

// Stored implements gateway.Keys.
func (g gatewayKeys) Stored() ([]string, error) {
	entries, _, err := g.store.List(context.Background())
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		if !slices.Contains(out, e.Provider) {
			out = append(out, e.Provider)
		}
	}
	return g.urls.add(out), nil
}
