package main

import (
	"context"
	"os"
	"os/exec"
	"strings"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/hosts"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/urfave/cli/v2"
)

func hostsGroup(e *env) *cli.Command {
	flags := func(more ...cli.Flag) []cli.Flag {
		return append([]cli.Flag{
			&cli.StringFlag{Name: "file", Usage: "the hosts `FILE`; else HOSTLESS_HOSTS_FILE, else the system's"},
			&cli.BoolFlag{Name: "json", Usage: "print the result as JSON"},
		}, more...)
	}
	return &cli.Command{
		Name: "hosts", Usage: "app names in the hosts file, for Safari and programs that ask the system's resolver",
		Description: "Chrome, Edge and Firefox resolve NAME.localhost by themselves. Hostless changes only its own marked block\nof the file.",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "sync", Usage: "write the names of all routes into the block",
				Flags: flags(&cli.StringFlag{Name: "names", Usage: "write these names in `CSV` instead: for use with sudo, which cannot reach your daemon"}),
			}, 0, 0, e.hostsSync),
			leaf(&cli.Command{Name: "clean", Usage: "remove the block", Flags: flags()}, 0, 0, e.hostsClean),
			leaf(&cli.Command{Name: "status", Usage: "compare the block with the routes", Flags: flags()}, 0, 0, e.hostsStatus),
		},
	}
}

// hostsResult is the result of sync and clean.
type hostsResult struct {
	Path    string   `json:"path"`
	Names   []string `json:"names"`
	Changed bool     `json:"changed"`
}

// routeNames asks the daemon for the host names that it serves.
func (e *env) routeNames(ctx context.Context) ([]string, error) {
	client, err := e.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdle()
	list, err := client.Routes(ctx)
	if err != nil {
		return nil, err
	}
	return launch.HostNames(list.Routes), nil
}

func (e *env) hostsSync(cc *cli.Context) error {
	names := csv(cc.String("names"))
	if !cc.IsSet("names") {
		var err error
		if names, err = e.routeNames(cc.Context); err != nil {
			return err
		}
	}
	return e.hostsWrite(cc, names, []string{"sync", "--names", strings.Join(names, ",")})
}

func (e *env) hostsClean(cc *cli.Context) error {
	return e.hostsWrite(cc, []string{}, []string{"clean"})
}

// hostsWrite changes the block. Where that needs root and standard input is a terminal,
// it runs the same command through sudo, with the names as arguments.
func (e *env) hostsWrite(cc *cli.Context, names []string, again []string) error {
	file := hosts.Locate(cc.String("file"), e.getenv)
	changed, err := file.Sync(names)
	again = append(append([]string{"hosts"}, again...), "--file", file.Path)
	switch denied := fault.Is(err, fault.Forbidden) && os.Geteuid() != 0; {
	case denied && isTerminal(e.in):
		if err = e.sudo(cc.Context, again); err != nil {
			return err
		}
		changed = true
	case denied:
		f := *fault.From(err)
		f.Next = "sudo hostless " + strings.Join(again, " ")
		return &f
	case err != nil:
		return err
	}
	if e.line.json {
		return e.result(hostsResult{Path: file.Path, Names: names, Changed: changed})
	}
	switch {
	case !changed:
		return e.printLine("%s is up to date", file.Path)
	case len(names) == 0:
		return e.printLine("%s has no more names of Hostless", file.Path)
	default:
		return e.printLine("%s has %s", file.Path, count(len(names), "name"))
	}
}

// sudo runs this program again as root; its output goes to standard error.
func (e *env) sudo(ctx context.Context, args []string) error {
	self, err := e.self()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sudo", append([]string{"--prompt=hostless: password for sudo, to change the hosts file: ", "--", self}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.in, e.err, e.err
	if err := cmd.Run(); err != nil {
		return &fault.Error{Kind: fault.Forbidden, Message: "the hosts file was not changed: sudo did not run the command", Err: err}
	}
	return nil
}

func (e *env) hostsStatus(cc *cli.Context) error {
	names, err := e.routeNames(cc.Context)
	if err != nil {
		return err
	}
	status, err := hosts.Locate(cc.String("file"), e.getenv).Status(names)
	if err != nil {
		return err
	}
	if e.line.json {
		return e.result(status)
	}
	state := "up to date"
	if !status.Synced {
		state = "out of date: hostless hosts sync"
	}
	return e.pairs([][2]string{
		{"file", status.Path}, {"state", state}, {"names", strings.Join(status.Names, " ")},
		{"missing", strings.Join(status.Missing, " ")}, {"stale", strings.Join(status.Stale, " ")},
	})
}
