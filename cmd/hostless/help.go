package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// synopsis returns the text after "usage:".
func synopsis(path []*cli.Command) string {
	if len(path) == 0 {
		return "hostless COMMAND [ARGUMENTS] [FLAGS]"
	}
	cmd := path[len(path)-1]
	words := []string{"hostless"}
	for _, c := range path {
		words = append(words, c.Name)
	}
	if cmd.UsageText != "" {
		return cmd.UsageText
	}
	if len(cmd.Subcommands) > 0 {
		words = append(words, strings.Join(ownNames(cmd.Subcommands), "|"))
	}
	if cmd.ArgsUsage != "" {
		words = append(words, cmd.ArgsUsage)
	}
	return strings.Join(words, " ")
}

// help prints the help of a command, or the overview where path is empty.
func (e *env) help(tree, path []*cli.Command) error {
	var b strings.Builder
	if len(path) == 0 {
		fmt.Fprintf(&b, "%s\n       hostless NAME CMD…     run CMD as the app NAME\n\n", "usage: "+synopsis(nil))
		commandTable(&b, tree, e.columns(e.out))
		b.WriteString("\n" + reflow("`hostless COMMAND --help` shows more. --json works before or after any command that prints a result.", e.columns(e.out)))
		b.WriteString(reflow("Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the daemon cannot be reached.", e.columns(e.out)))
		_, err := io.WriteString(e.out, b.String())
		return err
	}
	cmd := path[len(path)-1]
	fmt.Fprintf(&b, "%s\nusage: %s\n", reflow(cmd.Usage, e.columns(e.out)), indentAfterFirst(synopsis(path), "       "))
	if len(cmd.Subcommands) > 0 {
		b.WriteByte('\n')
		commandTable(&b, cmd.Subcommands, e.columns(e.out))
	}
	if flags := flagRows(cmd); len(flags) > 0 {
		b.WriteByte('\n')
		twoColumns(&b, flags, e.columns(e.out))
	}
	if cmd.Description != "" {
		b.WriteString("\n" + reflow(cmd.Description, e.columns(e.out)))
	}
	_, err := io.WriteString(e.out, b.String())
	return err
}

// reflow fits text to a width, paragraph by paragraph. Lines that begin with a blank, such
// as commands to copy, stay as they are, as does everything that fits already.
func reflow(text string, limit int) string {
	var b strings.Builder
	var paragraph []string
	flush := func() {
		fits := !slices.ContainsFunc(paragraph, func(line string) bool { return utf8.RuneCountInString(line) > limit })
		if !fits {
			paragraph = wrap(strings.Join(paragraph, " "), limit)
		}
		for _, line := range paragraph {
			b.WriteString(line + "\n")
		}
		paragraph = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && line[0] != ' ' {
			paragraph = append(paragraph, line)
			continue
		}
		flush()
		b.WriteString(line + "\n")
	}
	flush()
	return b.String()
}

func indentAfterFirst(text, indent string) string {
	return strings.ReplaceAll(text, "\n", "\n"+indent)
}

func commandTable(b *strings.Builder, level []*cli.Command, limit int) {
	var rows [][2]string
	for _, c := range level {
		if !c.Hidden {
			rows = append(rows, [2]string{strings.Join(c.Names(), ", "), c.Usage})
		}
	}
	twoColumns(b, rows, limit)
}

// flagRows returns a command's flags as --name VALUE with their meaning. The value's
// name is in backquotes in the flag's Usage, as urfave defines it.
func flagRows(cmd *cli.Command) (rows [][2]string) {
	for _, f := range cmd.Flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		usage, value := doc.GetUsage(), ""
		if doc.TakesValue() {
			value = " VALUE"
			if before, rest, ok := strings.Cut(usage, "`"); ok {
				if name, after, ok := strings.Cut(rest, "`"); ok {
					value, usage = " "+name, before+name+after
				}
			}
		}
		var names []string
		for _, n := range f.Names() {
			if len(n) == 1 {
				names = append(names, "-"+n)
			} else {
				names = append(names, "--"+n)
			}
		}
		rows = append(rows, [2]string{strings.Join(names, ", ") + value, usage})
	}
	return rows
}

// twoColumns prints rows of a name and its meaning, wrapped at limit.
func twoColumns(b *strings.Builder, rows [][2]string, limit int) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		lines := wrap(r[1], limit-width-4)
		fmt.Fprintf(b, "  %-*s  %s\n", width, r[0], lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(b, "%*s%s\n", width+4, "", line)
		}
	}
}
