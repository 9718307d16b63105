package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

// completeCommand is the hidden command that the shells' scripts call with the words
// of the line so far, the unfinished one last.
const completeCommand = "__complete"

var scripts = map[string]string{
	"bash": `# hostless completion for bash: source <(hostless completion bash)
_hostless() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("$line")
  done < <(hostless __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _hostless hostless
`,
	"zsh": `#compdef hostless
# hostless completion for zsh: source <(hostless completion zsh), or as _hostless in $fpath
_hostless() {
  local -a found
  found=("${(@f)$(hostless __complete --describe "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found[1]" ]]; then _describe -V 'command' found; else _files; fi
}
if [[ "$funcstack[1]" == _hostless ]]; then
  _hostless "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
  compdef _hostless hostless
fi
`,
	"fish": `# hostless completion for fish: hostless completion fish | source
function __hostless_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (hostless __complete --describe $words[2..-1] 2>/dev/null | string replace -r '(?<!\\\\):' \t | string replace -a '\\:' ':')
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c hostless -f -a '(__hostless_complete)'
`,
}

func completionGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "completion", Usage: "print a shell's completion script", ArgsUsage: "bash|zsh|fish",
		Description: "  source <(hostless completion bash)\n  source <(hostless completion zsh)\n  hostless completion fish > ~/.config/fish/completions/hostless.fish",
	}, 1, 1, func(cc *cli.Context) error {
		script, ok := scripts[cc.Args().First()]
		if !ok {
			return usage("%q is not bash, zsh or fish", cc.Args().First())
		}
		_, err := io.WriteString(e.out, script)
		return err
	})
}

