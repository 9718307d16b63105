package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/share"
	"github.com/urfave/cli/v2"
)

// line is one parsed command line. urfave's parser stops at the first positional
// argument, so the arguments are put in order before it sees them. Nothing after
// `--`, and none of a child's own arguments, is interpreted.
type line struct {
	path     []*cli.Command // the command, from the top of the tree
	flags    []string       // its flags with their values
	args     []string       // its positional arguments
	child    []string       // the command to run, for a command that runs one
	app      bool           // the line starts with an app's NAME instead of a command
	json     bool
	help     bool
	version  bool
	warnings []string
	// warning is the error of a bad flag before a run's "--". It made the parser take
	// the words before "--" for the command, and is reported if that is not found.
	warning error
}

// name returns the command's words, as in "keys add".
func (l line) name() string {
	words := make([]string, len(l.path))
	for i, c := range l.path {
		words[i] = c.Name
	}
	return strings.Join(words, " ")
}

// command returns the command, or nil.
func (l line) command() *cli.Command {
	if len(l.path) == 0 {
		return nil
	}
	return l.path[len(l.path)-1]
}

// ordered returns the line in the order that urfave needs: command, flags, positionals.
func (l line) ordered() []string {
	out := []string{"hostless"}
	for _, c := range l.path {
		out = append(out, c.Name)
	}
	out = append(out, l.flags...)
	return append(append(out, "--"), l.args...)
}

// isFlag tells a flag from a positional argument; a lone "-" is standard input.
func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

// parser walks the words of one line.
type parser struct {
	tree  []*cli.Command
	words []string
	line  line
}

// parse parses a command line against the command tree. With an error it still
// returns what was parsed before it. `hostless NAME CMD…` becomes
// `hostless run NAME -- CMD…`.
func parse(tree []*cli.Command, argv []string) (line, error) {
	p := &parser{tree: tree, words: argv}
	err := p.walk()
	if err != nil && asksHelp(argv) {
		p.line.help, err = true, nil
	}
	return p.line, err
}

// asksHelp reports whether --help or -h comes before any "--".
func asksHelp(argv []string) bool {
	if i := slices.Index(argv, "--"); i >= 0 {
		argv = argv[:i]
	}
	return slices.Contains(argv, "--help") || slices.Contains(argv, "-h")
}

func (p *parser) next() string {
	word := p.words[0]
	p.words = p.words[1:]
	return word
}

func (p *parser) walk() error {
	for len(p.words) > 0 {
		cmd := p.line.command()
		if cmd != nil && cmd.Name == runCommand && len(p.line.path) == 1 {
			return p.run(cmd)
		}
		word := p.next()
		switch {
		case word == "--":
			if cmd == nil {
				return usage("there is no command before --")
			}
			p.line.args = append(p.line.args, p.words...)
			p.words = nil
		case cmd == nil && p.runFlag(word):
			p.line.path = append(p.line.path, find(p.tree, runCommand))
			p.words = append([]string{word}, p.words...)
		case isFlag(word):
			if err := p.flag(cmd, word); err != nil {
				return err
			}
		default:
			if err := p.word(cmd, word); err != nil {
				return err
			}
		}
	}
	return nil
}

// runFlag reports whether a flag before any command belongs to run, as in
// `hostless --script start`.
func (p *parser) runFlag(word string) bool {
	if !isFlag(word) {
		return false
	}
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	return name != "json" && findFlag(find(p.tree, runCommand), name) != nil
}

// word parses a command's name or a positional argument.
func (p *parser) word(cmd *cli.Command, word string) error {
	level := p.tree
	if cmd != nil {
		level = cmd.Subcommands
	}
	if len(level) == 0 || len(p.line.args) > 0 {
		p.line.args = append(p.line.args, word)
		return nil
	}
	found := find(level, word)
	if found == nil && cmd != nil && word == "ls" {
		found = find(level, "list")
	}
	if found != nil {
		p.line.path = append(p.line.path, found)
		return nil
	}
	if cmd != nil {
		return unknown(cmd.Subcommands, p.line.name(), word)
	}
	if word == "help" {
		p.line.help = true
		return nil
	}
	if word == "version" && len(p.words) == 0 {
		p.line.version = true
		return nil
	}
	return p.app(word)
}

// flag parses one flag and its value.
func (p *parser) flag(cmd *cli.Command, word string) error {
	name, value, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
	defined := findFlag(cmd, name)
	switch {
	case name == "json" && (!inline || value == "true" || value == "false"):
		p.line.json = value != "false"
	case name == "help" || name == "h":
		p.line.help = true
	case cmd == nil && (name == "version" || name == "v"):
		p.line.version = true
	case name == "daemon-port":
		if !inline && len(p.words) > 0 && !isFlag(p.words[0]) {
			p.next()
		}
		p.line.warnings = append(p.line.warnings, "--daemon-port is ignored: hostless finds the daemon by its control socket")
	case defined == nil:
		f := usage("unknown flag %s", word)
		if near := nearestFlag(name, cmd); near != "" {
			f.Next = "did you mean --" + near + "?"
		}
		if next := replacement(name); next != "" {
			f.Next = next
		}
		return f
	case isBool(defined) && inline && (value == "on" || value == "off"):
		p.line.flags = append(p.line.flags, "--"+name+"="+strconv.FormatBool(value == "on"))
	case isBool(defined) || inline:
		p.line.flags = append(p.line.flags, word)
	case len(p.words) == 0 || p.words[0] == "--":
		return usage("flag %s needs a value", word)
	default:
		p.line.flags = append(p.line.flags, word, p.next())
	}
	return nil
}

