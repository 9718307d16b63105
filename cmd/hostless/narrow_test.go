package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestNarrow checks that tables, help and findings fit a terminal's width and break no word.
func TestNarrow(t *testing.T) {
	for _, width := range []string{"60", "80", "120"} {
		var out bytes.Buffer
		e := &env{out: &out, err: &out, getenv: func(name string) string { return map[string]string{"COLUMNS": width}[name] }}
		limit := e.columns(&out)
		rows := [][]string{{"shop", "http://shop.localhost:48282", "127.0.0.1:4123", "run, pid 12345, listening", "npm run dev -- --host 127.0.0.1"}}
		if err := e.table([]string{"NAME", "URL", "TARGET", "OWNER", "COMMAND"}, rows); err != nil {
			t.Fatal(err)
		}
		if err := e.help(e.commands(), nil); err != nil {
			t.Fatal(err)
		}
		if err := e.showFindings([]finding{{Check: "names", Verdict: warning, Detail: strings.Repeat("some words about it ", 12)}, {Check: "x", Verdict: fine, Detail: "good"}}); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > limit && !strings.Contains(line, "usage:") && !strings.Contains(line, "`hostless COMMAND") && !strings.Contains(line, "Exit codes") {
				t.Errorf("at %s: %d characters: %s", width, n, line)
			}
		}
		for _, want := range []string{"http://shop.localhost:48282", "run, pid 12345, listening", "0 failures, 1 warning"} {
			if !strings.Contains(text, want) {
				t.Errorf("at %s: no %q in\n%s", width, want, text)
			}
		}
	}
}

// TestHelpIsNarrow checks the help of every command: prose and flags fit the width; commands
// to copy, and words without a blank, are not broken.
func TestHelpIsNarrow(t *testing.T) {
	for _, width := range []string{"60", "80", "120"} {
		e := &env{getenv: func(name string) string { return map[string]string{"COLUMNS": width}[name] }}
		tree := e.commands()
		var walk func(level, path []*cli.Command)
		walk = func(level, path []*cli.Command) {
			for _, c := range level {
				var out bytes.Buffer
				e.out, e.err = &out, &out
				at := append(path[:len(path):len(path)], c)
				if err := e.help(tree, at); err != nil {
					t.Fatal(err)
				}
				limit := e.columns(&out)
				for line := range strings.Lines(out.String()) {
					line = strings.TrimSuffix(line, "\n")
					text := strings.TrimLeft(line, " ")
					command := strings.HasPrefix(line, "  ") && !strings.HasPrefix(text, "-") || strings.Contains(line, "usage:") || strings.Contains(line, "hostless ")
					if n := len([]rune(line)); n > limit && strings.Contains(text, " ") && !command {
						t.Errorf("at %s, %s: %d characters: %s", width, c.Name, n, line)
					}
				}
				walk(c.Subcommands, at)
			}
		}
		walk(tree, nil)
	}
}
