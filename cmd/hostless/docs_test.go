package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "rewrite docs/cli-commands.md")

const docsFile = "../../docs/cli-commands.md"

const docsHead = `# Commands

<!-- Generated from the command tree: make docs -->

Results go to standard output, everything else to standard error. An error is one line,
` + "`hostless: what failed: why`" + `, followed by a line with the next step if there is one. Colours are
used only on terminals, and not if ` + "`NO_COLOR`" + ` is set.

| exit code | meaning |
|---|---|
EXITCODES
` + "`hostless run`" + ` exits as its command did: its code, 128+n where signal n ended it, 127 for a
command that is not found, 126 for one that cannot be executed.

Flags can be given before or after the arguments; nothing after ` + "`--`" + ` is a flag. ` + "`--json`" + ` works
anywhere and prints only the response of the control API, unchanged; its fields are
[below](#json). ` + "`--daemon-port`" + ` of older scripts is accepted and ignored with a warning.

`

// TestDocs compares docs/cli-commands.md with the command tree.
func TestDocs(t *testing.T) {
	var b strings.Builder
	codes := ""
	for _, code := range exitCodes {
		codes += "| " + code[0] + " | " + code[1] + " |\n"
	}
	b.WriteString(strings.Replace(docsHead, "EXITCODES", codes, 1))
	b.WriteString("| command | what it does |\n|---|---|\n")
	tree := (&env{}).commands()
	for _, c := range tree {
		fmt.Fprintf(&b, "| [`hostless %s`](#hostless-%s) | %s |\n", c.Name, c.Name, c.Usage)
	}
	b.WriteString("| `hostless NAME CMD…` | the same as `hostless run NAME -- CMD…` |\n")
	for _, c := range tree {
		document(&b, []*cli.Command{c})
	}
	documentJSON(&b)
	if *update {
		if err := os.WriteFile(docsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), b.String()); diff != "" {
		t.Errorf("docs/cli-commands.md is not current: make docs (-file +tree):\n%s", diff)
	}
}

func document(b *strings.Builder, path []*cli.Command) {
	cmd := path[len(path)-1]
	if cmd.Hidden {
		return
	}
	var words []string
	for _, c := range path {
		words = append(words, c.Name)
	}
	title := strings.ToUpper(cmd.Usage[:1]) + cmd.Usage[1:]
	fmt.Fprintf(b, "\n%s hostless %s\n\n%s.\n", strings.Repeat("#", len(path)+1), strings.Join(words, " "), title)
	if len(cmd.Subcommands) == 0 {
		fmt.Fprintf(b, "\n```\n%s\n```\n", synopsis(path))
	}
	if rows := flagRows(cmd); len(rows) > 0 {
		b.WriteString("\n| flag | meaning |\n|---|---|\n")
		for _, r := range rows {
			fmt.Fprintf(b, "| `%s` | %s |\n", r[0], strings.ReplaceAll(r[1], "|", `\|`))
		}
	}
	if cmd.Description != "" {
		documentText(b, cmd.Description)
	}
	for _, sub := range cmd.Subcommands {
		document(b, append(path[:len(path):len(path)], sub))
	}
}

// documentText writes a description. Indented lines are examples.
func documentText(b *strings.Builder, text string) {
	fenced := false
	b.WriteByte('\n')
	for line := range strings.SplitSeq(text, "\n") {
		example := strings.HasPrefix(line, "  ")
		if example != fenced {
			if fenced = example; example {
				b.WriteString("```sh\n")
			} else {
				b.WriteString("```\n")
			}
		}
		b.WriteString(strings.TrimPrefix(line, "  ") + "\n")
	}
	if fenced {
		b.WriteString("```\n")
	}
}

// answers are the responses of the control API by the commands that print them.
var answers = []struct {
	commands string
	answer   any
}{
	{"status, proxy start, serve --daemon", control.Status{}},
	{"list, route list, alias list", control.RouteList{}},
	{"route add, alias, alias add", control.Registered{}},
	{"route remove, alias remove", control.Removed{}},
	{"keys add", control.KeyStored{}},
	{"keys list", control.KeyList{}},
	{"token create", control.Token{}},
	{"token list", control.TokenList{}},
	{"token refresh", control.Refreshed{}},
	{"token revoke, keys remove, auth logout, stop", control.Outcome{}},
	{"origins add, list, remove", control.OriginList{}},
	{"approvals, approvals list", control.ApprovalList{}},
	{"approve, deny", control.Decided{}},
	{"auth login", control.LoginOutcome{}},
	{"auth status", control.LoginList{}},
	{"wait NAME, restart NAME", launch.Running{}},
	{"stop NAME, wait NAME --exit", ended{}},
}

func documentJSON(b *strings.Builder) {
	b.WriteString("\n## JSON\n\nThe fields of each response. More may be added, none is renamed; a list is never null.\n" +
		"`config …` prints an object of all settings by their names.\n\n| command | fields |\n|---|---|\n")
	for _, a := range answers {
		fmt.Fprintf(b, "| %s | %s |\n", a.commands, strings.Join(fields(reflect.TypeOf(a.answer)), ", "))
	}
}

// fields returns the names of a struct's JSON members, those of a list's rows in brackets.
func fields(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, fields(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		in := f.Type
		list := in.Kind() == reflect.Slice
		if list || in.Kind() == reflect.Pointer {
			in = in.Elem()
		}
		if in.Kind() == reflect.Struct && in.PkgPath() == reflect.TypeOf(control.Status{}).PkgPath() && in.NumField() > 1 {
			inner := strings.Join(fields(in), ", ")
			if list {
				name += "[]"
			}
			names = append(names, "`"+name+"` {"+inner+"}")
			continue
		}
		names = append(names, "`"+name+"`")
	}
	return names
}
