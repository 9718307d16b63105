package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/service"
	"github.com/urfave/cli/v2"
)

func serviceGroup(e *env) *cli.Command {
	own := func() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print the result as JSON"} }
	return &cli.Command{
		Name: "service", Usage: "the login service: start the daemon on demand after each login",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "install", Usage: "install the daemon as a login service, or update it",
				Flags: []cli.Flag{
					&cli.IntFlag{Name: "port", Usage: "listen on the loopback `PORT`; the default is the installed one, else " + strconv.Itoa(config.DefaultPort)},
					&cli.BoolFlag{Name: "tls", Usage: "serve https as well as http on the port; --tls=off turns it off"},
					&cli.BoolFlag{Name: "web", Usage: "listen on port 80 too, and on 443 with TLS, so that URLs need no port; --web=off turns it off"},
					&cli.BoolFlag{Name: "sandbox", Usage: "make everything but your home read-only for the daemon, where the system supports it; --sandbox=off turns it off"},
					&cli.StringFlag{Name: "idle-timeout", Usage: "end the daemon after `TIME` without work; off for never (default of a first installation: " + service.DefaultIdleTimeout + ")"},
					own(),
				},
				Description: "The daemon starts with the first request, and ends when it has no work. Hashes of tokens are kept in a\nfile, unless you chose another token-persistence. Flags that are not given keep their installed values.\nWith another HOSTLESS_HOME and --port a second service is installed beside the first.",
			}, 0, 0, e.serviceInstall),
			leaf(&cli.Command{
				Name: "uninstall", Usage: "stop and remove the login service; keys and settings are kept",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "purge", Usage: "remove keys, tokens and settings too"}, own()},
			}, 0, 0, e.serviceUninstall),
			leaf(&cli.Command{Name: "status", Usage: "show the state of the login service", Flags: []cli.Flag{own()}}, 0, 0, e.serviceStatus),
			leaf(&cli.Command{Name: "start", Usage: "open the sockets and start the daemon", Flags: []cli.Flag{own()}}, 0, 0,
				func(cc *cli.Context) error { return e.serviceDo(cc, (*service.Manager).Start, "started") }),
			leaf(&cli.Command{Name: "stop", Usage: "close the sockets and stop the daemon until the next login", Flags: []cli.Flag{own()}}, 0, 0,
				func(cc *cli.Context) error { return e.serviceDo(cc, (*service.Manager).Stop, "stopped") }),
			leaf(&cli.Command{Name: "restart", Usage: "restart the daemon; new connections wait until it is back", Flags: []cli.Flag{own()}}, 0, 0,
				func(cc *cli.Context) error { return e.serviceDo(cc, (*service.Manager).Restart, "restarted") }),
		},
	}
}

// manager returns a client of the service manager. Only an installation uses program
// and port.
func (e *env) manager(ctx context.Context, program string, port int) (*service.Manager, error) {
	paths, err := config.Locate(e.sessionEnv)
	if err != nil {
		return nil, err
	}
	return service.New(ctx, service.Config{Paths: paths, Program: program, Port: port, Getenv: e.sessionEnv})
}

// sessionEnv is getenv, except that XDG_RUNTIME_DIR is that of the user's service manager
// where this process has none or another user's.
func (e *env) sessionEnv(name string) string {
	if name == "XDG_RUNTIME_DIR" {
		return config.RuntimeDir(e.getenv)
	}
	return e.getenv(name)
}

// installed returns the login service of this home, nil if there is none.
func (e *env) installed(ctx context.Context) *service.Manager {
	paths, err := e.paths()
	if err != nil {
		return nil
	}
	m, err := e.manager(ctx, "", 0)
	if err != nil {
		return nil
	}
	if s, err := m.Status(ctx); err != nil || !s.Installed || s.Home != paths.Home {
		return nil
	}
	return m
}

// startCommand returns the command that starts the daemon in this installation.
func (e *env) startCommand(ctx context.Context) string {
	if e.installed(ctx) != nil {
		return "hostless service start"
	}
	return "hostless proxy start"
}

// endsAtLogout is the note for an installation without a desktop session and lingering.
const endsAtLogout = "systemd ends the service when you log out, since this account has no desktop session and does not linger."

