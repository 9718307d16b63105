package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys/reference"
	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/secret"
)

// Config configures a Store.
type Config struct {
	Path     string              // keys.env; required
	Vault    *vault.Vault        // sealed keys; nil means no vault
	Resolver *reference.Resolver // resolves references; without it they fail
	Storage  func() string       // the setting key-storage; config.StorageAuto when nil
	Now      func() time.Time    // time.Now when nil
	Logger   *slog.Logger        // discards when nil
}

// Store stores provider keys, in the vault or in keys.env. It is safe for concurrent use.
// Manual edits of keys.env take effect within a second, or at once with Reload.
type Store struct {
	file     *file
	vault    *vault.Vault
	resolver *reference.Resolver
	storage  func() string
	log      *slog.Logger

	mu         sync.Mutex
	locked     bool  // set by Lock: references are not resolved
	noKeychain error // why the storage auto found no keychain, which is tried once

	changing sync.Mutex // held during a change of both storages
}

// New returns a store and reads keys.env. Invalid lines are reported in warnings. The
// caller owns the vault and must open and close it.
func New(cfg Config) (s *Store, warnings []string, err error) {
	if cfg.Path == "" {
		return nil, nil, errors.New("key store needs a path")
	}
	s = &Store{
		file:  &file{path: cfg.Path, now: cfg.Now, log: cfg.Logger},
		vault: cfg.Vault, resolver: cfg.Resolver, storage: cfg.Storage, log: cfg.Logger,
	}
	if s.file.now == nil {
		s.file.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
		s.file.log = s.log
	}
	if s.storage == nil {
		s.storage = func() string { return config.StorageAuto }
	}
	warnings, err = s.file.load()
	return s, warnings, err
}

// Reload reads both files again and reports what cannot be used. On an error the known
// keys stay in use.
func (s *Store) Reload() (warnings []string, err error) {
	warnings, err = s.file.reload()
	if s.vault != nil {
		more, vaultErr := s.vault.Reload()
		warnings, err = append(warnings, more...), errors.Join(err, vaultErr)
	}
	return warnings, err
}

// Get returns the first usable key of a provider, resolved. Without a key the error is
// fault.Unconfigured with the command that adds one. If the keys are in a locked vault or
// cannot be resolved, the error is fault.Locked.
func (s *Store) Get(ctx context.Context, provider string) (Entry, error) {
	if e, ok := s.plain(provider); ok {
		return e, nil
	}
	all, err := s.All(ctx, provider)
	if err != nil {
		return Entry{}, err
	}
	return all[0], nil
}

// plain returns the key without a label if it is only in the file and not a reference.
// This is the common case in every request.
func (s *Store) plain(provider string) (Entry, bool) {
	if s.vault != nil && s.vault.Holds(provider) {
		return Entry{}, false
	}
	e, ok := s.file.known()[entryID{provider: provider}]
	return e, ok && e.Reference == ""
}

// Count returns the number of a provider's entries without opening anything, so it is
// cheap enough for every request.
func (s *Store) Count(provider string) int {
	n := s.file.count(provider)
	if s.vault != nil {
		n += s.vault.Count(provider)
	}
	return n
}

// All returns the usable keys of a provider, resolved and sorted by label: at least one,
// or the error of Get.
func (s *Store) All(ctx context.Context, provider string) ([]Entry, error) {
	found := map[entryID]Entry{}
	for k, e := range s.file.known() {
		if k.provider == provider {
			found[k] = e
		}
	}
	var failed error
	if s.vault != nil {
		items, err := s.vault.Get(ctx, provider)
		failed = err
		for _, it := range items {
			e := entryOfItem(it)
			found[e.id()] = e
		}
	}
	var usable []Entry
	for _, k := range sortedIDs(found) {
		e := found[k]
		if e.Reference != "" {
			key, err := s.resolve(ctx, e)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			e.Key = key
		}
		usable = append(usable, e)
	}
	switch {
	case len(usable) > 0:
		return usable, nil
	case failed != nil:
		return nil, failed
	}
	return nil, &fault.Error{
		Kind:    fault.Unconfigured,
		Message: fmt.Sprintf("No API key for provider %q is stored: add one with hostless keys add %s", provider, provider),
		Next:    "hostless keys add " + provider,
		Code:    "missing_provider_key",
	}
}

