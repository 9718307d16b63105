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

// commands returns the command tree in the order of the help. Each group is
// defined in the file that has its name.
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
	disableDefaults(tree)
	return tree
}

// disableDefaults turns off urfave's own help, its exit on errors and the "help"
// subcommand that it adds to every command.
func disableDefaults(level []*cli.Command) {
	for _, c := range level {
		c.HideHelp, c.HideHelpCommand = true, true
		c.OnUsageError = usageError
		disableDefaults(c.Subcommands)
	}
}

func usageError(_ *cli.Context, err error, _ bool) error {
	// The flag package reports -flag where the user typed --flag.
	if m := badValue.FindStringSubmatch(err.Error()); m != nil {
		return usage("--%s does not take %s", m[2], m[1])
	}
	return usage("%v", err)
}

// badValue matches the flag package's error for a value that it cannot parse.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^:]+): `)

// dispatch runs the command of the parsed line.
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
		return usage("it has no result to print as JSON")
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

// leaf sets a command's action and the number of positional arguments that it takes.
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

// jsonFlag returns the flag of a command that can print the control API's response.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print the response of the control API as JSON, unchanged"}
}

// csv splits a comma-separated value, trims blanks and drops empty parts.
func csv(text string) (parts []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// overview prints what `hostless` without arguments shows.
func (e *env) overview(ctx context.Context, tree []*cli.Command) error {
	fmt.Fprintln(e.out, e.statusLine(ctx))
	fmt.Fprintln(e.out)
	return e.help(tree, nil)
}
