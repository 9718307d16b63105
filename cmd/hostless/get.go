package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/launch/detect"
	"github.com/urfave/cli/v2"
)

func getGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "get", Aliases: []string{"url"}, Usage: "print the URL of an app, whether it runs or not", ArgsUsage: "NAME",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-worktree", Usage: "leave out the worktree's branch before the name"},
			&cli.StringFlag{Name: "prefix", Usage: "put `LABEL` before the name instead of the worktree's branch"},
			&cli.BoolFlag{Name: "json", Usage: "print name and URL as JSON"},
		},
		Description: "NAME is an app of this project (web), or a whole name. In a linked worktree it is\nthe worktree's own.\n\n" +
			"  API_URL=$(hostless get api) npm run dev",
	}, 1, 1, e.get)
}

// address is the result of get.
type address struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

func (e *env) get(cc *cli.Context) error {
	name, err := appname.Check(cc.Args().First())
	if err != nil {
		return err
	}
	if cc.IsSet("prefix") && cc.Bool("no-worktree") {
		return usage("--prefix cannot be combined with --no-worktree")
	}
	if dir, err := e.dir(); err == nil {
		name = e.fullName(dir, name, cc.Bool("no-worktree") || cc.IsSet("prefix"))
	}
	if cc.IsSet("prefix") {
		if name, err = appname.Check(cc.String("prefix") + "." + name); err != nil {
			return err
		}
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(cc.Context, statusTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	got := address{name, appURL(status, domainsOf(ctx, client).Shown(name+appname.Suffix))}
	if routes, err := client.Routes(ctx); err == nil {
		if u, err := routeURL(routes.Routes, name); err == nil {
			got.URL = u
		}
	}
	if e.line.json {
		return e.result(got)
	}
	return e.printLine("%s", got.URL)
}

// fullName returns the name that an app of the project at dir would get from run.
func (e *env) fullName(dir, name string, main bool) string {
	prefix := detect.PrefixAuto
	if main {
		prefix = detect.PrefixNever
	}
	files := detect.System()
	apps, err := detect.Peers(files, dir, e.getenv("HOME"), prefix)
	if err != nil {
		return name // the run reports a project file that cannot be read
	}
	for _, app := range apps {
		if app.Label == name || app.Name == name {
			return app.Name
		}
	}
	if main {
		return name
	}
	return detect.FullName(files, name, false, prefix, dir)
}

// domainsOf returns the domains below which the daemon serves apps.
func domainsOf(ctx context.Context, c *control.Client) appname.Domains {
	var list []string
	if values, err := c.Config(ctx); err == nil {
		_ = json.Unmarshal(values[config.TLD], &list) // an older daemon has no such setting
	}
	return list
}

// appURL returns the URL at which the daemon serves an app of that host name.
func appURL(s control.Status, host string) string {
	u, err := url.Parse(urlOf(s))
	if err != nil {
		return ""
	}
	port := ""
	if p := u.Port(); p != "" {
		port = ":" + p
	}
	u.Host = host + port
	return strings.TrimSuffix(u.String(), "/")
}
