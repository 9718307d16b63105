package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

// manualCommand is the hidden command that writes the man pages of the command tree
// into the directory in its argument. Package builds use it.
const manualCommand = "__man"

// exitCodes are the exit codes of `hostless` and their meaning.
var exitCodes = [][2]string{
	{"0", "done"},
	{"1", "failed"},
	{"2", "wrong usage: nothing was done"},
	{"3", "the daemon cannot be reached"},
	{"130", "ended by Ctrl-C"},
}

// writeManual writes hostless(1) and a page hostless-COMMAND(1) for each command.
func writeManual(tree []*cli.Command, version, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages := map[string]string{"hostless.1": overviewPage(tree, version)}
	for _, c := range tree {
		if !c.Hidden {
			pages["hostless-"+c.Name+".1"] = commandPage(c, version)
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func overviewPage(tree []*cli.Command, version string) string {
	p := newPage("hostless", version, "gateway for AI calls and names for local apps")
	p.section("SYNOPSIS")
	p.lines(synopsis(nil) + "\nhostless NAME CMD…")
	p.section("DESCRIPTION")
	p.text("Administers the daemon, hostlessd(1), over its control socket, and runs apps under names of their own.\n" +
		"Flags can be given before or after the arguments; nothing after -- is a flag. --json works before or after any command that prints a result.")
	p.section("COMMANDS")
	for _, c := range tree {
		if !c.Hidden {
			p.item(fmt.Sprintf(`\fBhostless\-%s\fR(1)`, escape(c.Name)), c.Usage)
		}
	}
	p.section("EXIT STATUS")
	for _, code := range exitCodes {
		p.item(`\fB`+code[0]+`\fR`, code[1])
	}
	p.section("ENVIRONMENT")
	p.item(`\fBHOSTLESS_HOME\fR`, "the directory of keys, tokens and settings (default: ~/.hostless)")
	p.item(`\fBHOSTLESS_SOCKET\fR`, "the control socket")
	p.item(`\fBNO_COLOR\fR`, "if set, output has no colours")
	p.section("SEE ALSO")
	p.raw(`\fBhostlessd\fR(1)`)
	return p.String()
}

func commandPage(c *cli.Command, version string) string {
	p := newPage("hostless-"+c.Name, version, c.Usage)
	p.section("SYNOPSIS")
	p.lines(synopsis([]*cli.Command{c}))
	if c.Description != "" {
		p.section("DESCRIPTION")
		p.text(c.Description)
	}
	if rows := flagRows(c); len(rows) > 0 {
		p.section("OPTIONS")
		p.flags(rows)
	}
	if len(c.Subcommands) > 0 {
		p.section("SUBCOMMANDS")
		p.subcommands([]*cli.Command{c})
	}
	p.section("SEE ALSO")
	p.raw(`\fBhostless\fR(1)`)
	return p.String()
}

// page writes a manual page in the man macros (groff_man(7)).
type page struct{ strings.Builder }

func newPage(name, version, purpose string) *page {
	p := &page{}
	fmt.Fprintf(p, ".TH %s 1 \"\" \"hostless %s\" \"Hostless\"\n", strings.ToUpper(escape(name)), escape(version))
	p.section("NAME")
	p.raw(escape(name) + ` \- ` + escape(purpose))
	return p
}

func (p *page) raw(line string)     { fmt.Fprintln(p, line) }
func (p *page) section(name string) { fmt.Fprintf(p, ".SH %s\n", name) }

// lines writes text with its line breaks.
func (p *page) lines(text string) {
	p.raw(".nf")
	for line := range strings.SplitSeq(text, "\n") {
		p.raw(escape(line))
	}
	p.raw(".fi")
}

// text writes filled paragraphs. Indented lines are examples and keep their line breaks.
func (p *page) text(text string) {
	example := false
	for line := range strings.SplitSeq(text, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != example {
			if example = indented; example {
				p.raw(".RS 4\n.nf")
			} else {
				p.raw(".fi\n.RE")
			}
		}
		if line = strings.TrimPrefix(line, "  "); line == "" && !example {
			p.raw(".PP")
			continue
		}
		p.raw(escape(line))
	}
	if example {
		p.raw(".fi\n.RE")
	}
}

// item writes a term, in roff, and its meaning.
func (p *page) item(term, meaning string) { fmt.Fprintf(p, ".TP\n%s\n%s\n", term, escape(meaning)) }

func (p *page) flags(rows [][2]string) {
	for _, row := range rows {
		p.item(`\fB`+escape(row[0])+`\fR`, row[1])
	}
}

// subcommands writes the subcommands of the last command of a path.
func (p *page) subcommands(path []*cli.Command) {
	for _, c := range path[len(path)-1].Subcommands {
		if c.Hidden {
			continue
		}
		here := append(path[:len(path):len(path)], c)
		if len(c.Subcommands) == 0 {
			p.raw(".SS " + escape(firstLine(synopsis(here))))
		} else {
			p.raw(".SS hostless " + escape(path[0].Name+" "+c.Name))
		}
		p.text(strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + ".")
		if c.Description != "" {
			p.raw(".PP")
			p.text(c.Description)
		}
		p.flags(flagRows(c))
		p.subcommands(here)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// escape makes roff print text literally: it escapes backslashes, hyphens, and a leading
// dot or quote, which would make the line a request.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
