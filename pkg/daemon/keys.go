package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keypool"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/keys/reference"
	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/secret"
)

// openKeys opens the key store and starts to open its vault. It does not wait for the
// keychain.
func (d *daemon) openKeys(log *slog.Logger, handed *vault.Handover) error {
	credential, err := vault.Credential(d.cfg.Getenv)
	if err != nil {
		d.warnings.set("credential", []string{fault.From(err).Message})
		log.Error("the service's credential cannot be used", "error", err)
	}
	if d.vault, _, err = vault.New(vault.Config{Path: d.cfg.Paths.Vault(), Keychain: d.cfg.Keychain, Credential: credential, Logger: log}); err != nil {
		return err
	}
	if handed != nil {
		if err := d.vault.Resume(*handed); err != nil {
			log.Warn("the key vault is opened again", "reason", err)
		}
	}
	d.resolver = reference.New(reference.Config{
		Environ:  d.cfg.Environ(),
		Keychain: d.readKeychain,
		Commands: func(name string) (reference.Command, bool) {
			c, ok := d.settings.Command(name)
			return reference.Command{Argv: c.Argv, CacheTTL: time.Duration(c.CacheTTL) * time.Second}, ok
		},
		Logger: log,
	})
	var found []string
	if d.keys, found, err = keys.New(keys.Config{
		Path: d.cfg.Paths.Keys(), Vault: d.vault, Resolver: d.resolver, Storage: d.settings.KeyStorage, Logger: log,
	}); err != nil {
		return err
	}
	d.warnings.set("keys", found)
	if handed != nil && handed.Locked {
		d.keys.StayLocked()
	}
	return nil
}

// openVault starts to open the vault, or to create one if tokens must be sealed. It does not
// wait for the keychain. When the vault is open, sealed tokens are read.
func (d *daemon) openVault(log *slog.Logger) {
	d.vault.OnOpen(d.tokensUnlocked)
	d.vault.Open()
	d.keychainCtx, d.stopKeychain = context.WithCancel(context.Background())
	d.sealWhereWanted(log)
}

// sealWhereWanted starts to create a vault if tokens must be sealed and there is none.
func (d *daemon) sealWhereWanted(log *slog.Logger) {
	if d.stopKeychain == nil || d.persistence() != config.PersistKeychain || d.vault.Exists() {
		return
	}
	d.keychainWork.Go(func() { d.sealTokens(d.keychainCtx, log) })
}

// sealTokens creates a vault for the tokens. Without a keychain their hashes are not sealed,
// and it sets a warning.
func (d *daemon) sealTokens(ctx context.Context, log *slog.Logger) {
	if err := d.vault.Create(ctx); err != nil {
		d.warnings.set("sealing", []string{fmt.Sprintf("tokens.json holds hashes, unsealed: %v", err)})
		log.Warn("tokens are not sealed", "reason", err)
		return
	}
	d.warnings.set("sealing", nil)
	d.tokensUnlocked()
}

// tokensUnlocked reads sealed tokens when the vault has been opened.
func (d *daemon) tokensUnlocked() {
	err := d.tokens.Unlocked()
	if err == nil {
		err = d.revokeUnbound()
	}
	if err != nil {
		d.log.Error("sealed tokens cannot be read", "error", err)
	}
}

// readKeychain reads an item of the user's keychain, for keyring:// references.
func (d *daemon) readKeychain(ctx context.Context, service, account string) (secret.String, error) {
	if d.cfg.Keychain == nil {
		return secret.String{}, &vault.KeychainError{Reason: vault.Absent}
	}
	return d.cfg.Keychain.Get(ctx, service, account)
}

// closeKeys waits for pending keychain work.
func (d *daemon) closeKeys() {
	if d.stopKeychain != nil {
		d.stopKeychain()
	}
	d.keychainWork.Wait()
	if d.vault != nil {
		d.vault.Close()
	}
	if d.resolver != nil {
		d.resolver.Close()
	}
}