// resolve returns the key for a reference.
func (s *Store) resolve(ctx context.Context, e Entry) (secret.String, error) {
	if s.Locked() {
		return secret.String{}, &fault.Error{Kind: fault.Locked, Message: "the keys are locked: hostless lock locked them", Next: "hostless unlock", Code: "vault_locked"}
	}
	ref, err := reference.Parse(e.Reference)
	if err != nil {
		return secret.String{}, err
	}
	if s.resolver == nil {
		return secret.String{}, errors.New("key store has no resolver")
	}
	return s.resolver.Resolve(ctx, ref)
}

func entryOfItem(it vault.Item) Entry {
	return Entry{
		Provider: it.Provider, Label: it.Label, Key: it.Key, Reference: it.Reference, BaseURL: it.BaseURL, Dialect: it.Dialect,
		AllowPrivate: it.AllowPrivate, Storage: StorageKeychain, hint: it.Hint,
	}
}

func (e Entry) item() vault.Item {
	return vault.Item{
		Provider: e.Provider, Label: e.Label, Key: e.Key, Reference: e.Reference, BaseURL: e.BaseURL, Dialect: e.Dialect,
		AllowPrivate: e.AllowPrivate, Hint: e.Hint(),
	}
}

// List returns all entries sorted by provider and label, without resolving references and
// without sealed keys. locked reports that the vault is locked; an entry's Locked is also
// set for a reference that is not resolved until Unlock. An error means that some entries
// are unknown.
func (s *Store) List(context.Context) (entries []Entry, locked bool, err error) {
	all := map[entryID]Entry{}
	byUser := s.Locked()
	for k, e := range s.file.known() {
		e.Locked = byUser && e.Reference != ""
		all[k] = e
	}
	if s.vault != nil {
		var items []vault.Item
		if items, locked, err = s.vault.List(); err != nil {
			return nil, locked, err
		}
		for _, it := range items {
			e := entryOfItem(it)
			e.Locked = locked
			all[e.id()] = e
		}
	}
	entries = []Entry{}
	for _, k := range sortedIDs(all) {
		entries = append(entries, all[k])
	}
	return entries, locked, nil
}

// Find returns one entry as List does. ok is false if it does not exist.
func (s *Store) Find(ctx context.Context, provider, label string) (e Entry, ok bool, err error) {
	entries, _, err := s.List(ctx)
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Provider == provider && e.Label == label })
	if i < 0 {
		return Entry{}, false, err
	}
	return entries[i], true, err
}

// Key returns the stored key of an entry, if it has one. If the vault is locked, the
// error is fault.Locked.
func (s *Store) Key(ctx context.Context, provider, label string) (secret.String, error) {
	if s.vault != nil {
		items, err := s.vault.Get(ctx, provider)
		if err != nil {
			return secret.String{}, err
		}
		for _, it := range items {
			if it.Label == label {
				return it.Key, nil
			}
		}
	}
	return s.file.known()[entryID{provider, label}].Key, nil
}

