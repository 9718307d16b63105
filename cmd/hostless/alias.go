package main

import (
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func aliasGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "alias", Usage: "give a port, URL or socket a permanent name",
		ArgsUsage: "NAME PORT|URL|unix:PATH",
		UsageText: "hostless alias NAME PORT|URL|unix:PATH\n" +
			"hostless alias list\n" +
			"hostless alias add NAME PORT|URL|unix:PATH\n" +
			"hostless alias remove NAME",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "remove", Usage: "remove `NAME`, as `alias remove` does"},
			&cli.BoolFlag{Name: "keep-host", Usage: "send a URL target the client's Host header, not the target's own"},
			&cli.BoolFlag{Name: "insecure", Usage: "do not verify this target's certificate"},
			&cli.StringFlag{Name: "path", Usage: "serve only paths below `PATH`; other routes of the name are kept"},
			&cli.BoolFlag{Name: "force", Usage: "take the name from its current owner"},
			jsonFlag(),
		},
		Description: "  hostless alias db 5050\n" +
			"  hostless alias shop --path /api 4000\n" +
			"  hostless alias staging https://staging.example.com\n" +
			"  hostless alias docker unix:/run/app.sock",
	}, 0, 3, e.alias)
}

func (e *env) alias(cc *cli.Context) error {
	args := cc.Args().Slice()
	if cc.IsSet("remove") {
		if len(args) > 0 {
			return usage("one argument too many: %q", args[0])
		}
		return e.routeRemove(cc, cc.String("remove"))
	}
	if len(args) == 0 {
		return usage("an argument is missing: NAME PORT|URL|unix:PATH, list, or remove NAME")
	}
	want := map[string]int{"list": 0, "add": 2, "remove": 1, "rm": 1}
	verb := args[0]
	if n, ok := want[verb]; ok {
		args = args[1:]
		if err := exactly(args, n); err != nil {
			return err
		}
	} else if err := exactly(args, 2); err != nil {
		return err
	}
	switch verb {
	case "list":
		return e.listRoutes(cc, func(r control.Route) bool { return !r.Leased && r.PID == 0 })
	case "remove", "rm":
		return e.routeRemove(cc, args[0])
	}
	prefix, err := pathPrefix(cc)
	if err != nil {
		return err
	}
	req, err := parseTarget(args[1], e.dir)
	if err != nil {
		return err
	}
	req.Alias, req.Force = true, cc.Bool("force")
	req.PathPrefix = prefix
	req.KeepHost, req.Insecure = cc.Bool("keep-host"), cc.Bool("insecure")
	return e.register(cc, args[0], req)
}

// pathPrefix returns the value of --path, "" where it is not given.
func pathPrefix(cc *cli.Context) (string, error) {
	path := cc.String("path")
	if cc.IsSet("path") && (!strings.HasPrefix(path, "/") || strings.Trim(path, "/") == "") {
		return "", usage("--path %q is not a path below /, such as /api", path)
	}
	return path, nil
}

func exactly(args []string, n int) error {
	switch {
	case len(args) > n:
		return usage("one argument too many: %q", args[n])
	case len(args) < n:
		return usage("an argument is missing: %s", strings.Join([]string{"NAME", "PORT|URL|unix:PATH"}[len(args):n], " "))
	}
	return nil
}
