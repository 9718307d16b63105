package pkg_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var markdownLink = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)

// TestDocumentLinks checks the links in the documentation: each linked file exists, and a
// link whose text is the name of a test leads to a file that contains the test.
func TestDocumentLinks(t *testing.T) {
	docs, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := 0
	for _, doc := range append(docs, "../README.md", "../AGENTS.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range markdownLink.FindAllStringSubmatch(string(text), -1) {
			name, target := link[1], link[2]
			if strings.Contains(target, ":") || strings.HasPrefix(target, "#") {
				continue
			}
			target, _, _ = strings.Cut(target, "#")
			linked, err := os.ReadFile(filepath.Join(filepath.Dir(doc), target))
			if info, statErr := os.Stat(filepath.Join(filepath.Dir(doc), target)); err != nil && (statErr != nil || !info.IsDir()) {
				t.Errorf("%s: %v", doc, err)
				continue
			}
			if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") {
				continue
			}
			tests++
			if !strings.Contains(string(linked), "\nfunc "+name+"(") {
				t.Errorf("%s: there is no %s in %s", doc, name, target)
			}
		}
	}
	if tests == 0 {
		t.Error("no link to a test was found")
	}
}
