package vault

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/pkg/secret"
)

// TestHandover: a successor gets the state that it could otherwise only get from the
// user.
func TestHandover(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "vault.json")
	open := func() *Vault {
		t.Helper()
		v, _, err := New(Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := open()
	if err := first.Unlock(ctx, secret.New("a long passphrase of a person"), true); err != nil {
		t.Fatal(err)
	}
	if err := first.Put(ctx, Item{Provider: "openai", Key: secret.New("sk-canary-0123456789")}); err != nil {
		t.Fatal(err)
	}
	next := open()
	if err := next.Resume(first.Handover()); err != nil {
		t.Fatal(err)
	}
	next.Open()
	if items, err := next.Get(ctx, "openai"); err != nil || len(items) != 1 || items[0].Key.Reveal() != "sk-canary-0123456789" {
		t.Errorf("a successor of an open vault has %d keys, %v", len(items), err)
	}
	next.Lock()
	last := open()
	if err := last.Resume(next.Handover()); err != nil {
		t.Fatal(err)
	}
	last.Open()
	if _, locked, _ := last.List(); !locked {
		t.Error("a vault that a person locked is open in the successor")
	}
	if err := open().Resume(Handover{KEK: make([]byte, kekSize)}); err == nil {
		t.Error("another vault's key opens this one")
	}
}
