package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Modules returns a node_modules directory for the package.json and package-lock.json in
// dir. It is installed once into the user's cache and never changed. Without Node or a
// registry the test is skipped; in CI it fails.
func Modules(t testing.TB, dir string) string {
	t.Helper()
	Need(t, "node")
	Need(t, "npm")
	at := cached(t, dir, []string{"package.json", "package-lock.json"}, func(draft string) *exec.Cmd {
		cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
		cmd.Dir = draft
		return cmd
	})
	return filepath.Join(at, "node_modules")
}

// Python returns the bin directory of a virtual environment with the packages in the
// requirements.txt in dir, cached like Modules.
func Python(t testing.TB, dir string) string {
	t.Helper()
	python := Need(t, "python3")
	// Scripts in an environment contain its path, so it must be created in its final
	// place.
	at := cached(t, dir, []string{"requirements.txt"}, nil)
	if _, err := os.Stat(filepath.Join(at, "complete")); err == nil {
		return filepath.Join(at, "venv", "bin")
	}
	venv, err := os.MkdirTemp(at, "venv-")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{python, "-m", "venv", venv},
		{filepath.Join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", filepath.Join(at, "requirements.txt")},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			os.RemoveAll(venv)
			missing(t, fmt.Errorf("%s: %w\n%s", filepath.Base(args[0]), err, out))
		}
	}
	link := filepath.Join(at, "venv")
	if err := os.Symlink(filepath.Base(venv), link); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "complete"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(link, "bin")
}

// cached returns a directory in the user's cache that contains the given files of dir and
// is named after their content. A new one is filled by the command.
func cached(t testing.TB, dir string, names []string, fill func(draft string) *exec.Cmd) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root, sum := filepath.Join(cache, "hostless-test"), sha256.New()
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	draft, err := os.MkdirTemp(root, "draft-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(draft)
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(data)
		if err := os.WriteFile(filepath.Join(draft, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := filepath.Join(root, filepath.Base(dir)+"-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	if _, err := os.Stat(at); err == nil {
		return at
	}
	if fill != nil {
		cmd := fill(draft)
		if out, err := cmd.CombinedOutput(); err != nil {
			missing(t, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out))
		}
	}
	// Another process may have finished first, with the same result.
	if err := os.Rename(draft, at); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return at
}

// missing skips a test for which something could not be installed; in CI it fails.
func missing(t testing.TB, err error) {
	t.Helper()
	Missing(t, "it cannot be installed: ", err)
}
