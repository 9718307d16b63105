package main

import (
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func routeGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "route", Usage: "list, add and remove routes",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{Name: "list", Usage: "list all routes", Flags: []cli.Flag{jsonFlag()}}, 0, 0,
				func(cc *cli.Context) error { return e.listRoutes(cc, func(control.Route) bool { return true }) }),
			leaf(&cli.Command{
				Name: "add", Usage: "give a port a permanent name", ArgsUsage: "NAME --port PORT",
				Flags: []cli.Flag{
					&cli.IntFlag{Name: "port", Usage: "the app listens on `PORT`"},
					&cli.BoolFlag{Name: "force", Usage: "take the name from its current owner"}, jsonFlag(),
				},
				Description: "  hostless route add db --port 5050      http://db.localhost:48282",
			}, 1, 1, func(cc *cli.Context) error { return e.routeAdd(cc) }),
			leaf(&cli.Command{
				Name: "remove", Aliases: []string{"rm"}, Usage: "remove a route", ArgsUsage: "NAME", Flags: []cli.Flag{&cli.StringFlag{Name: "path", Usage: "remove only the route below `PATH`"}, jsonFlag()},
			}, 1, 1, func(cc *cli.Context) error { return e.routeRemove(cc, cc.Args().First()) }),
		},
	}
}

func (e *env) routeAdd(cc *cli.Context) error {
	if !cc.IsSet("port") {
		return usage("--port is missing")
	}
	port := cc.Int("port")
	if port < 1 || port > 65535 {
		return usage("--port %d is not between 1 and 65535", port)
	}
	return e.register(cc, cc.Args().First(), control.RouteRequest{Port: port, Force: cc.Bool("force")})
}

// register adds a permanent route under a name that it validates.
func (e *env) register(cc *cli.Context, name string, req control.RouteRequest) error {
	name, err := appname.Check(name)
	if err != nil {
		return err
	}
	req.Name = name
	return ask(e, func(c *control.Client) (control.Registered, error) { return c.Register(cc.Context, req) },
		func(r control.Registered) error {
			to := r.Target
			if to == "" {
				to = "127.0.0.1:" + strconv.Itoa(r.TargetPort)
			}
			return e.printLine("%s → %s", r.URL+req.PathPrefix, to)
		})
}

func (e *env) routeRemove(cc *cli.Context, name string) error {
	name, err := appname.Check(name)
	if err != nil {
		return err
	}
	prefix, err := pathPrefix(cc)
	if err != nil {
		return err
	}
	return ask(e, func(c *control.Client) (control.Removed, error) {
		return c.Deregister(cc.Context, control.RouteName{Name: name, PathPrefix: prefix})
	}, func(r control.Removed) error { return e.printLine("%s removed", r.Hostname+prefix) })
}

// parseTarget parses the target of a route: a port, host:port, an http or https URL, or
// unix:PATH. A relative socket path is relative to dir, which is called for nothing
// else, since the working directory may have been deleted.
func parseTarget(text string, dir func() (string, error)) (req control.RouteRequest, err error) {
	if port, err := strconv.Atoi(text); err == nil {
		if port < 1 || port > 65535 {
			return req, usage("port %d is not between 1 and 65535", port)
		}
		req.Port = port
		return req, nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return req, usage("unix: needs the path of a socket")
		}
		if !filepath.IsAbs(path) {
			in, err := dir()
			if err != nil {
				return req, err
			}
			path = filepath.Join(in, path)
		}
		req.Target = "unix:" + path
		return req, nil
	}
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			return req, usage("%q is not an http or https URL", text)
		}
		req.Target = text
		return req, nil
	}
	if host, port, err := net.SplitHostPort(text); err == nil && host != "" {
		if n, err := strconv.Atoi(port); err == nil && n >= 1 && n <= 65535 {
			req.Target = text
			return req, nil
		}
	}
	return req, usage("%q is not a port, host:port, URL or unix:PATH", text)
}
