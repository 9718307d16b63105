package main

import (
	"os"
	"strings"
	"testing"
)

// TestManual checks that hostlessd(1) describes exactly the flags that exist.
func TestManual(t *testing.T) {
	data, err := os.ReadFile("../../packaging/man/hostlessd.1")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(data), `\-`, "-")
	_, options, ok := strings.Cut(page, "\n.SH OPTIONS\n")
	if !ok {
		t.Fatal("it has no options")
	}
	options, _, _ = strings.Cut(options, "\n.SH ")
	flags := app().Flags
	for _, f := range flags {
		if !strings.Contains(options, `\fB--`+f.Names()[0]+`\fR`) {
			t.Errorf("--%s is not in it", f.Names()[0])
		}
	}
	if n := strings.Count(options, "\n.TP\n"); n != len(flags) {
		t.Errorf("it has %d options, hostlessd %d", n, len(flags))
	}
}
