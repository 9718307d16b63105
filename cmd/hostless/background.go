package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/urfave/cli/v2"
)

func restartGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "restart", Usage: "end an app and start it again", ArgsUsage: "NAME",
		Flags:       []cli.Flag{jsonFlag(), timeoutFlag()},
		Description: "The app keeps its name, port and token. The command returns when the app listens again.",
	}, 1, 1, e.restart)
}

func waitGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "wait", Usage: "wait until an app listens", ArgsUsage: "NAME",
		Flags: []cli.Flag{
			jsonFlag(), timeoutFlag(),
			&cli.BoolFlag{Name: "exit", Usage: "wait until it has ended, and exit as it did"},
		},
		Description: "  hostless run shop --detach -- npm run dev && hostless wait shop && hostless open shop",
	}, 1, 1, e.wait)
}

func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Usage: "give up after `D`, and until then also wait for a run that has not started yet (default: no limit)"}
}

// withTimeout limits a context by --timeout.
func withTimeout(cc *cli.Context) (context.Context, context.CancelFunc, error) {
	limit := cc.Duration("timeout")
	if limit < 0 {
		return nil, nil, usage("--timeout %v is negative", limit)
	}
	if limit == 0 {
		limit = 365 * 24 * time.Hour
	}
	ctx, cancel := context.WithTimeout(cc.Context, limit)
	return ctx, cancel, nil
}

func (e *env) restart(cc *cli.Context) error { return e.awaitApp(cc, launch.Restart) }

func (e *env) wait(cc *cli.Context) error {
	if cc.Bool("exit") {
		return e.waitExit(cc)
	}
	return e.awaitApp(cc, launch.Wait)
}

// awaitApp waits for an app to listen and prints where.
func (e *env) awaitApp(cc *cli.Context, do func(context.Context, config.Paths, string) (launch.Running, error)) error {
	paths, err := e.paths()
	if err != nil {
		return err
	}
	ctx, cancel, err := withTimeout(cc)
	if err != nil {
		return err
	}
	defer cancel()
	got, err := do(ctx, paths, cc.Args().First())
	for cc.IsSet("timeout") && cc.Duration("timeout") > 0 && fault.Is(err, fault.NotFound) && ctx.Err() == nil {
		// The run may be starting, as in `hostless run shop … & hostless wait shop --timeout 8s`.
		select {
		case <-ctx.Done():
		case <-time.After(startProbe):
			got, err = do(ctx, paths, cc.Args().First())
		}
	}
	switch {
	case err != nil:
		return err
	case e.line.json:
		return e.result(got)
	}
	return e.printLine("%s listens (port %d)", got.URL, got.Port)
}

// ended is the answer of stop NAME and wait --exit.
type ended struct {
	Name string `json:"name"`
	Exit int    `json:"exit"` // the app's exit code
}

func (e *env) waitExit(cc *cli.Context) error {
	paths, err := e.paths()
	if err != nil {
		return err
	}
	ctx, cancel, err := withTimeout(cc)
	if err != nil {
		return err
	}
	defer cancel()
	code, err := launch.WaitExit(ctx, paths, cc.Args().First())
	if errors.Is(err, context.DeadlineExceeded) {
		err = &fault.Error{Kind: fault.UpstreamTimeout, Message: cc.Args().First() + " still runs", Err: err}
	}
	if err != nil {
		return err
	}
	if e.line.json {
		if err := e.result(ended{cc.Args().First(), code}); err != nil {
			return err
		}
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}

// stopApp stops an app that runs in the background or in a terminal.
func (e *env) stopApp(ctx context.Context, name string) error {
	paths, err := e.paths()
	if err != nil {
		return err
	}
	code, err := launch.Stop(ctx, paths, name)
	switch {
	case err != nil:
		return err
	case e.line.json:
		return e.result(ended{name, code})
	}
	return e.printLine("%s has ended", name)
}

// appLogs prints the output of a detached app.
func (e *env) appLogs(cc *cli.Context, paths config.Paths, name string) error {
	name, err := appname.Check(name)
	if err != nil {
		return err
	}
	n, err := lines(cc)
	if err != nil {
		return err
	}
	f, err := os.Open(launch.LogFile(paths, name))
	if errors.Is(err, fs.ErrNotExist) {
		return &fault.Error{Kind: fault.NotFound, Message: "there is no log of app " + name + ": only a detached run has one, any other writes to its terminal", Next: "hostless run " + name + " --detach -- CMD…"}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := e.tail(f, n); err != nil || !cc.Bool("follow") {
		return err
	}
	return e.follow(cc.Context, f)
}
