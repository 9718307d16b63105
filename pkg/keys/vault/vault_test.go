package vault_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/secret"
)

const canary = "sk-canary-0123456789abcdef"

// fakeKeychain is an in-memory keychain.
type fakeKeychain struct {
	mu     sync.Mutex
	items  map[string]secret.String
	err    error // returned by every call
	hang   bool  // block until the call's context ends
	forget bool  // Set reports success but stores nothing
	calls  int
}

func (k *fakeKeychain) begin(ctx context.Context) error {
	k.mu.Lock()
	k.calls++
	hang, err := k.hang, k.err
	k.mu.Unlock()
	if hang {
		start := time.Now()
		<-ctx.Done()
		return &vault.KeychainError{Reason: vault.Slow, Wait: time.Since(start)}
	}
	return err
}

func (k *fakeKeychain) Get(ctx context.Context, service, account string) (secret.String, error) {
	if err := k.begin(ctx); err != nil {
		return secret.String{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.items[service+"/"+account]
	if !ok {
		return secret.String{}, &vault.KeychainError{Reason: vault.Missing}
	}
	return v, nil
}

func (k *fakeKeychain) Set(ctx context.Context, service, account string, v secret.String) error {
	if err := k.begin(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.forget {
		if k.items == nil {
			k.items = map[string]secret.String{}
		}
		k.items[service+"/"+account] = v
	}
	return nil
}

func (k *fakeKeychain) asked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls
}

func (k *fakeKeychain) set(err error, hang bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err, k.hang = err, hang
}

func newVault(t *testing.T, path string, k vault.Keychain) *vault.Vault {
	t.Helper()
	v, _, err := vault.New(vault.Config{Path: path, Keychain: k})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// filled creates a vault with two keys and returns its path.
func filled(t *testing.T, k vault.Keychain) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault.json")
	v := newVault(t, path, k)
	if err := v.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, it := range []vault.Item{
		{Provider: "openai", BaseURL: "https://api.example.com/v1", Hint: "cdef", Key: secret.New(canary)},
		{Provider: "openai", Label: "work", Key: secret.New("work-" + canary)},
		{Provider: "groq", Reference: "op://vault/groq/key", Dialect: "openai", AllowPrivate: true},
	} {
		if err := v.Put(t.Context(), it); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestSealedAndOpened(t *testing.T) {
	k := &fakeKeychain{}
	path := filled(t, k)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(canary)) || bytes.Contains(data, []byte(hex.EncodeToString([]byte(canary)))) {
		t.Error("the key is readable on disk")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	v := newVault(t, path, k)
	v.Open()
	items, err := v.Get(t.Context(), "openai")
	if err != nil || len(items) != 2 || items[0].Key.Reveal() != canary || items[1].Key.Reveal() != "work-"+canary || items[1].Label != "work" {
		t.Fatalf("Get = %+v, %v", items, err)
	}
	if items, err := v.Get(t.Context(), "groq"); err != nil || len(items) != 1 || items[0].Reference != "op://vault/groq/key" || !items[0].AllowPrivate {
		t.Errorf("Get = %+v, %v", items, err)
	}
	if items, err := v.Get(t.Context(), "mistral"); err != nil || items != nil {
		t.Errorf("Get = %+v, %v, want none", items, err)
	}
	if found, err := v.Delete(t.Context(), "openai", ""); err != nil || !found {
		t.Errorf("Delete = %v, %v", found, err)
	}
	if found, err := v.Delete(t.Context(), "openai", ""); err != nil || found {
		t.Errorf("second Delete = %v, %v", found, err)
	}
	if w := v.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
}

// TestBaseURLOpensNothing modifies, in the file, each member that determines where a key
// is sent.
func TestBaseURLOpensNothing(t *testing.T) {
	for _, edit := range [][2]string{
		{`"base_url": "https://api.example.com/v1"`, `"base_url": "https://evil.example.com/v1"`},
		{`"label": "work"`, `"label": "home"`},
		{`"hint": "cdef"`, `"hint": "0000"`},
	} {
		k := &fakeKeychain{}
		path := filled(t, k)
		data, _ := os.ReadFile(path)
		changed := bytes.Replace(data, []byte(edit[0]), []byte(edit[1]), 1)
		if bytes.Equal(changed, data) {
			t.Fatalf("%s is not in the file", edit[0])
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		v := newVault(t, path, k)
		v.Open()
		items, err := v.Get(t.Context(), "openai")
		if !fault.Is(err, fault.Locked) || len(items) != 0 || !strings.Contains(err.Error(), "was changed") {
			t.Errorf("%s: Get = %+v, %v; want a refusal that names the change", edit[1], items, err)
		}
		if w := v.Warnings(); len(w) < 2 {
			t.Errorf("%s: warnings %q", edit[1], w)
		}
		// Unmodified entries still work.
		if items, err := v.Get(t.Context(), "groq"); err != nil || len(items) != 1 {
			t.Errorf("%s: groq = %+v, %v", edit[1], items, err)
		}
		// Writing keeps the modified file aside.
		if err := v.Put(t.Context(), vault.Item{Provider: "mistral", Key: secret.New("m")}); err != nil {
			t.Fatal(err)
		}
		kept, _ := filepath.Glob(path + ".corrupt-*")
		if len(kept) != 1 {
			t.Fatalf("kept aside: %v", kept)
		}
		if got, _ := os.ReadFile(kept[0]); !bytes.Equal(got, changed) {
			t.Error("the file kept aside is not the changed one")
		}
	}
}

// TestEveryFlippedByteIsFound flips one bit in every byte.
func TestEveryFlippedByteIsFound(t *testing.T) {
	k := &fakeKeychain{}
	path := filled(t, k)
	data, _ := os.ReadFile(path)
	for i := range data {
		for _, bit := range []byte{0x01, 0x20} {
			flipped := bytes.Clone(data)
			flipped[i] ^= bit
			if err := os.WriteFile(path, flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			v, _, err := vault.New(vault.Config{Path: path, Keychain: k})
			if err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
			v.Open()
			items, err := v.Get(t.Context(), "openai")
			if len(v.Warnings()) == 0 {
				t.Fatalf("byte %d (%q→%q) near %q was not found", i, data[i], flipped[i], data[max(0, i-20):min(len(data), i+20)])
			}
			for _, it := range items {
				if err == nil && it.Key.Reveal() == canary && it.BaseURL != "https://api.example.com/v1" {
					t.Fatalf("byte %d: the key opens for %q", i, it.BaseURL)
				}
			}
			v.Close()
		}
	}
}

func TestLockedSentences(t *testing.T) {
	seen := map[string]vault.Reason{}
	for _, reason := range []vault.Reason{vault.Absent, vault.Slow, vault.Dismissed, vault.Denied, vault.Missing, vault.Broken} {
		k := &fakeKeychain{}
		path := filled(t, k)
		k.set(&vault.KeychainError{Reason: reason, Wait: 10 * time.Second, Detail: "org.secret.detail"}, false)
		v := newVault(t, path, k)
		v.Open()
		_, err := v.Get(t.Context(), "openai")
		if !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), "hostless unlock") || strings.Contains(err.Error(), "detail") {
			t.Errorf("%s: %v", reason, err)
			continue
		}
		if other, ok := seen[err.Error()]; ok {
			t.Errorf("%s and %s have one sentence: %v", reason, other, err)
		}
		seen[err.Error()] = reason
		if items, locked, err := v.List(); err != nil || !locked || len(items) != 3 || !items[1].Key.IsZero() {
			t.Errorf("List = %+v, %v, %v", items, locked, err)
		}
		if err := v.Put(t.Context(), vault.Item{Provider: "x", Key: secret.New("y")}); !fault.Is(err, fault.Locked) {
			t.Errorf("Put into a locked vault: %v", err)
		}
	}
}

// TestRequestWait: if the keychain hangs, the first request waits for 3 s, later ones do
// not wait, and the keychain is not tried again for a while.
func TestRequestWait(t *testing.T) {
	k := &fakeKeychain{}
	path := filled(t, k)
	k.set(nil, true)
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, path, k)
		v.Open()
		asked := func() (time.Duration, error) {
			start := time.Now()
			_, err := v.Get(context.Background(), "openai")
			return time.Since(start), err
		}
		if took, err := asked(); took != 3*time.Second || !fault.Is(err, fault.Locked) {
			t.Errorf("first request: %v after %s, want Locked after 3 s", err, took)
		}
		time.Sleep(8 * time.Second) // the attempt has ended
		calls := k.asked()
		if took, err := asked(); took != 0 || !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), "10s") {
			t.Errorf("later request: %v after %s, want Locked at once", err, took)
		}
		if k.asked() != calls {
			t.Error("the keychain was tried again at once")
		}
		k.set(nil, false)
		time.Sleep(31 * time.Second)
		if took, err := asked(); took != 0 || !fault.Is(err, fault.Locked) { // retries in the background
			t.Errorf("request that causes a retry: %v after %s", err, took)
		}
		synctest.Wait()
		if _, err := asked(); err != nil {
			t.Errorf("after the keychain answered: %v", err)
		}
	})
}

