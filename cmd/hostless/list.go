package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func listGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "list", Usage: "list the apps with their URLs and targets", Flags: []cli.Flag{jsonFlag()},
		Description: "The same as `hostless route list`.",
	}, 0, 0, func(cc *cli.Context) error { return e.listRoutes(cc, func(control.Route) bool { return true }) })
}

// listRoutes prints the routes for which shown reports true; with --json all routes.
func (e *env) listRoutes(cc *cli.Context, shown func(control.Route) bool) error {
	ctx, cancel := context.WithTimeout(cc.Context, statusTimeout)
	defer cancel()
	return ask(e, func(c *control.Client) (control.RouteList, error) { return c.Routes(ctx) },
		func(l control.RouteList) error {
			var rows [][]string
			for _, r := range l.Routes {
				if shown(r) {
					seen := r.URL + r.PathPrefix
					for _, s := range r.Shares {
						seen += ", " + s.URL
					}
					rows = append(rows, []string{r.AppName, seen, targetOf(r), ownerOf(r), r.Command})
				}
			}
			if len(rows) == 0 {
				e.note("No apps. Start one: hostless run NAME -- CMD…")
				return nil
			}
			return e.table([]string{"NAME", "URL", "TARGET", "OWNER", "COMMAND"}, rows, "COMMAND", "TARGET")
		})
}

func targetOf(r control.Route) string {
	if r.Target != "" {
		return r.Target
	}
	return "127.0.0.1:" + strconv.Itoa(r.TargetPort)
}

// ownerOf returns what keeps a route registered.
func ownerOf(r control.Route) string {
	var words []string
	switch {
	case r.Leased:
		words = append(words, "run")
	case r.PID == 0:
		return "alias"
	}
	if r.PID != 0 {
		words = append(words, "pid "+strconv.Itoa(r.PID))
	}
	if r.State != "" {
		words = append(words, r.State)
	}
	return strings.Join(words, ", ")
}
