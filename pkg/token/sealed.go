package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
)

// Sealer encrypts the file for config.PersistKeychain. While it is locked, its errors are
// fault.Locked.
type Sealer interface {
	// Exists reports whether there is a vault, open or locked.
	Exists() bool
	// Opening reports whether the vault is being opened.
	Opening() bool
	Seal(purpose string, plain []byte) ([]byte, error)
	Unseal(purpose string, data []byte) ([]byte, error)
}

// purpose binds the sealed data to this file.
const purpose = "tokens.json"

// sealedFile is the format of the sealed file.
type sealedFile struct {
	Version int    `json:"version"`
	Sealed  []byte `json:"sealed"`
}

// unsealWait is how long the verification of an unknown token waits for a sealed file to
// be opened.
const unsealWait = 3 * time.Second

// errPending is the error of operations that need the contents of a sealed file that has
// not been opened.
func errPending() error {
	return &fault.Error{Kind: fault.Locked, Message: "the bridge tokens are sealed, and the key vault is locked", Next: "hostless unlock", Code: "vault_locked"}
}

// seal returns the bytes to write for data: sealed if the mode requires it and there is a
// vault.
func (s *Store) seal(mode string, data []byte) ([]byte, error) {
	if mode != config.PersistKeychain || s.sealer == nil || !s.sealer.Exists() {
		return data, nil
	}
	sealed, err := s.sealer.Seal(purpose, data)
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(sealedFile{fileVersion, sealed})
	return append(out, '\n'), err
}

// unseal returns the content of a file, which may be sealed.
func (s *Store) unseal(data []byte) ([]byte, error) {
	var f sealedFile
	if json.Unmarshal(data, &f) != nil || f.Sealed == nil {
		return data, nil
	}
	if s.sealer == nil || !s.sealer.Exists() {
		return nil, errors.New("it is sealed, and there is no key vault")
	}
	return s.sealer.Unseal(purpose, f.Sealed)
}

// Unlocked reads a file that could not be unsealed before, or writes what could not be
// sealed. It must be called each time the sealer has been opened.
func (s *Store) Unlocked() error {
	s.writing.Lock()
	s.mu.RLock()
	pending, persist := s.pending, s.persist
	s.mu.RUnlock()
	var err error
	if pending != nil && persist {
		err = s.readSealed(pending)
	}
	s.writing.Unlock()
	if err != nil || !persist {
		return err
	}
	s.mu.Lock()
	change := s.changed()
	s.mu.Unlock()
	return s.commit(change)
}

// readSealed adds the file's tokens to the known ones. s.writing must be held.
func (s *Store) readSealed(pending chan struct{}) error {
	data, _, err := config.ReadPrivate(s.path)
	if err != nil {
		return fmt.Errorf("read tokens: %w", err)
	}
	plain, err := s.unseal(data)
	if fault.Is(err, fault.Locked) {
		return err
	}
	var entries []*entry
	if err == nil {
		entries, err = decode(plain)
	}
	if err != nil {
		aside, asideErr := config.KeepAside(s.path, s.now())
		if asideErr != nil {
			return fmt.Errorf("read tokens: %w: %w", err, asideErr)
		}
		s.log.Warn("token file cannot be read and is kept aside", "path", aside, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if s.entries[e.hash] == nil {
			s.entries[e.hash] = e
		}
	}
	s.prune()
	s.pending = nil
	close(pending)
	return nil
}

// awaitSealed waits up to unsealWait for a sealed file to be opened. An error means that
// an unknown token may be in the file.
func (s *Store) awaitSealed() error {
	s.mu.RLock()
	pending := s.pending
	s.mu.RUnlock()
	if pending == nil {
		return nil
	}
	if !s.sealer.Opening() {
		return errPending()
	}
	timer := time.NewTimer(unsealWait)
	defer timer.Stop()
	select {
	case <-pending:
		return nil
	case <-timer.C:
		return errPending()
	}
}