func TestLockAndUnlock(t *testing.T) {
	k := &fakeKeychain{}
	v := newVault(t, filled(t, k), k)
	v.Open()
	if _, err := v.Get(t.Context(), "openai"); err != nil {
		t.Fatal(err)
	}
	sealed, err := v.Seal("tokens.json", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if !v.Lock() {
		t.Error("Lock found nothing open")
	}
	if _, err := v.Get(t.Context(), "openai"); !fault.Is(err, fault.Locked) {
		t.Errorf("after lock: %v", err)
	}
	if _, err := v.Unseal("tokens.json", sealed); !fault.Is(err, fault.Locked) {
		t.Errorf("Unseal after lock: %v", err)
	}
	if err := v.Unlock(t.Context(), secret.String{}, false); err != nil {
		t.Fatal(err)
	}
	if items, err := v.Get(t.Context(), "openai"); err != nil || items[0].Key.Reveal() != canary {
		t.Errorf("after unlock: %v", err)
	}
	if plain, err := v.Unseal("tokens.json", sealed); err != nil || string(plain) != "text" {
		t.Errorf("Unseal = %q, %v", plain, err)
	}
	if _, err := v.Unseal("routes.json", sealed); !fault.Is(err, fault.Invalid) {
		t.Errorf("Unseal for another purpose: %v", err)
	}
}

// TestPassphrase: without a keychain, a passphrase opens the vault.
func TestPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.json")
	none := &fakeKeychain{err: &vault.KeychainError{Reason: vault.Absent}}
	v := newVault(t, path, none)
	code := func(err error) string { return fault.From(err).Code }
	if err := v.Unlock(t.Context(), secret.String{}, true); code(err) != "new_passphrase_required" {
		t.Fatalf("without a passphrase: %v", err)
	}
	if err := v.Unlock(t.Context(), secret.New("short"), true); !fault.Is(err, fault.Invalid) {
		t.Errorf("a short one: %v", err)
	}
	if err := v.Unlock(t.Context(), secret.New("correct horse"), true); err != nil {
		t.Fatal(err)
	}
	if err := v.Put(t.Context(), vault.Item{Provider: "openai", Key: secret.New(canary)}); err != nil {
		t.Fatal(err)
	}
	v = newVault(t, path, none)
	v.Open()
	if _, err := v.Get(t.Context(), "openai"); !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("after a start: %v", err)
	}
	if err := v.Unlock(t.Context(), secret.String{}, false); code(err) != "passphrase_required" {
		t.Errorf("Unlock without it: %v", err)
	}
	if err := v.Unlock(t.Context(), secret.New("wrong horse"), false); code(err) != "wrong_passphrase" {
		t.Errorf("Unlock with a wrong one: %v", err)
	}
	if err := v.Unlock(t.Context(), secret.New("correct horse"), false); err != nil {
		t.Fatal(err)
	}
	if items, err := v.Get(t.Context(), "openai"); err != nil || items[0].Key.Reveal() != canary {
		t.Errorf("Get = %v", err)
	}
}

