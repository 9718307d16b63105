package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/launch"
	"github.com/hostless/hostless/pkg/share"
	"github.com/urfave/cli/v2"
)

// shareLost is how long the daemon can be unreachable before a share ends.
const shareLost = 30 * time.Second

func shareGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "share", Usage: "make one app reachable for others: on the local network, or through a tunnel tool", ArgsUsage: "NAME",
		UsageText: "hostless share NAME --lan [--ip ADDRESS] [--port P]\nhostless share NAME --tailscale|--funnel|--cloudflared|--ngrok",
		Flags: append(shareFlags(),
			&cli.StringFlag{Name: "ip", Usage: "with --lan: listen only on this `ADDRESS` of the machine (default: HOSTLESS_LAN_IP, or all private ones)"},
			&cli.IntFlag{Name: "port", Usage: "with --lan: the first `PORT` to try (default: the daemon's)"},
		),
		Description: "It lasts until Ctrl-C, or until the app or the tool ends. Others reach only that app, never the\n" +
			"gateway or another app. hostless list shows the URL, and hostless doctor lists what is shared.\n" +
			"A tool must be installed and signed in. --lan needs no tool: it announces NAME.local with multicast\n" +
			"DNS and accepts private addresses. hostless run has the same flags, for the time of the run.\n\n" +
			"  hostless share shop --lan\n  hostless share shop --cloudflared",
	}, 1, 1, e.share)
}

// shareFlags are the ways of sharing as flags.
func shareFlags() []cli.Flag {
	usages := map[string]string{
		share.Tailscale:   "share with your tailnet (tailscale serve)",
		share.Funnel:      "share with everybody on the Internet (tailscale funnel)",
		share.Cloudflared: "share with everybody on the Internet (a quick tunnel of cloudflared)",
		share.Ngrok:       "share with everybody on the Internet (ngrok)",
		share.LAN:         "share on the local network, as NAME.local",
	}
	var flags []cli.Flag
	for _, way := range share.Ways {
		flags = append(flags, &cli.BoolFlag{Name: way, Usage: usages[way]})
	}
	return flags
}

// share shows one app to others until it is ended.
func (e *env) share(cc *cli.Context) error {
	name, err := appname.Check(cc.Args().First())
	if err != nil {
		return err
	}
	way, err := e.shareWay(cc)
	if err != nil {
		return err
	}
	c, err := e.shareConfig(cc, way, name)
	if err != nil {
		return err
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	route, status, err := e.shareable(cc.Context, client, name)
	if err != nil {
		return err
	}
	c.App, c.Daemon = route.URL, status.Port
	ctx, stop := signal.NotifyContext(cc.Context, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	session, err := share.Open(ctx, c)
	if err != nil {
		return err
	}
	defer session.Stop()
	if err := e.printLine("%s", session.URL); err != nil {
		return err
	}
	if way == share.LAN {
		e.note("%s is reachable from the local network until Ctrl-C", name)
		if session.URL.Scheme == "https" {
			e.note("other devices trust it when %s is installed there; http:// works on the same port", certs.LANCertPath(c.Home))
		}
	} else {
		e.note("%s is reachable from outside until Ctrl-C, through %s", name, way)
	}
	err = session.Keep(ctx, client, name, shareLost)
	if errors.Is(err, share.ErrAppEnded) {
		e.note("%s has ended, so it is no longer shared", name)
		return nil
	}
	return err
}

// shareConfig reads the command line and the environment.
func (e *env) shareConfig(cc *cli.Context, way, name string) (c share.Config, err error) {
	for _, flag := range []string{"ip", "port"} {
		if cc.IsSet(flag) && way != share.LAN {
			return c, usage("--%s requires --lan", flag)
		}
	}
	if p := cc.Int("port"); cc.IsSet("port") && (p < 1 || p > 65535) {
		return c, usage("--port %d is not between 1 and 65535", p)
	}
	ip, err := launch.LANAddress(cc.String("ip"), e.getenv)
	if err != nil {
		return c, err
	}
	paths, err := e.paths()
	if err != nil {
		return c, err
	}
	return share.Config{
		Way: way, Name: name, Home: paths.Home, Look: e.lookPath, Environ: e.environ(), IP: ip, Port: cc.Int("port"), Note: e.note,
	}, nil
}

// shareWay returns the way that the flags name; it is an error to name none or two.
func (e *env) shareWay(cc *cli.Context) (way string, err error) {
	for _, name := range share.Ways {
		switch {
		case !cc.Bool(name):
		case way != "":
			return "", usage("--%s and --%s cannot be combined", way, name)
		default:
			way = name
		}
	}
	if way == "" {
		f := usage("a flag is missing: --lan, --tailscale, --funnel, --cloudflared or --ngrok")
		f.Next = "hostless share " + cc.Args().First() + " --lan"
		if found := share.Installed(e.lookPath); len(found) > 0 {
			f.Next = "hostless share " + cc.Args().First() + " --" + found[0] + ", which is installed"
		}
		return "", f
	}
	return way, nil
}

// shareable returns the route of a name, and the daemon's status.
func (e *env) shareable(ctx context.Context, client *control.Client, name string) (route control.Route, status control.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	if status, err = client.Status(ctx); err != nil {
		return route, status, err
	}
	list, err := client.Routes(ctx)
	if err != nil {
		return route, status, err
	}
	for _, r := range list.Routes {
		if r.AppName == name && r.PathPrefix == "" {
			return r, status, nil
		}
	}
	return route, status, &fault.Error{Kind: fault.NotFound, Message: "there is no app " + strconv.Quote(name), Next: "hostless list"}
}
