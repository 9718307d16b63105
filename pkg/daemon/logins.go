package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/oauth"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/secret"
)

// openLogins creates the logins with providers, which store keys in the key store.
func (d *daemon) openLogins() error {
	l, found, err := oauth.New(oauth.Config{
		Path: d.cfg.Paths.Logins(), Clients: d.settings.OAuthClients, Getenv: d.cfg.Getenv, Logger: d.log.With("component", "oauth"),
		Store: d.storeLogin, Find: d.findLogin,
		Remove: func(ctx context.Context, name string) error {
			_, err := d.controlKeys().Delete(ctx, name, "", false)
			return err
		},
		Callback: func() string { return fmt.Sprintf("http://localhost:%d/callback", d.sockets.Port) },
	})
	d.logins = l
	d.warnings.set("oauth", found)
	return err
}

func (d *daemon) controlKeys() controlKeys {
	return controlKeys{d.keys, d.settings, d.pool, d.keysChanged}
}

// storeLogin stores a key for the provider and keeps the base URL.
func (d *daemon) storeLogin(ctx context.Context, name string, key secret.String) (oauth.Stored, error) {
	d.redactor.Learn(key)
	k, err := d.controlKeys().Put(ctx, name, control.KeyRequest{Key: control.Secret{String: key}})
	return oauth.Stored{Storage: k.Storage, Hint: k.Hint}, err
}

func (d *daemon) findLogin(ctx context.Context, name string) (oauth.Stored, bool, error) {
	stored, err := d.controlKeys().List(ctx)
	for _, k := range stored {
		if k.Provider == name && k.Label == "" {
			return oauth.Stored{Storage: k.Storage, Hint: k.Hint}, true, nil
		}
	}
	return oauth.Stored{}, false, err
}

// loginWait is the time limit of a long poll for a login's outcome.
const loginWait = 30 * time.Second

// controlLogins adapts the logins to control.Logins.
type controlLogins struct{ logins *oauth.Logins }

func (c controlLogins) Begin(_ context.Context, name string) (control.Login, error) {
	name = provider.Default().Canonical(name)
	id, page, err := c.logins.Begin(name)
	return control.Login{ID: id, Provider: name, URL: page, ExpiresIn: 600}, err
}

func (c controlLogins) Wait(ctx context.Context, id string) (control.LoginOutcome, error) {
	o, err := c.logins.Wait(ctx, id, loginWait)
	return control.LoginOutcome{Status: o.Status, Provider: o.Provider, Storage: o.Storage, Hint: o.Hint, Reason: o.Reason}, err
}

func (c controlLogins) List(ctx context.Context) (out []control.LoginStatus, err error) {
	list, err := c.logins.List(ctx)
	for _, s := range list {
		out = append(out, control.LoginStatus{Provider: s.Provider, LoggedInAt: s.At, Storage: s.Storage, Hint: s.Hint, Current: s.Current})
	}
	return out, err
}

func (c controlLogins) Logout(ctx context.Context, name string) error {
	return c.logins.Logout(ctx, provider.Default().Canonical(name))
}