func TestCredential(t *testing.T) {
	dir := t.TempDir()
	getenv := func(name string) string {
		return map[string]string{"CREDENTIALS_DIRECTORY": dir}[name]
	}
	if kek, err := vault.Credential(getenv); kek != nil || err != nil {
		t.Errorf("without the file: %v, %v", kek, err)
	}
	for text, ok := range map[string]bool{strings.Repeat("a1", 32) + "\n": true, strings.Repeat("a1", 31): false, strings.Repeat("zz", 32): false} {
		if err := os.WriteFile(filepath.Join(dir, vault.CredentialName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kek, err := vault.Credential(getenv)
		if (err == nil) != ok || ok && len(kek) != 32 {
			t.Errorf("%q: %v, %v", text, kek, err)
		}
	}
	os.WriteFile(filepath.Join(dir, vault.CredentialName), []byte(strings.Repeat("a1", 32)), 0o600)
	kek, _ := vault.Credential(getenv)
	path := filepath.Join(t.TempDir(), "vault.json")
	open := func(kek []byte) *vault.Vault {
		v, _, err := vault.New(vault.Config{Path: path, Credential: kek})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		v.Open()
		return v
	}
	v := open(kek)
	if err := v.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := v.Put(t.Context(), vault.Item{Provider: "openai", Key: secret.New(canary)}); err != nil {
		t.Fatal(err)
	}
	if items, err := open(kek).Get(t.Context(), "openai"); err != nil || items[0].Key.Reveal() != canary {
		t.Errorf("after a start: %v", err)
	}
	if _, err := open(nil).Get(t.Context(), "openai"); !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), vault.CredentialName) {
		t.Errorf("without the credential: %v", err)
	}
}

