package vault

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
)

// Create makes an empty vault. Its KEK comes from the credential if there is one, or else
// from the keychain, if a write to it can be read back. It is not an error if the vault
// exists. The error is a *KeychainError.
func (v *Vault) Create(ctx context.Context) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if s := v.State(); s.Exists && v.usable() {
		return nil
	}
	info, kek := kekInfo{Source: fromCredential}, v.credential
	if kek == nil {
		info.Source = fromKeychain
		ctx, cancel := context.WithTimeout(ctx, v.wait)
		defer cancel()
		var err error
		if kek, err = v.keychainKEK(ctx); err != nil {
			return err
		}
	}
	return v.create(kek, info)
}

// usable reports whether the file on disk can be updated.
func (v *Vault) usable() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.damaged == nil
}

// keychainKEK gets the KEK from the keychain, where other homes may use it too, or
// creates it there. A keychain whose prompt was closed may report success without storing
// anything, so the KEK is only used after it was read back.
func (v *Vault) keychainKEK(ctx context.Context) ([]byte, error) {
	kek, err := v.fromKeychain(ctx)
	if err == nil || reasonOf(err) != Missing {
		return kek, err
	}
	kek = randomKEK()
	text := secret.New(hex.EncodeToString(kek))
	if err := v.keychain.Set(ctx, keychainService, keychainAccount, text); err != nil {
		return nil, err
	}
	read, err := v.keychain.Get(ctx, keychainService, keychainAccount)
	if err != nil || !read.Equal(text) {
		if reasonOf(err) != Missing && err != nil {
			return nil, err
		}
		return nil, &KeychainError{Reason: Dismissed, Detail: "what was stored could not be read back"}
	}
	return kek, nil
}

// create writes an empty vault and keeps a damaged one aside. v.writing must be held.
func (v *Vault) create(kek []byte, info kekInfo) error {
	file, o, err := newContents(kek, info)
	if err != nil {
		return err
	}
	if !v.usable() {
		aside, err := config.KeepAside(v.path, v.now())
		if err != nil {
			return err
		}
		v.log.Warn("key vault could not be used and is kept aside", "path", aside)
	}
	return v.write(file, o)
}

// write makes contents the vault's, first on disk. A file that another program has
// changed is kept aside before. v.writing must be held.
func (v *Vault) write(file *contents, o *opener) error {
	data := file.encode(o)
	v.mu.Lock()
	foreign := v.file != nil && v.open != nil && (v.edited || !v.file.intact(v.open))
	v.mu.Unlock()
	if foreign {
		aside, err := config.CopyAside(v.path, v.now())
		if err != nil {
			return err
		}
		v.log.Warn("key vault was changed by something else and is kept aside", "path", aside)
	}
	if err := config.WritePrivate(v.path, data); err != nil {
		return err
	}
	v.mu.Lock()
	v.file, v.damaged, v.edited = file, nil, false
	v.unsealAll(o)
	v.mu.Unlock()
	return nil
}

// edit applies change to a copy of the open vault and writes it. If the vault is locked,
// the error is fault.Locked.
func (v *Vault) edit(ctx context.Context, change func(*contents, *opener) error) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	if v.file == nil {
		v.mu.Unlock()
		return &fault.Error{Kind: fault.Locked, Message: "there is no key vault that can be written", Next: "hostless keys list"}
	}
	if v.open == nil {
		if err := v.awaitOpen(ctx); err != nil {
			v.mu.Unlock()
			return err
		}
	}
	file, o := v.file.clone(), v.open
	v.mu.Unlock()
	if err := change(file, o); err != nil {
		return err
	}
	return v.write(file, o)
}

// Put seals an item, replacing one with the same provider and label. When it returns, the
// item is on disk and was read back from there.
func (v *Vault) Put(ctx context.Context, it Item) error {
	err := v.edit(ctx, func(c *contents, o *opener) error {
		c.put(o, it)
		return nil
	})
	if err != nil {
		return err
	}
	return v.verify(it)
}

// verify reads an item back from disk.
func (v *Vault) verify(it Item) error {
	data, err := os.ReadFile(v.path)
	if err != nil {
		return fmt.Errorf("read key vault back: %w", err)
	}
	file, _, err := decode(data)
	if err != nil {
		return fmt.Errorf("read key vault back: %w", err)
	}
	v.mu.Lock()
	o := v.open
	v.mu.Unlock()
	if o == nil {
		return lockedFault(nil)
	}
	for _, s := range file.Entries {
		if s.Provider == it.Provider && s.Label == it.Label {
			key, err := unseal(o.entries, s.Sealed, s.aad())
			if err == nil && it.Key.Equal(secret.New(string(key))) {
				return nil
			}
		}
	}
	return fmt.Errorf("the key of %s could not be read back from %s", name(it), v.path)
}

// Delete removes an entry. found is false if there is none.
func (v *Vault) Delete(ctx context.Context, provider, label string) (found bool, err error) {
	v.mu.Lock()
	held := v.file != nil && slices.ContainsFunc(v.file.Entries, func(s sealed) bool { return s.Provider == provider && s.Label == label })
	v.mu.Unlock()
	if !held {
		return false, nil
	}
	return true, v.edit(ctx, func(c *contents, _ *opener) error {
		c.remove(provider, label)
		return nil
	})
}
