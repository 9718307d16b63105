package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/hosts"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/urfave/cli/v2"
)

func uninstallGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "uninstall", Usage: "remove everything that Hostless has added to this system, except its programs",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "purge", Usage: "remove keys, tokens, settings and the request log too"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
			&cli.BoolFlag{Name: "json", Usage: "print what was removed as JSON"},
		},
		Description: "It lists what it would remove, and asks: apps in the background, the login service or the daemon,\nthe certificate authority in trust stores, the block in the hosts file, the handler of authmatic: links.",
	}, 0, 0, e.uninstall)
}

// removal is one thing that uninstall removes.
type removal struct {
	what string
	do   func(context.Context) error
}

// uninstalled is what uninstall prints as JSON.
type uninstalled struct {
	Removed  []string `json:"removed"`
	Failed   []string `json:"failed"`
	Programs string   `json:"programs"` // path of hostless, which is not removed
	Home     string   `json:"home"`     // the home if it is kept, else ""
}

func (e *env) uninstall(cc *cli.Context) error {
	paths, err := e.paths()
	if err != nil {
		return err
	}
	removals := e.removals(cc.Context, paths)
	out := uninstalled{Removed: []string{}, Failed: []string{}, Home: paths.Home}
	if self, err := e.self(); err == nil {
		out.Programs = self
	}
	if cc.Bool("purge") {
		if _, err := os.Lstat(paths.Home); err == nil {
			removals = append(removals, removal{"keys, tokens, settings and logs in " + paths.Home, func(context.Context) error {
				if len(out.Failed) > 0 {
					return errors.New("it is kept, since the rest could not be removed and needs it")
				}
				whole, err := config.Purge(paths.Home)
				if whole {
					out.Home = ""
				}
				return err
			}})
		} else {
			out.Home = ""
		}
	}
	if err := e.confirmUninstall(cc, removals, paths.Home); err != nil {
		return err
	}
	var errs []error
	for _, r := range removals {
		if err := r.do(cc.Context); err != nil {
			out.Failed = append(out.Failed, r.what)
			errs = append(errs, fmt.Errorf("%s: %w", r.what, err))
			continue
		}
		out.Removed = append(out.Removed, r.what)
		if !e.line.json {
			e.note("removed: %s", r.what)
		}
	}
	if e.line.json {
		errs = append(errs, e.result(out))
	} else if len(errs) == 0 {
		errs = append(errs, e.sayUninstalled(out))
	}
	return errors.Join(errs...)
}

func (e *env) sayUninstalled(out uninstalled) error {
	if len(out.Removed) == 0 {
		if err := e.printLine("nothing of Hostless was found to remove"); err != nil {
			return err
		}
	}
	if out.Home != "" {
		e.note("Keys, tokens and settings are still in %s: hostless uninstall --purge removes them.", out.Home)
	}
	return e.printLine("the programs are kept: remove %s and the hostlessd beside it the way they were installed (make down, or the package manager)", out.Programs)
}

// confirmUninstall lists what would be removed and asks, unless --yes was given.
func (e *env) confirmUninstall(cc *cli.Context, removals []removal, home string) error {
	if cc.Bool("yes") || len(removals) == 0 {
		return nil
	}
	fmt.Fprintln(e.err, "This removes:")
	for _, r := range removals {
		fmt.Fprintln(e.err, "  - "+r.what)
	}
	if !cc.Bool("purge") {
		fmt.Fprintln(e.err, "Keys, tokens and settings are kept in "+home+" (--purge removes them).")
	}
	if !isTerminal(e.in) {
		return &fault.Error{Kind: fault.Invalid, Message: "nothing was removed: there is no terminal to confirm on", Next: "hostless uninstall --yes"}
	}
	fmt.Fprint(e.err, "Continue? [y/N] ")
	answer, _ := bufio.NewReader(e.in).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return &fault.Error{Kind: fault.Invalid, Message: "nothing was removed"}
	}
	return nil
}

// removals returns what Hostless has added to this system, in the order in which it is
// removed.
func (e *env) removals(ctx context.Context, paths config.Paths) (all []removal) {
	all = append(all, e.backgroundApps(ctx, paths)...)
	if m := e.installed(ctx); m != nil {
		all = append(all, removal{"the login service " + m.Unit(), func(ctx context.Context) error {
			_, err := m.Uninstall(ctx, false)
			return err
		}})
	} else if client, err := e.client(); err == nil {
		if status, err := client.Status(ctx); err == nil {
			all = append(all, removal{fmt.Sprintf("the running daemon (pid %d)", status.PID), func(ctx context.Context) error {
				if err := client.Stop(ctx); err != nil {
					return err
				}
				return awaitEnd(ctx, client, status.PID)
			}})
		}
		client.CloseIdle()
	}
	if _, err := os.Lstat(certs.CertPath(paths.Home)); err == nil {
		t := certs.Trust{Dir: paths.Home, Getenv: e.getenv, Look: e.lookPath, Sudo: isTerminal(e.in)}
		stores, _ := t.Status(ctx) // ignore stores that cannot be read
		for _, s := range stores {
			if s.State != certs.Trusted {
				continue
			}
			all = append(all, removal{"the certificate authority in trust stores (" + s.Path + " …)", func(ctx context.Context) error { return untrust(ctx, t) }})
			break
		}
	}
	file := hosts.Locate("", e.getenv)
	if block, err := file.Status(nil); err == nil && len(block.Names) > 0 {
		all = append(all, removal{"the names of apps in " + file.Path, func(context.Context) error {
			_, err := file.Sync(nil)
			if fault.Is(err, fault.Forbidden) && os.Geteuid() != 0 && isTerminal(e.in) {
				return e.sudo(ctx, []string{"hosts", "clean", "--file", file.Path})
			}
			return err
		}})
	}
	if entry, _, err := e.desktopPaths(); err == nil {
		if _, err := os.Lstat(entry); err == nil {
			all = append(all, removal{"the handler of authmatic: and hostless: links", func(context.Context) error { return e.urlHandlerUninstall(nil) }})
		}
	}
	return all
}

// backgroundApps returns the detached runs, which nothing could stop after Hostless is
// removed.
func (e *env) backgroundApps(ctx context.Context, paths config.Paths) (all []removal) {
	client, err := e.client()
	if err != nil {
		return nil
	}
	defer client.CloseIdle()
	if !daemonAnswers(ctx, client) {
		return nil
	}
	list, err := client.Routes(ctx)
	if err != nil {
		return nil
	}
	for _, r := range list.Routes {
		if !r.Leased || r.Output != control.OutputLog {
			continue
		}
		name := r.AppName
		all = append(all, removal{fmt.Sprintf("the app %s, which runs in the background", name), func(ctx context.Context) error {
			_, err := launch.Stop(ctx, paths, name)
			return err
		}})
	}
	return all
}

// daemonAnswers reports whether a daemon is running. It does not start a service whose
// sockets are only listening.
func daemonAnswers(ctx context.Context, client *control.Client) bool {
	_, err := client.Status(ctx)
	return err == nil
}

// untrust removes the authority from all stores.
func untrust(ctx context.Context, t certs.Trust) error {
	results, err := t.Uninstall(ctx)
	for _, r := range results {
		if r.State == certs.Failed || r.State == certs.Trusted {
			err = errors.Join(err, fmt.Errorf("%s: %s", r.Path, r.Detail))
		}
	}
	return err
}
