package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// Unlock opens the vault on behalf of a user who can answer a prompt. If the vault needs
// a passphrase and none is given, the error is fault.Invalid with the code
// "passphrase_required". If there is no vault and create is set, it makes one with the
// KEK of the credential or the keychain, or else with one derived from the passphrase.
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
	// The attempt in progress allows less time than a user needs: wait for it, then try
	// again.
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
		return passphraseRequired("the key vault needs its passphrase", "passphrase_required")
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

// createFor makes a vault on behalf of a user who can answer a prompt.
func (v *Vault) createFor(ctx context.Context, passphrase secret.String) error {
	err := v.Create(ctx)
	var k *KeychainError
	switch {
	case err == nil || !errors.As(err, &k):
		return err
	case k.Reason != Absent:
		return lockedFault(err)
	case passphrase.IsZero():
		return passphraseRequired(k.Error()+"; a passphrase can encrypt the keys instead", "new_passphrase_required")
	case len(passphrase.Reveal()) < minPassphrase:
		return &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("a passphrase must have at least %d characters", minPassphrase), Next: "hostless unlock", Param: "passphrase"}
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

// errByPerson means that the user has locked the vault.
var errByPerson = errors.New("it was locked with hostless lock")

// Lock forgets the KEK and all keys. It reports whether the vault was open.
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

// Seal encrypts a file of another package and binds it to purpose, which identifies it.
// If the vault is locked, the error is fault.Locked.
func (v *Vault) Seal(purpose string, plain []byte) ([]byte, error) {
	v.mu.Lock()
	o, reason := v.open, v.reason
	v.mu.Unlock()
	if o == nil {
		return nil, lockedFault(reason)
	}
	return seal(o.files, plain, lengthPrefixed("hostless-file", purpose)), nil
}

// Unseal decrypts the output of Seal. The error is fault.Invalid if that fails, and
// fault.Locked if the vault is locked.
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
