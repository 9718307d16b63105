package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"
)

// run runs one command line and returns the exit code.
func run(ctx context.Context, e *env, argv []string) int {
	tree := e.commands()
	if len(argv) > 0 && argv[0] == completeCommand {
		e.complete(ctx, tree, argv[1:])
		return 0
	}
	var err error
	if len(argv) == 2 && argv[0] == manualCommand {
		if err = writeManual(tree, e.version, argv[1]); err != nil {
			return e.report(ctx, err)
		}
		return 0
	}
	if e.line, err = parse(tree, argv); err == nil {
		err = e.dispatch(ctx, tree)
	}
	if err != nil {
		return e.report(ctx, err)
	}
	return 0
}

// commands is the tree of commands, in the order of the help. The file named
// for each group holds it.
func (e *env) commands() []*cli.Command {
	tree := []*cli.Command{
		runGroup(e), restartGroup(e), waitGroup(e), listGroup(e), openGroup(e), shareGroup(e), getGroup(e), routeGroup(e), aliasGroup(e),
		keysGroup(e), authGroup(e), unlockGroup(e), lockGroup(e), commandGroup(e), auditGroup(e), tokenGroup(e), originsGroup(e), approvalsGroup(e), approveCommand(e), denyCommand(e), urlHandlerGroup(e), configGroup(e),
		logGroup(e), spendGroup(e), budgetGroup(e), killCommand(e), unkillCommand(e), pricesGroup(e), metricsCommand(e),
		modelGroup(e),
		statusGroup(e), doctorGroup(e), logsGroup(e), hostsGroup(e), trustGroup(e), caGroup(e), proxyGroup(e), serveGroup(e), stopGroup(e), serviceGroup(e), uninstallGroup(e),
		dashboardGroup(e), topGroup(e), mcpGroup(e), skillGroup(e),
		completionGroup(e),
	}
	settle(tree)
	return tree
}

// settle turns off what urfave would do by itself: print, exit, and take "help"
// for a subcommand of everything.
func settle(level []*cli.Command) {
	for _, c := range level {
		c.HideHelp, c.HideHelpCommand = true, true
		c.OnUsageError = usageError
		settle(c.Subcommands)
	}
}

func usageError(_ *cli.Context, err error, _ bool) error {
	// The flag package names -flag, where a person typed --flag.
	if m := badValue.FindStringSubmatch(err.Error()); m != nil {
		return usage("--%s does not take %s", m[2], m[1])
	}
	return usage("%v", err)
}

// badValue is how the flag package tells of a value that it cannot read.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^:]+): `)

// dispatch does what the parsed line says.
func (e *env) dispatch(ctx context.Context, tree []*cli.Command) error {
	for _, w := range e.line.warnings {
		e.note("hostless: %s", w)
	}
	cmd := e.line.command()
	switch {
	case e.line.help:
		return e.help(tree, e.line.path)
	case e.line.version:
		return e.printLine("hostless %s", e.version)
	case cmd == nil && e.line.json:
		return usage("--json needs a command")
	case cmd == nil:
		if ran, err := e.runProject(ctx); ran {
			return err
		}
		return e.overview(ctx, tree)
	case e.line.json && findFlag(cmd, "json") == nil && len(cmd.Subcommands) == 0:
		return usage("it has no answer to print as JSON")
	case cmd.Action == nil:
		if !e.line.json {
			if err := e.help(tree, e.line.path); err != nil {
				return err
			}
		}
		return usage("a subcommand is missing: %s", strings.Join(ownNames(cmd.Subcommands), ", "))
	}
	app := &cli.App{
		Name: "hostless", Commands: tree, HideHelp: true, HideHelpCommand: true, HideVersion: true,
		Reader: e.in, Writer: e.out, ErrWriter: e.err,
		OnUsageError:   usageError,
		ExitErrHandler: func(*cli.Context, error) {}, // only main exits
	}
	return app.RunContext(ctx, e.line.ordered())
}

// ownNames are the names of commands without their aliases.
func ownNames(level []*cli.Command) (names []string) {
	for _, c := range level {
		names = append(names, c.Name)
	}
	return names
}

// leaf gives a command its number of positional arguments and what it does.
func leaf(c *cli.Command, atLeast, atMost int, do func(*cli.Context) error) *cli.Command {
	c.Action = func(cc *cli.Context) error {
		switch n := cc.NArg(); {
		case n < atLeast:
			return usage("an argument is missing: %s", c.ArgsUsage)
		case n > atMost:
			return usage("one argument too many: %q", cc.Args().Get(atMost))
		}
		return do(cc)
	}
	return c
}

// jsonFlag marks a command that can print the control API's answer.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print the control API's answer, unchanged"}
}

// csv splits a comma-separated value; blanks around and empty parts are dropped.
func csv(text string) (parts []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// overview is what `hostless` alone prints.
func (e *env) overview(ctx context.Context, tree []*cli.Command) error {
	fmt.Fprintln(e.out, e.statusLine(ctx))
	fmt.Fprintln(e.out)
	return e.help(tree, nil)
}
