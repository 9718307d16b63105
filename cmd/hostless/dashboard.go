package main

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func dashboardGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "dashboard", Usage: "open the page that shows requests, spend, apps and providers",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "print", Usage: "print the page's link, which works once and for two minutes"},
			jsonFlag(),
		},
		Description: "The page is at http://hostless.localhost:48282 and read-only. A tab that was opened by a link\nkeeps its access until the daemon ends.",
	}, 0, 0, e.openDashboard)
}

func (e *env) openDashboard(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.DashboardLink, error) { return c.Dashboard(cc.Context) },
		func(l control.DashboardLink) error {
			url := l.URL.Reveal()
			if cc.Bool("print") {
				return e.printLine("%s", url)
			}
			if opener := e.opener(); opener != "" && e.browsePrivately(cc.Context, opener, url) == nil {
				e.note("The page opens in your browser.")
				return nil
			}
			e.note("hostless: no browser could be started here; this link works once, within %s", span(l.ExpiresIn))
			return e.printLine("%s", url)
		})
}

// browsePrivately opens a link in the browser. Other users can read a process's
// arguments. On Linux the link is of no use to them: the daemon asks the kernel which
// user owns a connection. On macOS, which cannot tell that, the browser is given a
// file that only this user can read and that redirects to the link.
func (e *env) browsePrivately(ctx context.Context, opener, url string) error {
	if runtime.GOOS != "darwin" {
		return exec.CommandContext(ctx, opener, url).Run()
	}
	paths, err := e.paths()
	if err != nil {
		return err
	}
	file := filepath.Join(paths.Home, "dashboard.html")
	page := fmt.Sprintf("<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer><meta http-equiv=refresh content=\"0;url=%s\"><title>Hostless</title>\n", html.EscapeString(url))
	if err := config.WritePrivate(file, []byte(page)); err != nil {
		return err
	}
	defer os.Remove(file)
	if err := exec.CommandContext(ctx, opener, file).Run(); err != nil {
		return err
	}
	select { // `open` returns before the browser has read the file
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	return nil
}
