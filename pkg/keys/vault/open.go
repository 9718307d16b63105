package vault

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// Open starts to open the vault in the background.
func (v *Vault) Open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.begin(v.wait)
}

// Close waits for an attempt in progress.
func (v *Vault) Close() { v.work.Wait() }

// begin starts an attempt to open the vault, or returns the one in progress; nil if there
// is nothing to open. v.mu must be held.
func (v *Vault) begin(wait time.Duration) *attempt {
	if v.attempt != nil || v.file == nil || v.open != nil {
		return v.attempt
	}
	a := &attempt{done: make(chan struct{})}
	v.attempt = a
	info := v.file.KEK
	v.work.Go(func() {
		kek, err := v.fetch(info, wait)
		v.finish(a, kek, err)
	})
	return a
}

// fetch gets the KEK from its source without asking the user.
func (v *Vault) fetch(info kekInfo, wait time.Duration) ([]byte, error) {
	switch info.Source {
	case fromKeychain:
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		return v.fromKeychain(ctx)
	case fromCredential:
		if v.credential == nil {
			return nil, fmt.Errorf("the service was started without the credential %s", CredentialName)
		}
		return v.credential, nil
	case fromPassphrase:
		return nil, errPassphrase
	}
	return nil, fmt.Errorf("its key comes from %q, which this version does not know", info.Source)
}

// errPassphrase means that the vault needs a passphrase from the user.
var errPassphrase = errors.New("it needs its passphrase")

func (v *Vault) fromKeychain(ctx context.Context) ([]byte, error) {
	if v.keychain == nil {
		return nil, &KeychainError{Reason: Absent}
	}
	text, err := v.keychain.Get(ctx, keychainService, keychainAccount)
	if err != nil {
		return nil, err
	}
	kek, err := parseKEK(text.Reveal())
	if err != nil {
		return nil, errors.New("the keychain's item for the vault is not a key")
	}
	return kek, nil
}

// finish records the result of an attempt.
func (v *Vault) finish(a *attempt, kek []byte, err error) {
	v.mu.Lock()
	if err == nil && v.byPerson {
		err = errByPerson
	}
	if err == nil {
		err = v.openWith(kek)
	}
	if err != nil {
		v.reason = err
		v.retryAt = v.now().Add(v.backoff)
		v.backoff = min(2*v.backoff, lastRetry)
	}
	a.err, v.attempt = err, nil
	problems := v.tampered()
	hooks := slices.Clone(v.onOpen)
	v.mu.Unlock()
	close(a.done)
	if err != nil {
		v.log.Warn("key vault stays locked", "reason", sentence(err), "detail", detail(err))
		return
	}
	v.log.Info("key vault opened")
	for _, p := range problems {
		v.log.Error("key vault has a problem", "problem", p)
	}
	for _, fn := range hooks {
		fn()
	}
}

// openWith opens the vault with a KEK. v.mu must be held.
func (v *Vault) openWith(kek []byte) error {
	if v.file == nil {
		return errors.New("its file no longer exists")
	}
	o, err := newOpener(kek, v.file.ID)
	if err != nil {
		return err
	}
	if !v.file.opens(o) {
		return errWrongKEK
	}
	v.unsealAll(o)
	return nil
}

// errWrongKEK means that a KEK is not this vault's.
var errWrongKEK = errors.New("this is not the key of this vault")

// unsealAll unseals the entries and marks the vault as open. v.mu must be held.
func (v *Vault) unsealAll(o *opener) {
	v.open, v.reason, v.byPerson, v.backoff = o, nil, false, firstRetry
	v.items = make(map[id]opened, len(v.file.Entries))
	for _, s := range v.file.Entries {
		it := s.item()
		key, err := unseal(o.entries, s.Sealed, s.aad())
		if err != nil {
			err = &fault.Error{
				Kind:    fault.Locked,
				Message: fmt.Sprintf("the key of provider %q cannot be decrypted: its entry in %s was changed", name(it), filepath.Base(v.path)),
				Next:    "hostless keys add " + s.Provider,
			}
		}
		it.Key = secret.New(string(key))
		v.items[id{s.Provider, s.Label}] = opened{it, err}
	}
}