// synonyms maps a flag to the names that it has in other commands or tools.
var synonyms = map[string][]string{
	"port": {"app-port"}, "app-port": {"port"}, "tls": {"https"}, "https": {"tls"}, "tail": {"lines"}, "background": {"detach"}, "d": {"detach"},
}

// replacement returns the command that does what a flag of similar tools does.
func replacement(flag string) string {
	if slices.Contains(share.Ways, flag) {
		return "hostless share NAME --" + flag + " makes one app reachable for others"
	}
	return map[string]string{
		"tld":      "hostless config set tld NAME,…",
		"wildcard": "hostless config set wildcard-routes on",
		"no-tls":   "hostless config set tls off, which is the default",
	}[flag]
}

// nearestFlag returns the flag of cmd that was most likely meant, or "".
func nearestFlag(name string, cmd *cli.Command) string {
	for _, other := range synonyms[name] {
		if findFlag(cmd, other) != nil {
			return other
		}
	}
	return nearest(name, flagNames(cmd))
}

// run parses what follows `hostless run`: flags, at most one NAME, `--` and the
// command. Without `--`, or where more than a NAME comes before it, the
// command begins at the first positional argument.
func (p *parser) run(cmd *cli.Command) error {
	end := slices.Index(p.words, "--")
	if end >= 0 {
		try := parser{tree: p.tree, words: p.words[:end], line: p.line.clone()}
		err := try.flags(cmd, 1)
		if err == nil && len(try.words) == 0 {
			p.line = try.line
			p.line.child, p.words = p.words[end+1:], nil
			return nil
		}
		p.line.warning = err
	}
	if err := p.flags(cmd, 0); err != nil {
		return err
	}
	p.child()
	return nil
}

// app parses what follows an app's NAME: flags of run, an optional `--`, the command.
func (p *parser) app(name string) error {
	run := find(p.tree, runCommand)
	rest := parser{tree: p.tree, words: p.words, line: p.line.clone()}
	err := rest.flags(run, 0)
	if err != nil && nearest(name, commandNames(p.tree)) == "" {
		p.line.path = append(p.line.path, run)
		return err // a flag that run does not have
	}
	if err != nil || (len(rest.words) == 0 && !rest.line.help) {
		return unknown(p.tree, "", name)
	}
	p.line, p.words = rest.line, rest.words
	p.line.path = append(p.line.path, run)
	p.line.args, p.line.app = []string{name}, true
	p.child()
	return nil
}

// flags parses flags and up to n positional arguments.
func (p *parser) flags(cmd *cli.Command, n int) error {
	for len(p.words) > 0 && p.words[0] != "--" {
		if !isFlag(p.words[0]) {
			if n == 0 {
				return nil
			}
			n--
			p.line.args = append(p.line.args, p.next())
			continue
		}
		if err := p.flag(cmd, p.next()); err != nil {
			return err
		}
	}
	return nil
}

// child takes all remaining words as the command to run.
func (p *parser) child() {
	if len(p.words) > 0 && p.words[0] == "--" {
		p.next()
	}
	p.line.child, p.words = p.words, nil
}

func (l line) clone() line {
	l.path, l.flags = slices.Clone(l.path), slices.Clone(l.flags)
	l.args, l.warnings = slices.Clone(l.args), slices.Clone(l.warnings)
	return l
}

// unknown returns the error for an unknown command; it suggests the nearest one.
func unknown(level []*cli.Command, under, word string) *fault.Error {
	f := usage("there is no command %q", word)
	if near := nearest(word, commandNames(level)); near != "" {
		f.Next = "did you mean hostless " + strings.TrimSpace(under+" "+near) + "?"
	} else if next := otherCommands[word]; under == "" && next != "" {
		f.Next = next
	} else if under == "" {
		f.Next = "hostless --help, or hostless " + word + " CMD… to run a command as an app"
	}
	return f
}

// otherCommands are the commands that do what those of similar tools do.
var otherCommands = map[string]string{
	"clean": "hostless uninstall --purge removes everything; hostless hosts clean and hostless trust --uninstall only their part",
	"prune": "hostless list; a name and its processes end with the command that was run",
	"start": "hostless run, hostless proxy start, or hostless service start",
	"ps":    "hostless list",
}

func find(level []*cli.Command, name string) *cli.Command {
	for _, c := range level {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func commandNames(level []*cli.Command) (names []string) {
	for _, c := range level {
		if !c.Hidden {
			names = append(names, c.Names()...)
		}
	}
	return names
}

func findFlag(cmd *cli.Command, name string) cli.Flag {
	if cmd == nil {
		return nil
	}
	for _, f := range cmd.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func flagNames(cmd *cli.Command) (names []string) {
	if cmd == nil {
		return []string{"json", "help", "version"}
	}
	for _, f := range cmd.Flags {
		names = append(names, f.Names()[0])
	}
	return names
}

func isBool(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}
