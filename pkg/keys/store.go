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

// Config is what a Store needs.
type Config struct {
	Path     string              // keys.env; required
	Vault    *vault.Vault        // sealed keys; none when nil
	Resolver *reference.Resolver // of references; those fail without it
	Storage  func() string       // the setting key-storage; config.StorageAuto when nil
	Now      func() time.Time    // time.Now when nil
	Logger   *slog.Logger        // discards when nil
}

// Store keeps provider keys: in the vault, or in keys.env. It is safe for
// concurrent use. What it reads from keys.env follows edits by hand: within a
// second on use, at once on Reload.
type Store struct {
	file     *file
	vault    *vault.Vault
	resolver *reference.Resolver
	storage  func() string
	log      *slog.Logger

	mu         sync.Mutex
	locked     bool  // by Lock: references are not resolved
	noKeychain error // why storage auto found no keychain; it is tried once

	changing sync.Mutex // held over a change that concerns both storages
}

// New makes a store and reads keys.env. Lines that cannot be used are reported by
// warnings. The vault is the caller's: it is neither opened nor closed here.
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

// Reload reads both files again and reports what in them cannot be used. On an
// error the keys known before stay in use.
func (s *Store) Reload() (warnings []string, err error) {
	warnings, err = s.file.reload()
	if s.vault != nil {
		more, vaultErr := s.vault.Reload()
		warnings, err = append(warnings, more...), errors.Join(err, vaultErr)
	}
	return warnings, err
}

// Get finds the first of a provider's keys that can be used, resolved. None is
// fault.Unconfigured with the command that adds one; keys that a locked vault
// holds, or that cannot be resolved, are fault.Locked.
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

// plain gives the key without a label where it is in the file alone and is no
// reference: the common case, on the way of each request.
func (s *Store) plain(provider string) (Entry, bool) {
	if s.vault != nil && s.vault.Holds(provider) {
		return Entry{}, false
	}
	e, ok := s.file.known()[entryID{provider: provider}]
	return e, ok && e.Reference == ""
}

// Count is how many entries a provider has, as far as is known without opening
// anything: cheap enough for each request.
func (s *Store) Count(provider string) int {
	n := s.file.count(provider)
	if s.vault != nil {
		n += s.vault.Count(provider)
	}
	return n
}

// All gives a provider's keys that can be used now, resolved, by label: at least
// one, or the error that Get gives.
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

// resolve gives the key of a reference.
func (s *Store) resolve(ctx context.Context, e Entry) (secret.String, error) {
	s.mu.Lock()
	locked := s.locked
	s.mu.Unlock()
	if locked {
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

// List gives all entries by provider and label, references unresolved, sealed
// keys left out. Locked says that sealed keys cannot be had now. An error means
// that the entries are not all known.
func (s *Store) List(context.Context) (entries []Entry, locked bool, err error) {
	all := map[entryID]Entry{}
	for k, e := range s.file.known() {
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

// Find gives one entry as List does; ok is false where there is none.
func (s *Store) Find(ctx context.Context, provider, label string) (e Entry, ok bool, err error) {
	entries, _, err := s.List(ctx)
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Provider == provider && e.Label == label })
	if i < 0 {
		return Entry{}, false, err
	}
	return entries[i], true, err
}

// Key gives the stored key of one entry, where it has one. A locked vault is
// fault.Locked.
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

// Put stores an entry in place of an earlier one with its provider and label and
// returns it as it was stored. It is on disk when Put returns. White space around
// a key is trimmed; what no key or base URL can hold is fault.Invalid. The note,
// where there is one, says why the key is where it is.
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

// place chooses where an entry is stored. Without a key there is nothing to seal.
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
	return fmt.Sprintf("the key is in keys.env, readable by you alone and not sealed: %v", err)
}

// noKeychainFault is what a person gets who wants a keychain that there is not.
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

// toVault seals an entry and takes it out of the file.
func (s *Store) toVault(ctx context.Context, e Entry) error {
	if err := s.vault.Put(ctx, e.item()); err != nil {
		return err
	}
	return s.dropFromFile(e.id())
}

// toFile writes an entry to the file and takes it out of the vault, where it
// would be found first.
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

// Delete removes a provider's entry with a label, or with AllLabels all of them.
// None is fault.NotFound.
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

// AllLabels, as a label, stands for all keys of a provider.
const AllLabels = "*"
