package keys

import (
	"context"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// errNothingSealed is the error of Lock and Unlock, named by verb, if there is nothing
// to lock.
func errNothingSealed(verb string) error {
	return &fault.Error{
		Kind: fault.Conflict, Message: "there is nothing to " + verb + ": no key is sealed or resolved from a reference",
		Next: "hostless keys migrate --to keychain",
	}
}

// Lock forgets the vault's key and all resolved references until Unlock. If there is
// neither a vault nor a reference, the error is fault.Conflict.
func (s *Store) Lock(ctx context.Context) error {
	if !s.lockable(ctx) {
		return errNothingSealed("lock")
	}
	s.mu.Lock()
	s.locked = true
	s.mu.Unlock()
	if s.vault != nil {
		s.vault.Lock()
	}
	if s.resolver != nil {
		s.resolver.Forget()
	}
	s.log.Info("keys locked")
	return nil
}

// StayLocked keeps the store locked as it was in the daemon's predecessor: references are
// not resolved until Unlock.
func (s *Store) StayLocked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked = true
}

// Locked reports whether the user has locked the keys.
func (s *Store) Locked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locked
}

// lockable reports whether there is anything to lock.
func (s *Store) lockable(ctx context.Context) bool {
	if s.vault != nil && s.vault.Exists() {
		return true
	}
	entries, _, _ := s.List(ctx)
	for _, e := range entries {
		if e.Reference != "" {
			return true
		}
	}
	return false
}

// Unlock opens the vault on behalf of a user, waiting up to a minute for the keychain's
// prompt, and allows references to be resolved again. A vault with a passphrase needs it;
// without it the error is fault.Invalid with the code "passphrase_required". If the
// storage is keychain but there is no keychain, a new vault is made with the passphrase;
// without one the code is "new_passphrase_required".
func (s *Store) Unlock(ctx context.Context, passphrase secret.String) error {
	wanted := s.storage() == config.StorageKeychain
	exists := s.vault != nil && s.vault.Exists()
	if !exists && !wanted && !s.lockable(ctx) {
		return errNothingSealed("unlock")
	}
	if s.vault != nil && (exists || wanted) {
		if err := s.vault.Unlock(ctx, passphrase, wanted); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.locked, s.noKeychain = false, nil
	s.mu.Unlock()
	s.log.Info("keys unlocked")
	return nil
}
