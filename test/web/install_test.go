package web

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// project creates a directory with the given files and the installed dev servers.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	from := harness.NPM(t)
	dir := t.TempDir()
	// Symbolic links lead outside the project, and dev servers refuse to serve from
	// there. Hard links are fast and inside.
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
