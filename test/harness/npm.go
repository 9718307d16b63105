package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// NPM returns a directory in the user's cache with the packages of the package-lock.json
// in the test's directory, installed once per lock file. If that is not possible, and in
// short mode, the test is skipped; in CI it fails.
func NPM(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing is installed from npm in a short run")
	}
	Need(t, "node")
	Need(t, "npm")
	dir, err := npm()
	if err != nil {
		Missing(t, "the packages cannot be installed: ", err)
	}
	return dir
}

var npm = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	files := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(data)
		files[name] = data
	}
	root := filepath.Join(cache, "hostless-test")
	dir := filepath.Join(root, "npm-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	draft, err := os.MkdirTemp(root, "draft-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(draft)
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(draft, name), data, 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = draft
	if out, err := cmd.CombinedOutput(); err != nil {
		os.Stderr.Write(out)
		return "", err
	}
	// Another process may have finished first, with the same result.
	if err := os.Rename(draft, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, nil
})
