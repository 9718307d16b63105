package main

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/procinfo"
	"github.com/hostless/hostless/pkg/service"
	"github.com/urfave/cli/v2"
)

// stopPatience is a little more than the daemon takes to drain and end.
const stopPatience = 30 * time.Second

func stopGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "stop", Usage: "stop the daemon, or the app of that NAME", ArgsUsage: "[NAME]", Flags: []cli.Flag{jsonFlag()},
		Description: "A login service stops with its sockets; it returns at the next login or with\n`hostless service start`. An app ends with its whole process tree.",
	}, 0, 1, e.stop)
}

// stop ends the daemon, however it was started, and waits for its end.
func (e *env) stop(cc *cli.Context) error {
	if name := cc.Args().First(); name != "" {
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

// stopService stops a supervised daemon, its sockets first, or the next request
// would bring it back.
func (e *env) stopService(ctx context.Context, m *service.Manager) error {
	if err := m.Stop(ctx); err != nil {
		return err
	}
	if e.line.json {
		return e.result(control.Outcome{Status: "stopped"})
	}
	e.note("It returns at the next login, or with: hostless service start")
	return e.printLine("hostlessd stopped, the login service with its sockets")
}

// awaitEnd waits until the daemon with that pid no longer answers.
func awaitEnd(ctx context.Context, client *control.Client, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
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
			return &fault.Error{Kind: fault.Internal, Message: "hostlessd is still draining what is in flight", Next: "hostless status"}
		case <-probe.C:
		}
	}
}
