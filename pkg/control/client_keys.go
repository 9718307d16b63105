package control

import (
	"context"
	"net/http"
	"net/url"
)

// Keys lists the keys and references that are stored.
func (c *Client) Keys(ctx context.Context) (l KeyList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/keys", nil, &l)
	return l, err
}

// PutKey stores a provider's key or reference.
func (c *Client) PutKey(ctx context.Context, provider string, req KeyRequest) (k KeyStored, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/keys/"+url.PathEscape(provider), req, &k)
	return k, err
}

// DeleteKey removes all keys of a provider.
func (c *Client) DeleteKey(ctx context.Context, provider string) (r KeyRemoved, err error) {
	_, err = c.Do(ctx, http.MethodDelete, "/keys/"+url.PathEscape(provider), nil, &r)
	return r, err
}

// DeleteLabelledKey removes one of a provider's keys.
func (c *Client) DeleteLabelledKey(ctx context.Context, provider, label string) (r KeyRemoved, err error) {
	_, err = c.Do(ctx, http.MethodDelete, "/keys/"+url.PathEscape(provider)+"?label="+url.QueryEscape(label), nil, &r)
	return r, err
}

// MigrateKeys moves all keys to another storage.
func (c *Client) MigrateKeys(ctx context.Context, req MigrateRequest) (m Migrated, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/keys/migrate", req, &m)
	return m, err
}

// Unlock opens the key vault. It may wait for the user to answer the keychain's prompt.
func (c *Client) Unlock(ctx context.Context, req UnlockRequest) (o Outcome, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/unlock", req, &o)
	return o, err
}

// Lock makes the daemon forget the vault's key and the keys from references.
func (c *Client) Lock(ctx context.Context) (o Outcome, err error) {
	_, err = c.Do(ctx, http.MethodPost, "/lock", nil, &o)
	return o, err
}

// Commands lists the programs that cmd:// references may run.
func (c *Client) Commands(ctx context.Context) (l CommandList, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/commands", nil, &l)
	return l, err
}

// SetCommand declares the program that cmd://NAME runs.
func (c *Client) SetCommand(ctx context.Context, cmd Command) (l CommandList, err error) {
	_, err = c.Do(ctx, http.MethodPut, "/commands/"+url.PathEscape(cmd.Name), cmd, &l)
	return l, err
}

// RemoveCommand removes a declared program.
func (c *Client) RemoveCommand(ctx context.Context, name string) (l CommandList, err error) {
	_, err = c.Do(ctx, http.MethodDelete, "/commands/"+url.PathEscape(name), nil, &l)
	return l, err
}
