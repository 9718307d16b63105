package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/hostless/hostless/pkg/launch/detect"
	"github.com/hostless/hostless/pkg/share"
	"github.com/urfave/cli/v2"
)

// runCommand is the name of the command whose line contains another command.
const runCommand = "run"

func runGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: runCommand, Usage: "run a command as an app with a name of its own", ArgsUsage: "[NAME]",
		UsageText: "hostless run [NAME] [FLAGS] -- CMD…\nhostless run [NAME] [FLAGS]\nhostless NAME CMD…\nhostless run --all [FLAGS]",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "the app's `NAME`; a linked worktree's branch is put before it, unlike with the argument"},
			&cli.BoolFlag{Name: "infer-name", Usage: "find the name in the project's files (the default without NAME)"},
			&cli.BoolFlag{Name: "worktree-prefix", Usage: "put the linked worktree's branch before an explicit name too"},
			&cli.BoolFlag{Name: "no-worktree", Usage: "leave out the worktree's branch before the name"},
			&cli.StringFlag{Name: "prefix", Usage: "put `LABEL` before the name instead of the worktree's branch"},
			&cli.StringFlag{Name: "script", Usage: "without CMD: run the script `S` of package.json (default: the project's, or dev)"},
			&cli.IntFlag{Name: "app-port", Usage: "the app listens on `PORT` (default: a free one)"},
			&cli.StringFlag{Name: "port-env", Usage: "also set the variable `VAR` to the port"},
			&cli.BoolFlag{Name: "force", Usage: "end the run that holds the name, or replace the alias"},
			&cli.BoolFlag{Name: "no-token", Usage: "give the app no bridge token"},
			&cli.BoolFlag{Name: "no-ai-env", Usage: "leave OPENAI_API_KEY and similar variables unchanged"},
			&cli.StringFlag{Name: "model", Usage: "use `MODEL` of any provider for all models of CMD, which is claude, codex, gemini, aider or opencode"},
			&cli.StringFlag{Name: "share", Usage: "make the app reachable for others: `LIST` of lan, tailscale, funnel, cloudflared and ngrok (default: HOSTLESS_SHARE)"},
			&cli.BoolFlag{Name: "detach", Usage: "run it in the background; see logs, stop, restart and wait NAME"},
			&cli.BoolFlag{Name: "lazy", Usage: "start the command with the first request, and end it when it is idle"},
			&cli.DurationFlag{Name: "idle-timeout", Usage: "end a lazy app that has been idle for `D` (default: 15m)", Value: 15 * time.Minute},
			&cli.BoolFlag{Name: "all", Usage: "run all apps of hostless.json, or of a workspace's dev scripts, as PACKAGE.PROJECT"},
		}, append(shareFlags(), tokenFlags()...)...),
		Description: "The app's environment has PORT, HOST, HOSTLESS_URL, HOSTLESS_TOKEN and HOSTLESS_API. When the command\n" +
			"ends, its name and token are removed. The exit code is the command's own. HOSTLESS=0 runs it without Hostless.\n\n" +
			"  hostless run shop -- npm run dev\n" +
			"  hostless shop npm run dev\n" +
			"  hostless run --model gpt-5.6 claude\n\n" +
			"Without CMD it runs the project's script. So does `hostless` without arguments in a package; in a project with\nseveral apps that is `hostless run --all`. {PORT}, {HOST} and {URL} in CMD are replaced.",
	}, 0, 1, e.run)
}

// tokenFlags returns the scopeFlags of the token that an app gets.
func tokenFlags() []cli.Flag {
	flags := scopeFlags()
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			// A run's token is extended while the run lasts, unless --ttl is given.
			f.Usage = "of its token: " + strings.Replace(f.Usage, "(default: one day)", "(default: as long as the run)", 1)
		case *cli.IntFlag:
			f.Usage = "of its token: " + f.Usage
		}
	}
	return flags
}

