package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/certs"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/share"
	"github.com/urfave/cli/v2"
)

// shareBeat is the interval of the heartbeat that reports a share to the daemon and
// checks that the app is still registered.
const shareBeat = time.Second

// shareLost is how long the daemon can be unreachable before a share ends.
const shareLost = 30 * time.Second

func shareGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "share", Usage: "make one app reachable for others, through a tunnel tool that you have installed", ArgsUsage: "NAME",
		UsageText: "hostless share NAME --tailscale|--funnel|--cloudflared|--ngrok",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: share.Tailscale, Usage: "to your tailnet (tailscale serve)"},
			&cli.BoolFlag{Name: share.Funnel, Usage: "to everybody on the Internet (tailscale funnel)"},
			&cli.BoolFlag{Name: share.Cloudflared, Usage: "to everybody on the Internet (a quick tunnel of cloudflared)"},
			&cli.BoolFlag{Name: share.Ngrok, Usage: "to everybody on the Internet (ngrok)"},
		},
		Description: "It lasts until Ctrl-C, or until the app or the tool ends. Others reach only that app, never the\n" +
			"gateway or another app. hostless list shows the URL, and hostless doctor lists what is shared.\n\n  hostless share shop --cloudflared",
	}, 1, 1, e.share)
}

// share runs a tunnel to one app.
func (e *env) share(cc *cli.Context) error {
	name, err := appname.Check(cc.Args().First())
	if err != nil {
		return err
	}
	tool, err := e.shareTool(cc)
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
	ctx, stop := signal.NotifyContext(cc.Context, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	front, l, err := e.shareFront(route, status)
	if err != nil {
		return err
	}
	defer l.Close()
	go func() { _ = front.Serve(l) }()
	tunnel, err := share.Start(ctx, tool, l.Addr().(*net.TCPAddr).Port, e.lookPath, e.environ())
	if err != nil {
		return err
	}
	defer tunnel.Stop()
	front.SetPublic(tunnel.URL)
	if err := e.printLine("%s", tunnel.URL); err != nil {
		return err
	}
	e.note("%s is reachable from outside until Ctrl-C, through %s", name, tool)
	return e.keepShare(ctx, client, name, control.Share{URL: tunnel.URL.String(), Tool: tool, PID: os.Getpid()}, tunnel)
}

// shareTool returns the tool that the flags name; it is an error to name none or two.
func (e *env) shareTool(cc *cli.Context) (tool string, err error) {
	for _, name := range []string{share.Tailscale, share.Funnel, share.Cloudflared, share.Ngrok} {
		switch {
		case !cc.Bool(name):
		case tool != "":
			return "", usage("--%s and --%s cannot be combined", tool, name)
		default:
			tool = name
		}
	}
	if tool == "" {
		f := usage("a flag is missing: --tailscale, --funnel, --cloudflared or --ngrok")
		if found := share.Installed(e.lookPath); len(found) > 0 {
			f.Next = "hostless share " + cc.Args().First() + " --" + found[0] + ", which is installed"
		}
		return "", f
	}
	return tool, nil
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

// shareFront returns the front that the tool forwards to, and its listener: a separate
// port that serves one app only.
func (e *env) shareFront(route control.Route, status control.Status) (*share.Front, net.Listener, error) {
	app, err := url.Parse(strings.TrimSuffix(route.URL, "/"))
	if err != nil {
		return nil, nil, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, DisableCompression: true}
	if app.Scheme == "https" {
		paths, err := e.paths()
		if err != nil {
			return nil, nil, err
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if own, err := certs.Load(paths.Home); err == nil {
			roots.AddCert(own)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: app.Hostname(), MinVersion: tls.VersionTLS12}
	}
	l, err := share.Listen(os.Getuid())
	if err != nil {
		return nil, nil, err
	}
	return share.NewFront(app, net.JoinHostPort("127.0.0.1", strconv.Itoa(status.Port)), transport), l, nil
}

// keepShare reports the share to the daemon until the user, the app or the tool ends it.
func (e *env) keepShare(ctx context.Context, client *control.Client, name string, s control.Share, tunnel *share.Tunnel) error {
	defer func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shareBeat)
		defer cancel()
		_ = client.EndShare(limited, name, s.PID) // without it the share expires soon
	}()
	beat := time.NewTicker(shareBeat)
	defer beat.Stop()
	answered := time.Now()
	for {
		limited, cancel := context.WithTimeout(ctx, shareBeat*5)
		live, err := client.KeepShare(limited, name, s)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !live:
			e.note("%s has ended, so it is no longer shared", name)
			return nil
		case err == nil:
			answered = time.Now()
		case time.Since(answered) > shareLost:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tunnel.Done():
			return &fault.Error{Kind: fault.Upstream, Message: s.Tool + " has ended", Err: tunnel.Err()}
		case <-beat.C:
		}
	}
}
