package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// install puts the dev servers into the user's cache, once for each lock file.
var install = sync.OnceValues(func() (string, error) {
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
	dir := filepath.Join(root, "web-"+hex.EncodeToString(sum.Sum(nil)[:6]))
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
	// The last to finish finds it there already, and that is as good.
	if err := os.Rename(draft, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, nil
})

// project makes a directory with the given files in which the dev servers are
// installed.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("the dev servers are not installed in a short run")
	}
	harness.Need(t, "node")
	harness.Need(t, "npm")
	from, err := install()
	if err != nil {
		if harness.CI() {
			t.Fatalf("npm ci: %v", err)
		}
		t.Skipf("the dev servers cannot be installed: %v", err)
	}
	dir := t.TempDir()
	// Linked packages would lie outside of the project, which dev servers
	// refuse to serve; hard links are quick and lie within.
	modules := filepath.Join(dir, "node_modules")
	if exec.Command("cp", "-al", filepath.Join(from, "node_modules"), modules).Run() != nil {
		os.RemoveAll(modules)
		if out, err := exec.Command("cp", "-R", filepath.Join(from, "node_modules"), modules).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