// Put stores an entry, replacing one with the same provider and label, and returns it as
// stored. When it returns, the entry is on disk. White space around a key is trimmed; an
// invalid key or base URL is a fault.Invalid. If note is not empty, it says why the key
// is stored where it is.
func (s *Store) Put(ctx context.Context, e Entry) (stored Entry, note string, err error) {
	if e, err = e.clean(); err != nil {
		return Entry{}, "", err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if e.Storage, note, err = s.place(ctx, e); err != nil {
		return Entry{}, "", err
	}
	if e.Storage == StorageKeychain {
		err = s.toVault(ctx, e)
	} else {
		err = s.toFile(ctx, e)
	}
	return e, note, err
}

// place chooses the storage of an entry. An entry without a key needs no sealing.
func (s *Store) place(ctx context.Context, e Entry) (storage, note string, err error) {
	mode := s.storage()
	if s.vault == nil || mode == config.StorageFile || e.Key.IsZero() && e.Reference == "" {
		return StorageFile, "", nil
	}
	s.mu.Lock()
	tried := s.noKeychain
	s.mu.Unlock()
	if exists := s.vault.Exists(); !exists && mode == config.StorageAuto && tried != nil {
		return StorageFile, plainNote(tried), nil
	}
	err = s.vault.Create(ctx)
	switch {
	case err == nil:
		return StorageKeychain, "", nil
	case mode == config.StorageAuto && !s.vault.Exists():
		s.mu.Lock()
		s.noKeychain = err
		s.mu.Unlock()
		s.log.Warn("no keychain: keys are stored in keys.env", "reason", err)
		return StorageFile, plainNote(err), nil
	}
	return "", "", noKeychainFault(err)
}

func plainNote(err error) string {
	return fmt.Sprintf("the key is in keys.env, readable only by you but not encrypted: %v", err)
}

// noKeychainFault is the error if the storage is keychain but there is no keychain.
func noKeychainFault(err error) error {
	var k *vault.KeychainError
	if !errors.As(err, &k) {
		return err
	}
	next := "hostless unlock, which waits for an answer"
	if k.Reason == vault.Absent {
		next = "hostless unlock, to seal the keys with a passphrase; or: hostless config set key-storage file"
	}
	return &fault.Error{Kind: fault.Locked, Message: k.Error(), Next: next, Code: "no_keychain", Err: err}
}

// toVault seals an entry and removes it from the file.
func (s *Store) toVault(ctx context.Context, e Entry) error {
	if err := s.vault.Put(ctx, e.item()); err != nil {
		return err
	}
	return s.dropFromFile(e.id())
}

// toFile writes an entry to the file and removes it from the vault, which is searched
// first.
func (s *Store) toFile(ctx context.Context, e Entry) error {
	if err := s.file.change(func(f envFile) envFile { return f.put(e) }); err != nil || s.vault == nil {
		return err
	}
	_, err := s.vault.Delete(ctx, e.Provider, e.Label)
	return err
}

func (s *Store) dropFromFile(ids ...entryID) error {
	known := s.file.known()
	if !slices.ContainsFunc(ids, func(k entryID) bool { _, ok := known[k]; return ok }) {
		return nil
	}
	return s.file.change(func(f envFile) envFile {
		for _, k := range ids {
			f = f.remove(k)
		}
		return f
	})
}

// Delete removes the entry of a provider with the label, or all of them with AllLabels.
// If there is none, the error is fault.NotFound.
func (s *Store) Delete(ctx context.Context, provider, label string) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	entries, _, err := s.List(ctx)
	if err != nil {
		return err
	}
	ids := []entryID{{provider, label}}
	if label == AllLabels {
		ids = []entryID{{provider, ""}}
		for _, e := range entries {
			if e.Provider == provider && e.Label != "" {
				ids = append(ids, e.id())
			}
		}
	}
	found := false
	for _, k := range ids {
		if s.vault != nil {
			sealed, err := s.vault.Delete(ctx, k.provider, k.label)
			if err != nil {
				return err
			}
			found = found || sealed
		}
	}
	err = s.file.change(func(f envFile) envFile {
		for _, k := range ids {
			found = found || f.holds(k)
			f = f.remove(k)
		}
		return f
	})
	if err == nil && !found {
		err = &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no key of provider %.80q is stored", ids[0].String()), Next: "hostless keys list"}
	}
	return err
}

// AllLabels as a label means all keys of a provider.
const AllLabels = "*"
