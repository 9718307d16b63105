package daemon

import (
	"context"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/keys"
)

// controlKeys shows the key store as the control server needs it. No key ever
// leaves through it.
type controlKeys struct {
	store   *keys.Store
	changed func() // the set of keys has changed
}

func keyInfo(e keys.Entry, locked bool) control.KeyInfo {
	return control.KeyInfo{
		Provider: e.Provider, BaseURL: e.BaseURL, Storage: e.Storage, Hint: e.Hint(),
		Locked: locked && e.Storage == keys.StorageKeychain, Dialect: e.Dialect, AllowPrivate: e.AllowPrivate,
	}
}

func (c controlKeys) List(ctx context.Context) ([]control.KeyInfo, error) {
	entries, locked, err := c.store.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []control.KeyInfo{}
	for _, e := range entries {
		out = append(out, keyInfo(e, locked))
	}
	return out, nil
}

func (c controlKeys) Put(ctx context.Context, provider string, req control.KeyRequest) (control.KeyInfo, error) {
	e, err := c.store.Put(ctx, keys.Entry{
		Provider: provider, Key: req.Key.String, BaseURL: req.BaseURL, Dialect: req.Dialect, AllowPrivate: req.AllowPrivate,
	})
	if err != nil {
		return control.KeyInfo{}, err
	}
	c.changed()
	return keyInfo(e, false), nil
}

func (c controlKeys) Delete(ctx context.Context, provider string) error {
	if err := c.store.Delete(ctx, provider); err != nil {
		return err
	}
	c.changed()
	return nil
}

// gatewayKeys shows the key store as the gateway needs it.
type gatewayKeys struct{ store *keys.Store }

func (g gatewayKeys) Get(ctx context.Context, provider string) (gateway.Credential, bool, error) {
	e, err := g.store.Get(ctx, provider)
	if fault.Is(err, fault.Unconfigured) {
		return gateway.Credential{}, false, nil
	}
	if err != nil {
		return gateway.Credential{}, false, err
	}
	return gateway.Credential{
		Provider: e.Provider, Key: e.Key, BaseURL: e.BaseURL, Dialect: dialect.Name(e.Dialect), AllowPrivate: e.AllowPrivate,
	}, true, nil
}

func (g gatewayKeys) Stored() []string {
	entries, _, err := g.store.List(context.Background())
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Provider)
	}
	return out
}