func (e *env) run(cc *cli.Context) error {
	c, err := e.runConfig(cc)
	if err != nil {
		return err
	}
	// Interrupts do not cancel the run: it forwards signals to the child.
	start := launch.Run
	if cc.Bool("all") {
		start = launch.RunAll
	}
	c.Autostart = e.autostart
	ctx := context.WithoutCancel(cc.Context)
	if c.Detach {
		ctx = cc.Context // an interrupt cancels it until the run is in the background
	}
	code, err := start(ctx, c)
	if err != nil {
		err = e.suggestRun(err, code)
		if fault.Is(err, fault.Usage) || code == fault.From(err).Kind.Exit() {
			return err
		}
		e.report(cc.Context, err)
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}

// suggestRun adds a suggestion to the error of a command that was not found: the line
// may have been meant differently.
func (e *env) suggestRun(err error, code int) error {
	const notFound = 127
	if code != notFound {
		return err
	}
	if e.line.warning != nil {
		return e.line.warning
	}
	child := e.line.child
	if len(child) == 0 {
		return err
	}
	if e.line.app {
		// `hostless npm run dev`: the first word is a program, not the app's name.
		if _, missing := e.lookPath(e.line.args[0]); missing == nil {
			described := *fault.From(err)
			described.Next = "hostless run -- " + strings.Join(append([]string{e.line.args[0]}, child...), " ")
			return &described
		}
		if name := e.line.args[0]; nearest(name, commandNames(e.commands())) != "" {
			e.line.path = nil
			return unknown(e.commands(), "", name)
		}
	}
	if _, bad := appname.Check(child[0]); bad != nil || len(e.line.args) > 0 {
		return err
	}
	command := "CMD…"
	if len(child) > 1 {
		if _, missing := e.lookPath(child[1]); missing != nil {
			return err
		}
		command = child[1] + " …"
	}
	described := *fault.From(err)
	described.Next = "hostless run " + child[0] + " -- " + command + ", if " + child[0] + " is the app's name"
	return &described
}

// runConfig checks the whole line before anything starts.
func (e *env) runConfig(cc *cli.Context) (c launch.Config, err error) {
	name := cc.String("name")
	if arg := cc.Args().First(); arg != "" {
		if name != "" && name != arg {
			return c, usage("two names are given: %q and %q", arg, name)
		}
		name = arg
	}
	if cc.IsSet("name") || cc.NArg() > 0 {
		if name, err = appname.Check(name); err != nil {
			return c, err
		}
		if cc.Bool("infer-name") {
			return c, usage("--infer-name cannot be combined with a name")
		}
	}
	prefix := detect.PrefixAuto
	switch always, never := cc.Bool("worktree-prefix"), cc.Bool("no-worktree"); {
	case always && never:
		return c, usage("--worktree-prefix and --no-worktree cannot be combined")
	case always, cc.IsSet("name") && !never: // a base name, as Portless takes it
		prefix = detect.PrefixAlways
	case never:
		prefix = detect.PrefixNever
	}
	port := cc.Int("app-port")
	if cc.IsSet("app-port") && (port < 1 || port > 65535) {
		return c, usage("--app-port %d is not between 1 and 65535", port)
	}
	s, ttl, err := scope(cc)
	if err != nil {
		return c, err
	}
	switch idle := cc.Duration("idle-timeout"); {
	case cc.IsSet("idle-timeout") && !cc.Bool("lazy"):
		return c, usage("--idle-timeout needs --lazy")
	case idle <= 0:
		return c, usage("--idle-timeout %v is not above zero", idle)
	case cc.Bool("all") && (len(e.line.child) > 0 || name != ""):
		return c, usage("--all takes names and commands from the project, not from the command line")
	case cc.Bool("all") && cc.IsSet("app-port"):
		return c, usage("--app-port is for a single app, not for --all")
	case cc.Bool("all") && (cc.IsSet("script") || cc.IsSet("port-env") || cc.IsSet("model")):
		return c, usage("--script, --port-env and --model are for a single app, not for --all")
	case cc.IsSet("model") && cc.String("model") == "":
		return c, usage("--model needs a model, such as gpt-5.6 or openrouter/qwen/qwen3-coder")
	case cc.IsSet("script") && len(e.line.child) > 0:
		return c, usage("--script cannot be combined with a command")
	case cc.IsSet("port-env") && !variableName.MatchString(cc.String("port-env")):
		return c, usage("--port-env %q is not the name of a variable", cc.String("port-env"))
	case cc.IsSet("prefix") && (cc.Bool("worktree-prefix") || cc.Bool("no-worktree")):
		return c, usage("--prefix cannot be combined with --worktree-prefix or --no-worktree")
	}
	ways, err := e.ways(cc)
	if err != nil {
		return c, err
	}
	worktree := ""
	if cc.IsSet("prefix") {
		if worktree, err = appname.Check(cc.String("prefix")); err != nil {
			return c, err
		}
	}
	paths, err := e.paths()
	if err != nil {
		return c, err
	}
	client, err := e.client()
	if err != nil {
		return c, err
	}
	dir, err := e.dir()
	if err != nil {
		return c, err
	}
	e.noteUnknown(cc.Context, client, s.AllowedProviders)
	return launch.Config{
		Args: e.line.child, Script: cc.String("script"), PortEnv: cc.String("port-env"), Worktree: worktree, Name: name, Prefix: prefix, AppPort: port, Force: cc.Bool("force"),
		Providers: s.AllowedProviders, Models: s.AllowedModels, RateLimit: s.RateLimit, TTL: ttl,
		NoToken: cc.Bool("no-token"), NoAIEnv: cc.Bool("no-ai-env"), Model: cc.String("model"), Share: ways,
		Detach: cc.Bool("detach"), Lazy: cc.Bool("lazy"), IdleTimeout: cc.Duration("idle-timeout"),
		Environ: e.environ(), Dir: dir, Paths: paths, Client: client,
		Stdin: e.files[0], Stdout: e.files[1], Stderr: e.files[2],
	}, nil
}

// ways returns the ways in which a run's app is shared.
func (e *env) ways(cc *cli.Context) ([]string, error) {
	words := csv(cc.String("share"))
	for _, way := range share.Ways {
		if cc.Bool(way) {
			words = append(words, way)
		}
	}
	all := cc.Bool("all")
	if len(words) > 0 && all {
		return nil, usage("--share is for one app, not for --all")
	}
	if len(words) == 0 && !cc.IsSet("share") && !all {
		words = csv(e.getenv("HOSTLESS_SHARE"))
	}
	return launch.CheckWays(words)
}

// variableName matches the name of a shell variable (POSIX, XBD 8.1).
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// runProject is `hostless` without arguments. In a project with several apps it runs all
// of them, in a package with a dev script that one. ran is false outside of a project.
func (e *env) runProject(ctx context.Context) (ran bool, err error) {
	dir, err := e.dir()
	if err != nil {
		return false, nil
	}
	start := launch.RunAll
	var ways []string
	// The run reports a project file that cannot be read.
	if apps, err := detect.Apps(detect.System(), dir, e.getenv("HOME"), detect.PrefixAuto); err == nil && len(apps) == 0 {
		if _, err := detect.ScriptCommand(detect.System(), dir, ""); errors.Is(err, detect.ErrNoScript) {
			return false, nil
		}
		start = launch.Run
		if ways, err = launch.CheckWays(csv(e.getenv("HOSTLESS_SHARE"))); err != nil {
			return true, err
		}
	}
	paths, err := e.paths()
	if err != nil {
		return true, err
	}
	client, err := e.client()
	if err != nil {
		return true, err
	}
	code, err := start(context.WithoutCancel(ctx), launch.Config{
		Autostart: e.autostart, Environ: e.environ(), Dir: dir, Paths: paths, Client: client, Share: ways,
		Stdin: e.files[0], Stdout: e.files[1], Stderr: e.files[2],
	})
	if err == nil && code != 0 {
		err = exitError(code)
	}
	return true, err
}