// complete prints the candidates for the last of words, one a line. It reports no
// error, since a shell could not show it.
func (e *env) complete(ctx context.Context, tree []*cli.Command, words []string) {
	describe := len(words) > 0 && words[0] == "--describe"
	if describe {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	before := words[:len(words)-1]
	if slices.Contains(before, "--") {
		return // the child's own arguments
	}
	l, _ := parse(tree, before)
	for _, c := range e.candidates(ctx, tree, l, last) {
		if !strings.HasPrefix(c, last) {
			continue
		}
		if describe { // as zsh's _describe takes it: a colon of the name is escaped
			line := strings.ReplaceAll(c, ":", `\:`)
			if text := describeWord(tree, l, c); text != "" {
				line += ":" + text
			}
			fmt.Fprintln(e.out, line)
			continue
		}
		fmt.Fprintln(e.out, c)
	}
}

// describeWord returns the meaning of a command's name or a flag, "" for any other word.
func describeWord(tree []*cli.Command, l line, word string) string {
	cmd := l.command()
	if isFlag(word) {
		if cmd == nil {
			return ""
		}
		for _, row := range flagRows(cmd) {
			for name := range strings.SplitSeq(row[0], ", ") {
				if name, _, _ = strings.Cut(name, " "); name == word {
					return row[1]
				}
			}
		}
		return ""
	}
	level := tree
	if cmd != nil {
		level = cmd.Subcommands
	}
	if c := find(level, word); c != nil {
		return c.Usage
	}
	return ""
}

func (e *env) candidates(ctx context.Context, tree []*cli.Command, l line, last string) []string {
	cmd := l.command()
	if isFlag(last) || last == "-" {
		flags := []string{"--help"}
		if cmd == nil {
			return append(flags, "--json", "--version")
		}
		for _, f := range cmd.Flags {
			flags = append(flags, "--"+f.Names()[0])
		}
		return flags
	}
	switch {
	case cmd == nil:
		return commandNames(tree)
	case len(cmd.Subcommands) > 0:
		return commandNames(cmd.Subcommands)
	}
	return e.arguments(ctx, l)
}

// arguments returns the values that a command's next positional argument can have.
func (e *env) arguments(ctx context.Context, l line) []string {
	first := len(l.args) == 0
	switch name := l.name(); {
	case first && (name == "budget raise" || name == "budget remove"):
		return e.budgetIDs(ctx)
	case name == "completion" && first:
		return []string{"bash", "zsh", "fish"}
	case name == "alias" && first:
		return append([]string{"list", "add", "remove"}, e.appNames(ctx)...)
	case name == "alias" && len(l.args) == 1 && l.args[0] == "remove",
		first && slices.Contains([]string{"open", "get", "route remove"}, name):
		return e.appNames(ctx)
	case first && slices.Contains([]string{"stop", "restart", "wait", "logs"}, name):
		return e.runNames(ctx)
	case name == "config set" && len(l.args) == 1:
		return e.settingValues(ctx, l.args[0])
	case (name == "config get" || name == "config set") && first:
		return config.Names()
	case name == "config set-token-persistence" && first:
		return persistences()
	case name == "keys add" && first:
		var names []string
		for _, p := range provider.Default().All() {
			if !p.Builtin {
				names = append(names, p.Name)
			}
		}
		return names
	case (name == "keys remove" || name == "keys test") && first:
		return asked(e, ctx, func(ctx context.Context, c *control.Client) (names []string) {
			l, _ := c.Keys(ctx)
			for _, k := range l.Keys {
				names = append(names, k.Provider)
			}
			return names
		})
	case name == "model unalias" && first:
		return asked(e, ctx, func(ctx context.Context, c *control.Client) (names []string) {
			l, _ := c.Aliases(ctx)
			for _, a := range l.Aliases {
				names = append(names, a.Name)
			}
			return names
		})
	case (name == "token revoke" || name == "token refresh") && first:
		return asked(e, ctx, func(ctx context.Context, c *control.Client) (names []string) {
			l, _ := c.Tokens(ctx)
			for _, t := range l.Tokens {
				names = append(names, t.Prefix)
			}
			return names
		})
	case name == "origins remove" && first:
		return asked(e, ctx, func(ctx context.Context, c *control.Client) []string {
			l, _ := c.Origins(ctx)
			for _, g := range l.Grants {
				l.Origins = append(l.Origins, g.Origin)
			}
			return l.Origins
		})
	case slices.Contains([]string{"approve", "deny", "approvals approve", "approvals deny"}, name) && first:
		return asked(e, ctx, func(ctx context.Context, c *control.Client) (names []string) {
			l, _ := c.Approvals(ctx)
			for _, a := range l.Approvals {
				names = append(names, a.ID)
			}
			return names
		})
	}
	return nil
}

// settingValues returns the values of a setting that is on or off.
func (e *env) settingValues(ctx context.Context, name string) []string {
	switch name {
	case "token-persistence":
		return persistences()
	case config.BudgetUnpriced:
		return []string{"allow", "refuse"}
	}
	return asked(e, ctx, func(ctx context.Context, c *control.Client) []string {
		settings, _ := c.Config(ctx)
		switch string(settings[name]) {
		case "true", "false", `"on"`, `"off"`:
			return []string{"on", "off"}
		}
		return nil
	})
}

// runNames returns the apps that belong to a run: an alias cannot be stopped.
func (e *env) runNames(ctx context.Context) []string {
	return asked(e, ctx, func(ctx context.Context, c *control.Client) (names []string) {
		l, _ := c.Routes(ctx)
		for _, r := range l.Routes {
			if r.Leased {
				names = append(names, r.AppName)
			}
		}
		return names
	})
}

func (e *env) appNames(ctx context.Context) []string {
	return asked(e, ctx, func(ctx context.Context, c *control.Client) (names []string) {
		l, _ := c.Routes(ctx)
		for _, r := range l.Routes {
			names = append(names, r.AppName)
		}
		return names
	})
}

// asked asks the daemon for names, with a timeout short enough for completion.
func asked(e *env, ctx context.Context, names func(context.Context, *control.Client) []string) []string {
	client, err := e.client()
	if err != nil {
		return nil
	}
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return names(ctx, client)
}
