package pkg_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSkipsHideNothing: a test asks the harness for what it needs of the machine, and the
// harness fails in CI. Any other skip must be for short mode or another operating system,
// or have a comment that says why it cannot hide a regression.
func TestSkipsHideNothing(t *testing.T) {
	skip := regexp.MustCompile(`\bt\.Skip(f|Now)?\(`)
	harmless := regexp.MustCompile(`testing\.Short\(\)|runtime\.GOOS (!=|==) "\w+" \{`)
	seen := 0
	for _, top := range []string{"../cmd", "../pkg", "../test", "../init", "../examples"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "node_modules" || filepath.Ext(path) != ".go" || path == "../pkg/skips_test.go" {
				if err == nil && d.IsDir() && d.Name() == "node_modules" {
					return fs.SkipDir
				}
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			lines := strings.Split(string(data), "\n")
			for i, line := range lines {
				if !skip.MatchString(line) {
					continue
				}
				seen++
				if !strings.Contains(line, ") // ") && (i == 0 || !harmless.MatchString(lines[i-1])) {
					t.Errorf("%s:%d skips a test in CI too and does not say why: %s", path, i+1, strings.TrimSpace(line))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen == 0 {
		t.Fatal("no skip was found")
	}
}
