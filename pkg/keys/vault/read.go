package vault

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Get returns the entries of a provider, sorted by label; it is not an error if there are
// none. While the vault is being opened for the first time, Get waits a few seconds. If a
// locked vault contains an entry of the provider, or an entry cannot be unsealed, the
// error is fault.Locked.
func (v *Vault) Get(ctx context.Context, provider string) ([]Item, error) {
	v.mu.Lock()
	if v.damaged != nil {
		defer v.mu.Unlock()
		return nil, &fault.Error{Kind: fault.Locked, Message: v.damagedMessage(), Next: "hostless keys list"}
	}
	if !v.holds(provider) {
		v.mu.Unlock()
		return nil, nil
	}
	if v.open == nil {
		if err := v.awaitOpen(ctx); err != nil { // releases v.mu while it waits
			v.mu.Unlock()
			return nil, err
		}
	}
	defer v.mu.Unlock()
	var out []Item
	for _, s := range v.file.Entries {
		if s.Provider != provider {
			continue
		}
		o := v.items[id{s.Provider, s.Label}]
		if o.err != nil {
			return nil, o.err
		}
		out = append(out, o.Item)
	}
	return out, nil
}

// Item returns one entry. The error is fault.NotFound if it does not exist, and
// fault.Locked if it cannot be unsealed.
func (v *Vault) Item(ctx context.Context, provider, label string) (Item, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file != nil && v.open == nil {
		if err := v.awaitOpen(ctx); err != nil {
			return Item{}, err
		}
	}
	o, ok := v.items[id{provider, label}]
	if !ok {
		return Item{}, fault.New(fault.NotFound, "no such entry in the key vault")
	}
	return o.Item, o.err
}

// Holds reports whether an entry of the provider is sealed, or may be, because the file
// cannot be read.
func (v *Vault) Holds(provider string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.damaged != nil || v.holds(provider)
}

// Count returns the number of a provider's sealed entries.
func (v *Vault) Count(provider string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.file == nil {
		return 0
	}
	for i := range v.file.Entries {
		if v.file.Entries[i].Provider == provider {
			n++
		}
	}
	return n
}

// holds reports whether an entry of the provider is sealed. v.mu must be held.
func (v *Vault) holds(provider string) bool {
	return v.file != nil && slices.ContainsFunc(v.file.Entries, func(s sealed) bool { return s.Provider == provider })
}

// awaitOpen waits until the vault is open, at most as long as a request may wait. v.mu
// must be held; it is released while waiting.
func (v *Vault) awaitOpen(ctx context.Context) error {
	if v.byPerson {
		return lockedFault(errByPerson)
	}
	first := v.reason == nil
	if !first && v.attempt == nil && (v.now().Before(v.retryAt) || v.file.KEK.Source != fromKeychain) {
		return lockedFault(v.reason)
	}
	a := v.begin(v.wait)
	if !first || a == nil {
		return lockedFault(v.reason) // retried in the background
	}
	v.mu.Unlock()
	timer := time.NewTimer(v.hold)
	defer timer.Stop()
	select {
	case <-a.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	v.mu.Lock()
	switch {
	case v.open != nil && v.file != nil:
		return nil
	case v.reason != nil:
		return lockedFault(v.reason)
	}
	return lockedFault(errors.New("the keychain has not responded yet"))
}

// List returns the entries, sorted, without their keys.
func (v *Vault) List() (items []Item, locked bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.damaged != nil {
		return nil, true, &fault.Error{Kind: fault.Locked, Message: v.damagedMessage()}
	}
	if v.file == nil {
		return nil, false, nil
	}
	for _, s := range v.file.Entries {
		items = append(items, s.item())
	}
	return items, v.open == nil, nil
}

// Exists reports whether there is a vault.
func (v *Vault) Exists() bool { return v.State().Exists }

// Opening reports whether the vault is being opened for the first time.
func (v *Vault) Opening() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.attempt != nil && v.reason == nil
}