func (e *env) serviceInstall(cc *cli.Context) error {
	port := cc.Int("port")
	if cc.IsSet("port") && (port < 1 || port > 65535) {
		return usage("--port %d is not between 1 and 65535", port)
	}
	program, err := e.daemonBinary()
	if err != nil {
		return err
	}
	if !cc.IsSet("port") {
		if port, err = e.portAsBefore(cc.Context); err != nil {
			return err
		}
	}
	settings := map[string]string{}
	if cc.IsSet("tls") {
		settings[config.TLS] = strconv.FormatBool(cc.Bool("tls"))
	}
	if cc.IsSet("web") {
		settings[config.Web] = strconv.FormatBool(cc.Bool("web"))
	}
	if text := cc.String("idle-timeout"); cc.IsSet("idle-timeout") {
		if _, err := config.ParseIdleTimeout(text); err != nil {
			return usage("--idle-timeout is %s, not %q", err, text)
		}
		settings[config.IdleTimeout] = text
	}
	m, err := e.manager(cc.Context, program, port)
	if err != nil {
		return err
	}
	sandbox := m.Sandboxed()
	if cc.IsSet("sandbox") {
		if sandbox = cc.Bool("sandbox"); sandbox {
			if err := m.ProbeSandbox(cc.Context); err != nil {
				return err
			}
		}
	}
	done, err := m.Install(cc.Context, settings)
	if err != nil {
		return err
	}
	changed, err := m.SetSandbox(cc.Context, sandbox)
	if err != nil {
		return err
	}
	done.Sandbox, done.Changed = sandbox, done.Changed || changed
	if e.line.json {
		return e.result(done)
	}
	if !done.Changed {
		e.note("The service was already installed and is up to date.")
	}
	if m.EndsWithSession(cc.Context) {
		e.note("%s To keep it running, and start it at boot: %s", endsAtLogout, service.LingerCommand)
	}
	scheme := "http"
	if done.TLS {
		scheme = "https"
	}
	address := scheme + "://localhost"
	if !done.Web {
		address += ":" + strconv.Itoa(done.Port)
	}
	return e.printLine("installed: %s starts %s with the first request", address, done.Program)
}

// portAsBefore returns the port for an installation without --port: HOSTLESS_PORT, else
// the installed one, else 0 for the default.
func (e *env) portAsBefore(ctx context.Context) (int, error) {
	if text := e.getenv("HOSTLESS_PORT"); text != "" {
		port, err := strconv.Atoi(text)
		if err != nil || port < 1 || port > 65535 {
			return 0, usage("HOSTLESS_PORT %q is not between 1 and 65535", text)
		}
		return port, nil
	}
	m := e.installed(ctx)
	if m == nil {
		return 0, nil
	}
	s, err := m.Status(ctx)
	return s.Port, err
}

func (e *env) serviceUninstall(cc *cli.Context) error {
	m, err := e.manager(cc.Context, "", 0)
	if err != nil {
		return err
	}
	done, err := m.Uninstall(cc.Context, cc.Bool("purge"))
	if err != nil {
		return err
	}
	paths, err := e.paths()
	switch {
	case err != nil:
		return err
	case e.line.json:
		return e.result(done)
	case done.Purged && done.Left != "":
		return e.printLine("uninstalled; keys, tokens and settings are removed; %s contains other files and is kept", done.Left)
	case done.Purged:
		return e.printLine("uninstalled; %s is removed", paths.Home)
	case len(done.Units) == 0:
		return e.printLine("the service is not installed; nothing was removed")
	}
	return e.printLine("uninstalled; keys and settings are still in %s", paths.Home)
}

func (e *env) serviceStatus(cc *cli.Context) error {
	m, err := e.manager(cc.Context, "", 0)
	if err != nil {
		return err
	}
	s, err := m.Status(cc.Context)
	if err != nil {
		return err
	}
	if e.line.json {
		return e.result(s)
	}
	if !s.Installed {
		e.note("Install it: hostless service install")
		return e.printLine("the service is not installed")
	}
	state := "stopped; it returns at the next login or with `hostless service start`"
	switch {
	case s.Program != "" && !executable(s.Program):
		state = s.Program + " does not exist: run `hostless service install` again"
	case s.Running:
		state = fmt.Sprintf("running (pid %d)", s.PID)
	case s.Listening:
		state = "listening; the first request starts the daemon"
	case slices.ContainsFunc(s.Units, func(u service.Unit) bool { return u.Active == "failed" }):
		state = "failed; `hostless service start` tries again and shows the error"
	}
	rows := [][2]string{
		{"Service", state},
		{"Manager", s.Manager},
		{"Listens on", strings.Join(s.Listen, ", ")},
		{"Program", s.Program},
		{"Home", s.Home},
	}
	for _, u := range s.Units {
		rows = append(rows, [2]string{u.Name, strings.Join([]string{u.Active, u.Sub, u.Enabled}, ", ")})
	}
	return e.pairs(rows)
}

func (e *env) serviceDo(cc *cli.Context, do func(*service.Manager, context.Context) error, what string) error {
	m, err := e.manager(cc.Context, "", 0)
	if err != nil {
		return err
	}
	if err := do(m, cc.Context); err != nil {
		return err
	}
	if e.line.json {
		return e.result(map[string]string{"status": what})
	}
	return e.printLine("hostlessd %s", what)
}

// result prints a result that does not come from the control API as JSON.
func (e *env) result(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = e.out.Write(append(data, '\n'))
	return err
}

// noManager reports whether err means that this machine has no service manager.
func noManager(err error) bool { return errors.Is(err, service.ErrNoManager) }
