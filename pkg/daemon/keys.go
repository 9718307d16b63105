package daemon

import (
	"context"
	"fmt"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/secret"
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

func (c controlKeys) Put(ctx context.Context, name string, req control.KeyRequest) (control.KeyInfo, error) {
	name = provider.Default().Canonical(name)
	if err := complete(name, req); err != nil {
		return control.KeyInfo{}, err
	}
	e, err := c.store.Put(ctx, keys.Entry{
		Provider: name, Key: req.Key.String, BaseURL: req.BaseURL, Dialect: req.Dialect, AllowPrivate: req.AllowPrivate,
	})
	if err != nil {
		return control.KeyInfo{}, err
	}
	c.changed()
	return keyInfo(e, false), nil
}

// complete checks that a provider can be used with what was given.
func complete(name string, req control.KeyRequest) error {
	if err := keys.ValidProvider(name); err != nil {
		return err
	}
	p := provider.Default().Get(name)
	switch {
	case p != nil && p.Builtin:
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("provider %s is built in and needs no key", name), Param: "provider"}
	case p == nil && req.BaseURL == "":
		return &fault.Error{
			Kind: fault.Invalid, Message: fmt.Sprintf("provider %.80q is not in the catalogue, so it needs a base URL", name),
			Next: fmt.Sprintf("hostless keys add %.80s --base-url https://…", name), Param: "base_url",
		}
	case p != nil && p.BaseURL == "" && req.BaseURL == "":
		return &fault.Error{
			Kind: fault.Invalid, Message: fmt.Sprintf("provider %s has a base URL for each customer, as in %s", name, p.BaseURLForm),
			Next: fmt.Sprintf("hostless keys add %s --base-url …", name), Param: "base_url",
		}
	case p != nil && !p.KeyOptional && req.BaseURL == "" && strings.TrimSpace(req.Key.Reveal()) == "":
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("provider %s needs a key", name), Next: "hostless keys add " + name, Param: "key"}
	case req.BaseURL != "":
		return provider.CheckBaseURL(req.BaseURL, req.AllowPrivate)
	}
	return nil
}

func (c controlKeys) Delete(ctx context.Context, name string) error {
	if err := c.store.Delete(ctx, provider.Default().Canonical(name)); err != nil {
		return err
	}
	c.changed()
	return nil
}

// gatewayKeys shows the key store as the gateway needs it.
type gatewayKeys struct {
	store *keys.Store
	used  func(secret.String) // is told each key before the gateway has it
}

func (g gatewayKeys) Get(ctx context.Context, provider string) (gateway.Credential, bool, error) {
	e, err := g.store.Get(ctx, provider)
	if fault.Is(err, fault.Unconfigured) {
		return gateway.Credential{}, false, nil
	}
	if err != nil {
		return gateway.Credential{}, false, err
	}
	g.used(e.Key)
	return gateway.Credential{
		Provider: e.Provider, Key: e.Key, BaseURL: e.BaseURL, Dialect: dialect.Name(e.Dialect), AllowPrivate: e.AllowPrivate,
	}, true, nil
}

func (g gatewayKeys) Stored() ([]string, error) {
	entries, _, err := g.store.List(context.Background())
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Provider)
	}
	return out, nil
}
