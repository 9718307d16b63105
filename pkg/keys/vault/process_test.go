package vault_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/secret"
)

func errorsAs(err error, target any) bool { return errors.As(err, target) }

// TestMain runs this program as the keychain helper if it was started as such.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == vault.HelperArg {
		os.Exit(vault.Helper(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestProcessWithoutBus: without a session bus the keychain is absent, and no bus is
// started.
func TestProcessWithoutBus(t *testing.T) {
	env := map[string]string{"DBUS_SESSION_BUS_ADDRESS": "disabled:", "HOME": t.TempDir()}
	k, err := vault.NewProcess(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []func() error{
		func() error { _, err := k.Get(t.Context(), "hostless", "x"); return err },
		func() error { return k.Set(t.Context(), "hostless", "x", secret.New("y")) },
	} {
		var e *vault.KeychainError
		if err := call(); !errors.As(err, &e) || e.Reason != vault.Absent {
			t.Errorf("got %v, want absent", err)
		}
	}
	env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=" + filepath.Join(t.TempDir(), "nothing")
	k, _ = vault.NewProcess(func(name string) string { return env[name] })
	var e *vault.KeychainError
	if _, err := k.Get(t.Context(), "hostless", "x"); !errors.As(err, &e) || e.Reason != vault.Absent {
		t.Errorf("a bus that is not there: %v", err)
	}
}

// TestProcessIsEnded: the context ends before the helper does.
func TestProcessIsEnded(t *testing.T) {
	env := map[string]string{"DBUS_SESSION_BUS_ADDRESS": "disabled:"}
	k, err := vault.NewProcess(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	var e *vault.KeychainError
	if _, err := k.Get(ctx, "hostless", "x"); !errors.As(err, &e) || e.Reason != vault.Slow {
		t.Errorf("got %v, want slow", err)
	}
}
