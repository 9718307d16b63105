package main

import (
	"context"
	"os/exec"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

func authGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "auth", Usage: "sign in with a provider instead of pasting its key",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "login", Usage: "sign in with a provider and store the key that it issues", ArgsUsage: "PROVIDER",
				Flags: []cli.Flag{&cli.BoolFlag{Name: "no-browser", Usage: "print the address to sign in at instead of opening it"}, jsonFlag()},
				Description: "openrouter needs no setup; other providers need `oauth_clients` in config.json. The key goes\n" +
					"from the provider into storage and is never printed.\n\n  hostless auth login openrouter",
			}, 1, 1, e.authLogin),
			leaf(&cli.Command{Name: "logout", Usage: "remove the key that a login stored", ArgsUsage: "PROVIDER", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
				func(cc *cli.Context) error {
					name := canonical(cc.Args().First())
					return ask(e, func(c *control.Client) (control.Outcome, error) { return c.Logout(cc.Context, name) },
						func(control.Outcome) error { return e.printLine("%s: key removed", name) })
				}),
			leaf(&cli.Command{Name: "status", Usage: "list the logins that stored a key", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.authStatus),
		},
	}
}

func (e *env) authLogin(cc *cli.Context) error {
	name := canonical(cc.Args().First())
	return ask(e, func(c *control.Client) (control.LoginOutcome, error) {
		login, err := c.BeginLogin(cc.Context, name)
		if err != nil {
			return control.LoginOutcome{}, err
		}
		if err := e.showLogin(cc, login); err != nil {
			return control.LoginOutcome{}, err
		}
		return awaitLogin(cc.Context, c, login.ID)
	}, func(o control.LoginOutcome) error {
		return e.printLine("%s: key stored (%s, %s)", o.Provider, o.Storage, shownKey(control.KeyInfo{Hint: o.Hint}))
	})
}

// showLogin opens the sign-in page, or prints its address. With --json, standard
// output is kept for the result.
func (e *env) showLogin(cc *cli.Context, login control.Login) error {
	if opener := e.opener(); opener != "" && !cc.Bool("no-browser") {
		if err := exec.CommandContext(cc.Context, opener, login.URL).Run(); err == nil {
			e.note("Sign in with %s in your browser. Waiting…", login.Provider)
			return nil
		}
	}
	e.note("Sign in with %s here. Waiting…", login.Provider)
	if e.line.json {
		e.note("%s", login.URL)
		return nil
	}
	return e.printLine("%s", login.URL)
}

func awaitLogin(ctx context.Context, c *control.Client, id string) (control.LoginOutcome, error) {
	for {
		started := time.Now()
		o, err := c.WaitLogin(ctx, id)
		switch {
		case err != nil:
			return o, err
		case o.Status == control.LoginStored:
			return o, nil
		case o.Status != control.LoginPending:
			return o, &fault.Error{Kind: fault.Upstream, Message: o.Reason, Next: "hostless auth login " + o.Provider}
		}
		if time.Since(started) < time.Second { // the daemon keeps this request open, unless it is stopping
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return o, ctx.Err()
			}
		}
	}
}

func (e *env) authStatus(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.LoginList, error) { return c.Logins(cc.Context) },
		func(l control.LoginList) error {
			if len(l.Logins) == 0 {
				e.note("No logins. Sign in: hostless auth login openrouter")
				return nil
			}
			var rows [][]string
			for _, s := range l.Logins {
				what := "in use"
				if !s.Current {
					what = "changed or removed since"
				}
				rows = append(rows, []string{s.Provider, shownKey(control.KeyInfo{Hint: s.Hint}), s.Storage, s.LoggedInAt.Local().Format(time.DateTime), what})
			}
			return e.table([]string{"PROVIDER", "KEY", "STORAGE", "SINCE", "STATE"}, rows)
		})
}
