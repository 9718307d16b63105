package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/hostless/hostless/pkg/procinfo"
	"github.com/hostless/hostless/pkg/service"
	"github.com/urfave/cli/v2"
)

// stopTimeout is a little more than the daemon takes to drain and end.
const stopTimeout = 30 * time.Second

func stopGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "stop", Usage: "stop the daemon, or the app NAME", ArgsUsage: "[NAME]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "stop every app that hostless run started, but not the daemon"},
			jsonFlag(),
		},
		Description: "NAME can contain *, as in '*.acme', to stop several apps. An app ends with its whole process tree.\nA login service stops with its sockets; it starts again at the next login, or with `hostless service start`.",
	}, 0, 1, e.stop)
}

// stop stops the daemon, however it was started, and waits until it has ended.
func (e *env) stop(cc *cli.Context) error {
	switch name := cc.Args().First(); {
	case cc.Bool("all") && name != "":
		return usage("--all cannot be combined with a name")
	case cc.Bool("all"):
		return e.stopApps(cc.Context, "*")
	case strings.Contains(name, "*"):
		return e.stopApps(cc.Context, name)
	case name != "":
		return e.stopApp(cc.Context, name)
	}
	if m := e.installed(cc.Context); m != nil && m.Supervised(cc.Context) {
		return e.stopService(cc.Context, m)
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	status, err := client.Status(cc.Context)
	if err != nil {
		return err
	}
	var raw []byte
	if err := client.Keep(&raw).Stop(cc.Context); err != nil {
		return err
	}
	if err := awaitEnd(cc.Context, client, status.PID); err != nil {
		return err
	}
	if e.line.json {
		_, err := e.out.Write(raw)
		return err
	}
	return e.printLine("hostlessd stopped (pid %d)", status.PID)
}

// stopApps stops all runs whose names match a pattern, concurrently.
func (e *env) stopApps(ctx context.Context, pattern string) error {
	paths, err := e.paths()
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	limited, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	list, err := client.Routes(limited)
	if err != nil {
		return err
	}
	var names []string
	for _, r := range list.Routes {
		if r.Leased && globs(pattern, r.AppName) {
			names = append(names, r.AppName)
		}
	}
	results, errs := make([]ended, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			results[i].Name = name
			results[i].Exit, errs[i] = launch.Stop(ctx, paths, name)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	switch {
	case e.line.json:
		return e.result(struct {
			Stopped []ended `json:"stopped"`
		}{append([]ended{}, results...)})
	case len(names) == 0 && pattern == "*":
		e.note("No app is running.")
		return nil
	case len(names) == 0:
		return &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("no running app has a name that matches %q", pattern), Next: "hostless list"}
	}
	return e.printLine("%s ended: %s", count(len(names), "app"), strings.Join(names, ", "))
}

// globs reports whether a name matches a pattern in which * matches any text.
func globs(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[last])
}

// stopService stops a supervised daemon. It stops the sockets first, since otherwise the
// next request would start it again.
func (e *env) stopService(ctx context.Context, m *service.Manager) error {
	if err := m.Stop(ctx); err != nil {
		return err
	}
	if e.line.json {
		return e.result(control.Outcome{Status: "stopped"})
	}
	if err := e.printLine("hostlessd and the sockets of the login service are stopped"); err != nil {
		return err
	}
	e.note("It starts again at the next login, or with: hostless service start")
	return nil
}

// awaitEnd waits until the daemon with that pid no longer answers.
func awaitEnd(ctx context.Context, client *control.Client, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	probe := time.NewTicker(startProbe)
	defer probe.Stop()
	for {
		client.CloseIdle()
		status, err := client.Status(ctx)
		if (notRunning(err) || err == nil && status.PID != pid) && !procinfo.Alive(pid) {
			return nil
		}
		select {
		case <-ctx.Done():
			return &fault.Error{Kind: fault.Internal, Message: "hostlessd is still waiting for requests in flight", Next: "hostless status"}
		case <-probe.C:
		}
	}
}