// TestDismissedStore: the keychain reports success but stores nothing.
func TestDismissedStore(t *testing.T) {
	v := newVault(t, filepath.Join(t.TempDir(), "vault.json"), &fakeKeychain{forget: true})
	var k *vault.KeychainError
	if err := v.Create(t.Context()); err == nil || v.Exists() {
		t.Errorf("Create = %v, exists %v", err, v.Exists())
	} else if !errorsAs(err, &k) || k.Reason != vault.Dismissed {
		t.Errorf("Create = %v", err)
	}
}

// TestSharedKEK: a second home uses the KEK of the first one and never replaces it.
func TestSharedKEK(t *testing.T) {
	k := &fakeKeychain{}
	one := filled(t, k)
	before := fmt.Sprint(len(k.items), k.items["hostless/vault-kek-v1"].Reveal())
	two := filled(t, k)
	if after := fmt.Sprint(len(k.items), k.items["hostless/vault-kek-v1"].Reveal()); after != before {
		t.Error("the KEK was replaced")
	}
	// Entries of one vault cannot be unsealed in the other.
	var a, b map[string]any
	dataOne, _ := os.ReadFile(one)
	dataTwo, _ := os.ReadFile(two)
	json.Unmarshal(dataOne, &a)
	json.Unmarshal(dataTwo, &b)
	a["entries"] = b["entries"]
	moved, _ := json.MarshalIndent(a, "", "  ")
	os.WriteFile(one, append(moved, '\n'), 0o600)
	v := newVault(t, one, k)
	v.Open()
	if _, err := v.Get(t.Context(), "openai"); !fault.Is(err, fault.Locked) {
		t.Errorf("an entry of another vault: %v", err)
	}
}

// TestDamagedFile: a damaged file is kept aside by the next write; before that, nothing
// in it counts as missing.
func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.json")
	os.WriteFile(path, []byte(`{"version":1,`), 0o600)
	v, warnings, err := vault.New(vault.Config{Path: path, Keychain: &fakeKeychain{}})
	if err != nil || len(warnings) != 1 {
		t.Fatalf("New: %q, %v", warnings, err)
	}
	t.Cleanup(v.Close)
	if _, err := v.Get(t.Context(), "openai"); !fault.Is(err, fault.Locked) {
		t.Errorf("Get = %v", err)
	}
	if _, _, err := v.List(); err == nil {
		t.Error("List gives none of a file that cannot be read")
	}
	if err := v.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept, _ := filepath.Glob(path + ".corrupt-*"); len(kept) != 1 {
		t.Errorf("kept aside: %v", kept)
	}
	if err := v.Put(t.Context(), vault.Item{Provider: "openai", Key: secret.New(canary)}); err != nil {
		t.Error(err)
	}
}