// controlKeys adapts the key store to control.Keys. It never returns a key.
type controlKeys struct {
	store    *keys.Store
	settings *config.Settings
	pool     *keypool.Pool
	changed  func() // the set of keys has changed
}

func (c controlKeys) info(e keys.Entry) control.KeyInfo {
	k := control.KeyInfo{
		Attributes: c.settings.Attributes()[e.Provider],
		Provider:   e.Provider, Label: e.Label, BaseURL: e.BaseURL, Storage: e.Storage, Hint: e.Hint(), HasKey: e.HasKey(), Reference: e.Reference,
		Locked: e.Locked, Dialect: e.Dialect, AllowPrivate: e.AllowPrivate,
	}
	h := c.pool.Health(e.Provider, e.Label)
	if k.State, k.StateStatus = h.State, h.Status; !h.Until.IsZero() {
		until := h.Until.UTC()
		k.StateUntil = &until
	}
	return k
}

func (c controlKeys) List(ctx context.Context) ([]control.KeyInfo, error) {
	entries, _, err := c.store.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []control.KeyInfo{}
	for _, e := range entries {
		out = append(out, c.info(e))
	}
	return out, nil
}

func (c controlKeys) Put(ctx context.Context, name string, req control.KeyRequest) (control.KeyStored, error) {
	name = provider.Default().Canonical(name)
	if err := errors.Join(keys.ValidProvider(name), keys.ValidLabel(req.Label)); err != nil {
		return control.KeyStored{}, err
	}
	if err := config.CheckAttributes(req.Attributes); err != nil {
		return control.KeyStored{}, err
	}
	kept, err := c.complete(ctx, name, &req)
	if err == nil {
		err = check(name, req)
	}
	if err != nil {
		return control.KeyStored{}, err
	}
	e, note, err := c.store.Put(ctx, keys.Entry{
		Provider: name, Label: req.Label, Key: req.Key.String, Reference: req.Reference, BaseURL: req.BaseURL, Dialect: req.Dialect, AllowPrivate: req.AllowPrivate,
	})
	if err != nil {
		return control.KeyStored{}, err
	}
	c.pool.Forget(name)
	if req.Attributes != nil {
		if err := c.settings.SetAttributes(name, req.Attributes); err != nil {
			return control.KeyStored{}, err
		}
	}
	c.changed()
	notes := []string{}
	for _, n := range []string{note, kept, plainHTTP(req)} {
		if n != "" {
			notes = append(notes, n)
		}
	}
	return control.KeyStored{KeyInfo: c.info(e), Note: strings.Join(notes, "; ")}, nil
}

// complete fills the fields that a request leaves out from the existing entry: a new base
// URL keeps the key, a new key keeps the base URL. A new label gets the base URL of the
// provider's other keys, so that its requests go to the same place.
func (c controlKeys) complete(ctx context.Context, name string, req *control.KeyRequest) (note string, err error) {
	old, there, err := c.store.Find(ctx, name, req.Label)
	if err != nil {
		return "", err
	}
	changes := !req.Key.IsZero() || req.Reference != "" || req.NoKey || req.BaseURL != "" || req.Dialect != "" || req.AllowPrivate || req.Attributes != nil
	if there && !changes {
		return "", &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("no key was given for %s, which already has one", name), Next: "hostless keys add " + name, Param: "key"}
	}
	if there && req.Key.IsZero() && req.Reference == "" && !req.NoKey && old.HasKey() {
		if req.Reference = old.Reference; req.Reference == "" {
			key, err := c.store.Key(ctx, name, req.Label)
			if err != nil {
				return "", err
			}
			req.Key.String = key
		}
		note = name + " keeps its key"
	}
	if !there {
		entries, _, err := c.store.List(ctx)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			if e.Provider == name && e.BaseURL != "" {
				old, there = e, true
				break
			}
		}
	}
	if req.BaseURL == "" && there && old.BaseURL != "" {
		req.BaseURL = old.BaseURL
		if req.Dialect == "" {
			req.Dialect = old.Dialect
		}
		req.AllowPrivate = req.AllowPrivate || old.AllowPrivate
		note = fmt.Sprintf("%s keeps its base URL; to reset it, first run: hostless keys remove %s", name, name)
	}
	return note, nil
}

