package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManual checks that each command has a page with all its flags and subcommands, and
// that roff takes no line of text for a request.
func TestManual(t *testing.T) {
	tree := (&env{}).commands()
	dir := filepath.Join(t.TempDir(), "man")
	if err := writeManual(tree, "1.2.3", dir); err != nil {
		t.Fatal(err)
	}
	overview, err := os.ReadFile(filepath.Join(dir, "hostless.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range tree {
		data, err := os.ReadFile(filepath.Join(dir, "hostless-"+c.Name+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		text := strings.ReplaceAll(string(data), `\-`, "-")
		if !strings.Contains(string(overview), `\fBhostless\-`+escape(c.Name)+`\fR(1)`) {
			t.Errorf("hostless(1) does not name %s", c.Name)
		}
		flags := flagRows(c)
		for _, sub := range c.Subcommands {
			flags = append(flags, flagRows(sub)...)
			if !strings.Contains(text, ".SS hostless "+c.Name+" "+sub.Name) {
				t.Errorf("hostless-%s(1) does not name %s", c.Name, sub.Name)
			}
		}
		for _, row := range flags {
			if !strings.Contains(text, `\fB`+row[0]+`\fR`) {
				t.Errorf("hostless-%s(1) does not name %s", c.Name, row[0])
			}
		}
		for line := range strings.SplitSeq(string(data), "\n") {
			request, _, _ := strings.Cut(line, " ")
			switch request {
			case ".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi", ".RS", ".RE":
			default:
				if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
					t.Errorf("hostless-%s(1): roff takes %q for a request", c.Name, line)
				}
			}
		}
	}
}
