// Package connect tests the connection of web apps: the SDK itself, its types and its
// package, and pages in a real browser that send a request, get an answer given in a
// terminal, and stream from a model.
package connect

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// sdk returns the directory of the SDK's modules.
func sdk() string { return filepath.Join(harness.Root(), "web") }

func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestModule runs the SDK's own tests, which need no packages.
func TestModule(t *testing.T) {
	output(t, ".", harness.Need(t, "node"), "--test", "module.test.mjs")
}

// project returns a directory from which the packages, and the SDK as npm would install
// it, are found.
func project(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	modules := filepath.Join(dir, "node_modules")
	if err := os.MkdirAll(modules, 0o755); err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(harness.NPM(t), "node_modules")
	entries, err := os.ReadDir(installed)
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"hostless-connect": sdk()}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			links[e.Name()] = filepath.Join(installed, e.Name())
		}
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(modules, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tool returns the path of a program of an installed package.
func tool(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(harness.NPM(t), "node_modules", ".bin", name)
}

// TestTypes compiles an app written in TypeScript.
func TestTypes(t *testing.T) {
	dir := project(t, "types.tsx", "tsconfig.json")
	output(t, dir, tool(t, "tsc"), "--project", ".", "--preserveSymlinks")
}

// TestPack: npm packs exactly the modules and their types.
func TestPack(t *testing.T) {
	if testing.Short() {
		t.Skip("npm is slow to start")
	}
	cmd := exec.Command(harness.Need(t, "npm"), "pack", "--dry-run", "--json")
	cmd.Dir = sdk()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	var packed []struct {
		Files []struct{ Path string }
	}
	if err := json.Unmarshal(out, &packed); err != nil || len(packed) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	var names []string
	for _, f := range packed[0].Files {
		names = append(names, f.Path)
	}
	slices.Sort(names)
	want := []string{"README.md", "connect-react.d.ts", "connect-react.js", "connect.d.ts", "connect.js", "package.json"}
	if !slices.Equal(names, want) {
		t.Errorf("packed %v, want %v", names, want)
	}
}