// check validates a complete request against what its provider needs.
func check(name string, req control.KeyRequest) error {
	p := provider.Default().Get(name)
	noKey := strings.TrimSpace(req.Key.Reveal()) == "" && req.Reference == ""
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
			Kind: fault.Invalid, Message: fmt.Sprintf("provider %s has a different base URL for each customer, such as %s", name, p.BaseURLForm),
			Next: fmt.Sprintf("hostless keys add %s --base-url …", name), Param: "base_url",
		}
	case p != nil && !p.KeyOptional && req.BaseURL == "" && noKey:
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("provider %s needs a key", name), Next: "hostless keys add " + name + ", then type the key", Param: "key"}
	case req.BaseURL != "":
		return provider.CheckBaseURL(req.BaseURL, req.AllowPrivate)
	}
	return nil
}

// plainHTTP returns a warning about a key that is sent unencrypted over a network.
func plainHTTP(req control.KeyRequest) string {
	u, err := url.Parse(req.BaseURL)
	if err != nil || u.Scheme != "http" || req.Key.IsZero() && req.Reference == "" {
		return ""
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip, err := netip.ParseAddr(host); err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()) {
		return ""
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || !strings.Contains(host, ".") {
		return ""
	}
	return fmt.Sprintf("the key goes to %s unencrypted, so others on the network can read it: use https:// if the provider supports it", u.Host)
}

func (c controlKeys) Delete(ctx context.Context, name, label string, all bool) ([]string, error) {
	name = provider.Default().Canonical(name)
	labels := []string{label}
	if all {
		label, labels = keys.AllLabels, c.labelsOf(ctx, name)
	}
	if err := c.store.Delete(ctx, name, label); err != nil {
		return nil, err
	}
	c.pool.Forget(name)
	if all {
		if err := c.settings.SetAttributes(name, nil); err != nil {
			return nil, err
		}
	}
	c.changed()
	return labels, nil
}

// labelsOf returns the labels of a provider's keys.
func (c controlKeys) labelsOf(ctx context.Context, name string) []string {
	labels := []string{}
	entries, _, _ := c.store.List(ctx) // what cannot be listed is removed all the same
	for _, e := range entries {
		if e.Provider == name {
			labels = append(labels, e.Label)
		}
	}
	return labels
}

// Migrate moves all keys, and sets key-storage so that later keys are stored there too.
func (c controlKeys) Migrate(ctx context.Context, req control.MigrateRequest) (control.Migrated, error) {
	moved, err := c.store.Migrate(ctx, req.To, req.Passphrase.String)
	c.changed()
	if err != nil {
		return control.Migrated{}, err
	}
	var out control.Migrated
	for _, m := range moved {
		out.Keys = append(out.Keys, control.MigratedKey{Provider: m.Provider, Label: m.Label, From: m.From, Problem: m.Problem})
	}
	storage := c.settings.KeyStorage()
	switch {
	case req.To == keys.StorageFile && storage != config.StorageFile:
		storage = config.StorageFile
	case req.To == keys.StorageKeychain && storage == config.StorageFile:
		storage = config.StorageKeychain
	default:
		return out, nil
	}
	if err := c.settings.Set(config.KeyStorage, storage); err != nil {
		return out, err
	}
	out.Note = "key-storage is " + storage + " from now on"
	return out, nil
}

func (c controlKeys) Unlock(ctx context.Context, req control.UnlockRequest) error {
	err := c.store.Unlock(ctx, req.Passphrase.String)
	c.changed()
	return err
}

func (c controlKeys) Lock(ctx context.Context) error { return c.store.Lock(ctx) }
