package keys_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/keys/reference"
	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/secret"
)

const canary = "sk-canary-0123456789abcdef"

// memory is an in-memory keychain that can fail.
type memory struct {
	mu    sync.Mutex
	items map[string]secret.String
	fails vault.Reason
	calls int
}

func (m *memory) Get(_ context.Context, service, account string) (secret.String, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.fails != "" {
		return secret.String{}, &vault.KeychainError{Reason: m.fails}
	}
	v, ok := m.items[service+"/"+account]
	if !ok {
		return v, &vault.KeychainError{Reason: vault.Missing}
	}
	return v, nil
}

func (m *memory) Set(_ context.Context, service, account string, v secret.String) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != "" {
		return &vault.KeychainError{Reason: m.fails}
	}
	if m.items == nil {
		m.items = map[string]secret.String{}
	}
	m.items[service+"/"+account] = v
	return nil
}

// home holds the keys of one installation.
type home struct {
	dir     string
	chain   *memory
	storage string
}

func newHome(t *testing.T) *home {
	return &home{t.TempDir(), &memory{}, config.StorageAuto}
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

func (h *home) read(name string) string {
	data, _ := os.ReadFile(h.path(name))
	return string(data)
}

// start starts a daemon's store.
func (h *home) start(t *testing.T) *keys.Store {
	t.Helper()
	v, _, err := vault.New(vault.Config{Path: h.path("vault.json"), Keychain: h.chain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	v.Open()
	s, _, err := keys.New(keys.Config{
		Path: h.path("keys.env"), Vault: v, Storage: func() string { return h.storage },
		Resolver: reference.New(reference.Config{Environ: []string{"IN_ENV=" + canary}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *keys.Store, e keys.Entry) (keys.Entry, string) {
	t.Helper()
	stored, note, err := s.Put(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return stored, note
}

// TestSealedWhereThereIsAKeychain: with the storage auto and a keychain, keys are sealed,
// across a restart and with several keys per provider.
func TestSealedWhereThereIsAKeychain(t *testing.T) {
	h := newHome(t)
	s := h.start(t)
	for _, e := range []keys.Entry{
		{Provider: "openai", Key: secret.New(canary), BaseURL: "https://api.example.com/v1"},
		{Provider: "openai", Label: "work", Key: secret.New("work-" + canary)},
		{Provider: "ollama", BaseURL: "http://127.0.0.1:11434/v1"},
	} {
		want := keys.StorageKeychain
		if e.Key.IsZero() {
			want = keys.StorageFile
		}
		if stored, note := put(t, s, e); stored.Storage != want || note != "" {
			t.Errorf("%s %s: stored in %s, note %q", e.Provider, e.Label, stored.Storage, note)
		}
	}
	if text := h.read("keys.env") + h.read("vault.json"); strings.Contains(text, canary) {
		t.Error("a key is readable on disk")
	}
	s = h.start(t)
	all, err := s.All(t.Context(), "openai")
	if err != nil || len(all) != 2 || all[0].Key.Reveal() != canary || all[1].Label != "work" || all[1].Key.Reveal() != "work-"+canary {
		t.Errorf("All = %+v, %v", all, err)
	}
	if e, err := s.Get(t.Context(), "ollama"); err != nil || e.BaseURL == "" {
		t.Errorf("a provider without a key: %+v, %v", e, err)
	}
	if list, locked, err := s.List(t.Context()); err != nil || locked || len(list) != 3 || list[1].Hint() != "cdef" {
		t.Errorf("List = %+v, %v, %v", list, locked, err)
	}
	if err := s.Delete(t.Context(), "openai", "work"); err != nil {
		t.Fatal(err)
	}
	if all, _ := s.All(t.Context(), "openai"); len(all) != 1 {
		t.Errorf("%d keys after one of two was removed", len(all))
	}
	if err := s.Delete(t.Context(), "openai", keys.AllLabels); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "openai"); !fault.Is(err, fault.Unconfigured) {
		t.Errorf("after removal: %v", err)
	}
}

// TestFileWhereThereIsNoKeychain: for each way in which a keychain can be missing, auto
// stores keys in the file, says why, and tries the keychain only once; the storage
// keychain is an error.
func TestFileWhereThereIsNoKeychain(t *testing.T) {
	for _, reason := range []vault.Reason{vault.Absent, vault.Slow, vault.Dismissed, vault.Denied} {
		h := newHome(t)
		h.chain.fails = reason
		s := h.start(t)
		stored, note := put(t, s, keys.Entry{Provider: "openai", Key: secret.New(canary)})
		if stored.Storage != keys.StorageFile || !strings.Contains(note, "keys.env") || !strings.Contains(h.read("keys.env"), canary) {
			t.Errorf("%s: stored in %s, note %q", reason, stored.Storage, note)
		}
		calls := h.chain.calls
		put(t, s, keys.Entry{Provider: "groq", Key: secret.New(canary)})
		if h.chain.calls != calls {
			t.Errorf("%s: the keychain was tried twice", reason)
		}
		h.storage = config.StorageKeychain
		if _, _, err := s.Put(t.Context(), keys.Entry{Provider: "mistral", Key: secret.New(canary)}); !fault.Is(err, fault.Locked) || !strings.Contains(err.Error(), "hostless unlock") {
			t.Errorf("%s: storage keychain: %v", reason, err)
		}
		if strings.Contains(h.read("keys.env"), "MISTRAL") {
			t.Errorf("%s: a key for the keychain is in the file", reason)
		}
	}
}

// TestLockedIsNeverTheFile: if the keychain becomes unavailable after a vault was made,
// nothing falls back to the file, and keys in the file stay usable.
func TestLockedIsNeverTheFile(t *testing.T) {
	h := newHome(t)
	h.storage = config.StorageFile
	s := h.start(t)
	put(t, s, keys.Entry{Provider: "groq", Key: secret.New("gsk-in-the-file")})
	h.storage = config.StorageAuto
	put(t, s, keys.Entry{Provider: "openai", Key: secret.New(canary)})
	h.chain.fails = vault.Dismissed
	s = h.start(t)
	if _, err := s.Get(t.Context(), "openai"); !fault.Is(err, fault.Locked) {
		t.Errorf("sealed key: %v", err)
	}
	if e, err := s.Get(t.Context(), "groq"); err != nil || e.Key.Reveal() != "gsk-in-the-file" {
		t.Errorf("key of the file: %v", err)
	}
	if _, _, err := s.Put(t.Context(), keys.Entry{Provider: "mistral", Key: secret.New("new-" + canary)}); !fault.Is(err, fault.Locked) {
		t.Errorf("Put: %v", err)
	}
	if strings.Contains(h.read("keys.env"), canary) {
		t.Error("a key went to the file")
	}
	list, locked, err := s.List(t.Context())
	if err != nil || !locked || len(list) != 2 || !list[1].Locked || list[0].Locked {
		t.Errorf("List = %+v, %v, %v", list, locked, err)
	}
	h.chain.fails = ""
	if err := s.Unlock(t.Context(), secret.String{}); err != nil {
		t.Fatal(err)
	}
	if e, err := s.Get(t.Context(), "openai"); err != nil || e.Key.Reveal() != canary {
		t.Errorf("after Unlock: %v", err)
	}
}

func TestMigrateThereAndBack(t *testing.T) {
	h := newHome(t)
	h.storage = config.StorageFile
	s := h.start(t)
	put(t, s, keys.Entry{Provider: "openai", Key: secret.New(canary), BaseURL: "https://api.example.com/v1", Dialect: "openai", AllowPrivate: true})
	put(t, s, keys.Entry{Provider: "openai", Label: "two", Reference: "env://IN_ENV"})
	put(t, s, keys.Entry{Provider: "ollama", BaseURL: "http://127.0.0.1:11434/v1"})
	check := func(when, storage string) {
		t.Helper()
		all, err := s.All(t.Context(), "openai")
		if err != nil || len(all) != 2 || all[0].Key.Reveal() != canary || all[1].Key.Reveal() != canary ||
			all[0].BaseURL != "https://api.example.com/v1" || all[0].Dialect != "openai" || !all[0].AllowPrivate {
			t.Fatalf("%s: %+v, %v", when, all, err)
		}
		for _, e := range all {
			if e.Storage != storage {
				t.Errorf("%s: %s is in %s", when, e.Label, e.Storage)
			}
		}
	}
	check("before", keys.StorageFile)
	moved, err := s.Migrate(t.Context(), keys.StorageKeychain, secret.String{})
	if err != nil || len(moved) != 2 {
		t.Fatalf("Migrate = %+v, %v", moved, err)
	}
	check("sealed", keys.StorageKeychain)
	if text := h.read("keys.env"); strings.Contains(text, canary) || !strings.Contains(text, "OLLAMA") {
		t.Errorf("keys.env after the move: %q", text)
	}
	if moved, err = s.Migrate(t.Context(), keys.StorageFile, secret.String{}); err != nil || len(moved) != 2 {
		t.Fatalf("Migrate back = %+v, %v", moved, err)
	}
	check("back", keys.StorageFile)
	if moved, err := s.Migrate(t.Context(), keys.StorageFile, secret.String{}); err != nil || len(moved) != 0 {
		t.Errorf("once more: %+v, %v", moved, err)
	}
	h.chain.fails = vault.Absent
	s = h.start(t)
	if _, err := s.Migrate(t.Context(), keys.StorageKeychain, secret.String{}); err == nil {
		t.Error("migrated into a keychain that is not there")
	}
	check("after a refusal", keys.StorageFile)
}

// TestTakesOverKeysVault opens a vault of Hostless 0.4.
func TestTakesOverKeysVault(t *testing.T) {
	h := newHome(t)
	master := strings.Repeat("5a", 32)
	h.chain.items = map[string]secret.String{"hostless/master-key": secret.New(master)}
	sealed := func(text string) string {
		key, _ := hex.DecodeString(master)
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		gcm, _ := cipher.NewGCM(block)
		nonce := []byte("twelve bytes")
		return base64.StdEncoding.EncodeToString(gcm.Seal(nonce, nonce, []byte(text), nil))
	}
	write := func(broken string) {
		os.WriteFile(h.path("keys.vault"), fmt.Appendf(nil,
			`{"entries":[{"provider":"OpenAI","encrypted_key":%q,"base_url":null},{"provider":"groq","encrypted_key":%q,"base_url":"https://g.example/v1"},{"provider":"xai","encrypted_key":%q}]}`,
			sealed(canary), sealed("gsk-old"), broken), 0o644)
	}
	write("AAAA")
	s := h.start(t)
	put(t, s, keys.Entry{Provider: "groq", Key: secret.New("gsk-new")})
	moved, err := s.Migrate(t.Context(), keys.StorageKeychain, secret.String{})
	if err != nil || len(moved) != 3 || moved[0].Problem != "" || moved[1].Problem == "" || moved[2].Problem == "" {
		t.Fatalf("Migrate = %+v, %v", moved, err)
	}
	if e, err := s.Get(t.Context(), "openai"); err != nil || e.Key.Reveal() != canary || e.Storage != keys.StorageKeychain {
		t.Errorf("openai = %+v, %v", e, err)
	}
	if e, _ := s.Get(t.Context(), "groq"); e.Key.Reveal() != "gsk-new" {
		t.Errorf("the old vault replaced the key of groq by %q", e.Key.Reveal())
	}
	if h.read("keys.vault") == "" {
		t.Error("keys.vault was removed, though one key could not be decrypted")
	}
	write(sealed("xai-old"))
	if _, err := s.Migrate(t.Context(), keys.StorageFile, secret.String{}); err != nil {
		t.Fatal(err)
	}
	if e, err := s.Get(t.Context(), "xai"); err != nil || e.Key.Reveal() != "xai-old" || e.Storage != keys.StorageFile {
		t.Errorf("xai = %+v, %v", e, err)
	}
	if h.read("keys.vault") != "" {
		t.Error("keys.vault is still there")
	}
}

// TestLockForgetsReferences: Lock works without a vault.
func TestLockForgetsReferences(t *testing.T) {
	h := newHome(t)
	h.storage = config.StorageFile
	s := h.start(t)
	if err := s.Lock(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("nothing to lock: %v", err)
	}
	if err := s.Unlock(t.Context(), secret.String{}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "nothing to unlock") {
		t.Errorf("nothing to unlock: %v", err)
	}
	put(t, s, keys.Entry{Provider: "groq", Key: secret.New("gsk-1")})
	put(t, s, keys.Entry{Provider: "openai", Reference: "env://IN_ENV"})
	if text := h.read("keys.env"); !strings.Contains(text, "HOSTLESS_REF_OPENAI=") || strings.Contains(text, canary) {
		t.Errorf("keys.env: %q", text)
	}
	if e, err := s.Get(t.Context(), "openai"); err != nil || e.Key.Reveal() != canary {
		t.Errorf("Get = %v", err)
	}
	if err := s.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "openai"); !fault.Is(err, fault.Locked) {
		t.Errorf("locked: %v", err)
	}
	// Only the reference is locked: the key of groq is in keys.env and still used.
	if list, _, err := s.List(t.Context()); err != nil || len(list) != 2 || list[0].Locked || !list[1].Locked {
		t.Errorf("List while locked = %+v, %v", list, err)
	}
	if err := s.Unlock(t.Context(), secret.String{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "openai"); err != nil {
		t.Errorf("unlocked: %v", err)
	}
	if list, _, _ := s.List(t.Context()); list[1].Locked {
		t.Errorf("List after unlock = %+v", list)
	}
}
