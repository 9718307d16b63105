package keys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/secret"
)

// Moved is the result of Migrate for one key.
type Moved struct {
	Provider string
	Label    string
	From     string // StorageFile, StorageKeychain, or StorageLegacy
	Problem  string // why it was not moved, or ""
}

// StorageLegacy is keys.vault, the file of Hostless 0.4.
const StorageLegacy = "keys.vault"

// Migrate moves all keys to a storage, StorageKeychain or StorageFile. Each key is
// written, read back and compared before it is removed from its old place. Keys in
// keys.vault are included if its master key is in the keychain; a key that is already
// stored takes precedence. Without a keychain, passphrase seals the vault, as in Unlock.
func (s *Store) Migrate(ctx context.Context, to string, passphrase secret.String) ([]Moved, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.vault == nil {
		return nil, errors.New("key store has no vault")
	}
	legacy, err := s.legacy(ctx)
	if err != nil {
		return nil, err
	}
	var moved []Moved
	switch to {
	case StorageKeychain:
		if err := s.vault.Unlock(ctx, passphrase, true); err != nil {
			return nil, noKeychainFault(err)
		}
		moved, err = s.allToVault(ctx)
	case StorageFile:
		if s.vault.Exists() {
			if err := s.vault.Unlock(ctx, passphrase, false); err != nil {
				return nil, err
			}
		}
		moved, err = s.allToFile(ctx)
	default:
		return nil, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("keys can be moved to keychain or file, not to %.20q", to), Param: "to"}
	}
	if err != nil {
		return moved, err
	}
	more, err := s.takeOver(ctx, to, legacy)
	return append(moved, more...), err
}

// allToVault moves the keys and references of the file.
func (s *Store) allToVault(ctx context.Context) (moved []Moved, err error) {
	known := s.file.known()
	var done []entryID
	for _, k := range sortedIDs(known) {
		e := known[k]
		if e.Key.IsZero() && e.Reference == "" {
			continue
		}
		if err := s.vault.Put(ctx, e.item()); err != nil { // which reads it back
			return moved, err
		}
		done = append(done, k)
		moved = append(moved, Moved{Provider: e.Provider, Label: e.Label, From: StorageFile})
	}
	return moved, s.dropFromFile(done...)
}

// allToFile moves the keys of the vault. Keys that cannot be unsealed stay there.
func (s *Store) allToFile(ctx context.Context) (moved []Moved, err error) {
	items, _, err := s.vault.List()
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		m := Moved{Provider: it.Provider, Label: it.Label, From: StorageKeychain}
		if it, err = s.vault.Item(ctx, it.Provider, it.Label); err != nil {
			m.Problem = fault.From(err).Message
			moved = append(moved, m)
			continue
		}
		e := entryOfItem(it)
		e.Storage = StorageFile
		if err := s.file.change(func(f envFile) envFile { return f.put(e) }); err != nil {
			return moved, err
		}
		if got := s.file.known()[e.id()]; !got.Key.Equal(e.Key) || got.BaseURL != e.BaseURL || got.Reference != e.Reference {
			return moved, fmt.Errorf("the key of %s could not be read back from %s", e.id(), s.file.path)
		}
		if _, err := s.vault.Delete(ctx, it.Provider, it.Label); err != nil {
			return moved, err
		}
		moved = append(moved, m)
	}
	return moved, nil
}

// legacy opens keys.vault next to keys.env; nil if there is none.
func (s *Store) legacy(ctx context.Context) ([]vault.LegacyItem, error) {
	path := s.legacyPath()
	if _, err := os.Stat(path); err != nil {
		return nil, nil
	}
	items, err := s.vault.OpenLegacy(ctx, path)
	if err != nil {
		return nil, err
	}
	return items, nil
}

func (s *Store) legacyPath() string { return filepath.Join(filepath.Dir(s.file.path), StorageLegacy) }

// takeOver stores the keys of keys.vault and removes that file once all of them are
// stored.
func (s *Store) takeOver(ctx context.Context, to string, legacy []vault.LegacyItem) (moved []Moved, err error) {
	complete := true
	for _, it := range legacy {
		m := Moved{Provider: it.Provider, From: StorageLegacy}
		_, there, err := s.Find(ctx, it.Provider, "")
		switch {
		case err != nil:
			return moved, err
		case it.Err != nil:
			m.Problem, complete = it.Err.Error(), false
		case there:
			m.Problem = "a key of this provider is already stored and was kept"
		default:
			var e Entry
			if e, err = (Entry{Provider: it.Provider, Key: it.Key, BaseURL: it.BaseURL, Storage: to}).clean(); err == nil {
				if to == StorageKeychain {
					err = s.vault.Put(ctx, e.item())
				} else {
					err = s.file.change(func(f envFile) envFile { return f.put(e) })
				}
			}
			if fault.Is(err, fault.Invalid) {
				m.Problem, complete, err = fault.From(err).Message, false, nil
			}
			if err != nil {
				return moved, err
			}
		}
		moved = append(moved, m)
	}
	if len(legacy) > 0 && complete {
		if err := os.Remove(s.legacyPath()); err != nil {
			return moved, fmt.Errorf("remove the vault of an earlier version: %w", err)
		}
	}
	return moved, nil
}
