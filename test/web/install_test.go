package web

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// project makes a directory with the given files in which the dev servers are
// installed.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	from := harness.NPM(t)
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
