package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// Unlock opens the vault for a person who waits. A vault with a passphrase needs
// it, and without one is fault.Invalid with the code "passphrase_required". Where
// there is no vault, create says that one is wanted: its KEK then comes from the
// credential or the keychain, or from the passphrase where there is neither.
func (v *Vault) Unlock(ctx context.Context, passphrase secret.String, create bool) error {
	v.mu.Lock()
	file := v.file
	damaged, open := v.damaged, v.open != nil
	v.byPerson = false
	v.mu.Unlock()
	switch {
	case damaged != nil:
		return &fault.Error{Kind: fault.Locked, Message: v.damagedMessage()}
	case open:
		return nil
	case file == nil && create:
		return v.createFor(ctx, passphrase)
	case file == nil:
		return &fault.Error{Kind: fault.NotFound, Message: "there is no key vault: the keys are in keys.env", Next: "hostless keys migrate --to keychain"}
	case file.KEK.Source == fromPassphrase:
		return v.unlockWith(file, passphrase)
	}
	// One that is under way has less time than a person needs: it is waited for,
	// then asked again.
	var err error
	for range 2 {
		v.mu.Lock()
		running := v.attempt != nil
		a := v.begin(unlockWait)
		v.mu.Unlock()
		if a == nil {
			return nil
		}
		select {
		case <-a.done:
			err = a.err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err == nil {
			return nil
		}
		if !running {
			break
		}
	}
	return lockedFault(err)
}

func (v *Vault) unlockWith(file *contents, passphrase secret.String) error {
	if passphrase.IsZero() {
		return passphraseRequired("the key vault is opened with a passphrase", "passphrase_required")
	}
	kek, err := file.KEK.derive(passphrase)
	if err != nil {
		return err
	}
	a := &attempt{done: make(chan struct{})}
	v.finish(a, kek, nil)
	if errors.Is(a.err, errWrongKEK) {
		return &fault.Error{Kind: fault.Invalid, Message: "this passphrase does not open the key vault", Next: "hostless unlock", Param: "passphrase", Code: "wrong_passphrase"}
	}
	return a.err
}

func passphraseRequired(message, code string) error {
	return &fault.Error{Kind: fault.Invalid, Message: message, Next: "hostless unlock, in a terminal", Param: "passphrase", Code: code}
}

// createFor makes a vault for a person who waits.
func (v *Vault) createFor(ctx context.Context, passphrase secret.String) error {
	err := v.Create(ctx)
	var k *KeychainError
	switch {
	case err == nil || !errors.As(err, &k):
		return err
	case k.Reason != Absent:
		return lockedFault(err)
	case passphrase.IsZero():
		return passphraseRequired(k.Error()+"; a passphrase can seal the keys instead", "new_passphrase_required")
	case len(passphrase.Reveal()) < minPassphrase:
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("a passphrase needs at least %d characters", minPassphrase), Next: "hostless unlock", Param: "passphrase"}
	}
	info := newPassphrase()
	kek, err := info.derive(passphrase)
	if err != nil {
		return err
	}
	v.writing.Lock()
	defer v.writing.Unlock()
	if v.Exists() {
		return nil
	}
	return v.create(kek, info)
}

// errByPerson means that a person has locked the vault.
var errByPerson = errors.New("hostless lock locked it")

// Lock forgets the KEK and all keys. It reports whether there was an open vault.
func (v *Vault) Lock() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file == nil {
		return false
	}
	was := v.open != nil
	v.open, v.items, v.byPerson = nil, nil, true
	v.reason = errByPerson
	return was
}

// Seal seals a file of another package; purpose names it and is bound to it. A
// locked vault is fault.Locked.
func (v *Vault) Seal(purpose string, plain []byte) ([]byte, error) {
	v.mu.Lock()
	o, reason := v.open, v.reason
	v.mu.Unlock()
	if o == nil {
		return nil, lockedFault(reason)
	}
	return seal(o.files, plain, lengthPrefixed("hostless-file", purpose)), nil
}

// Unseal opens what Seal sealed. What does not open is fault.Invalid; a locked
// vault is fault.Locked.
func (v *Vault) Unseal(purpose string, data []byte) ([]byte, error) {
	v.mu.Lock()
	o, reason := v.open, v.reason
	v.mu.Unlock()
	if o == nil {
		return nil, lockedFault(reason)
	}
	plain, err := unseal(o.files, data, lengthPrefixed("hostless-file", purpose))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: purpose + " was changed, or sealed by another vault"}
	}
	return plain, nil
}
