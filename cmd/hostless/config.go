package main

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func configGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "the daemon's settings",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{Name: "list", Usage: "list all settings", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.configList),
			leaf(&cli.Command{Name: "get", Usage: "print one setting", ArgsUsage: "NAME", Flags: []cli.Flag{jsonFlag()}}, 1, 1, e.configGet),
			leaf(&cli.Command{
				Name: "set", Usage: "change a setting", ArgsUsage: "NAME VALUE", Flags: []cli.Flag{jsonFlag()},
				Description: "  hostless config set token-persistence file\n  hostless config set stream-usage off",
			}, 2, 2, func(cc *cli.Context) error { return e.configSet(cc, cc.Args().Get(0), cc.Args().Get(1)) }),
			leaf(&cli.Command{
				Name: "unset", Usage: "reset a setting to its default", ArgsUsage: "NAME", Flags: []cli.Flag{jsonFlag()},
			}, 1, 1, e.configUnset),
			leaf(&cli.Command{
				Name: "set-token-persistence", Usage: "whether tokens are kept across restarts", ArgsUsage: "off|file|keychain", Flags: []cli.Flag{jsonFlag()},
				Description: "The same as `hostless config set token-persistence VALUE`. Only hashes of tokens are stored.",
			}, 1, 1, func(cc *cli.Context) error {
				value := cc.Args().First()
				if !slices.Contains(persistences(), value) {
					return usage("%q is not one of %s", value, strings.Join(persistences(), ", "))
				}
				return e.configSet(cc, "token-persistence", value)
			}),
		},
	}
}

func (e *env) configList(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.ConfigValues, error) { return c.Config(cc.Context) },
		func(v control.ConfigValues) error {
			var rows [][]string
			for _, name := range slices.Sorted(maps.Keys(v)) {
				rows = append(rows, []string{name, plainText(v[name]), config.About(name)})
			}
			return e.table([]string{"NAME", "VALUE", "ABOUT"}, rows)
		})
}

func (e *env) configGet(cc *cli.Context) error {
	name, err := settingName(cc.Args().First())
	if err != nil {
		return err
	}
	return ask(e, func(c *control.Client) (control.ConfigValues, error) { return c.Config(cc.Context) },
		func(v control.ConfigValues) error { return e.printLine("%s", plainText(v[name])) })
}

func (e *env) configSet(cc *cli.Context, word, value string) error {
	name, err := settingName(word)
	if err != nil {
		return err
	}
	text, err := json.Marshal(value) // the daemon knows which type it has
	if err != nil {
		return err
	}
	return e.changeSetting(cc, name, text)
}

// configUnset resets a setting to its default.
func (e *env) configUnset(cc *cli.Context) error {
	name, err := settingName(cc.Args().First())
	if err != nil {
		return err
	}
	return e.changeSetting(cc, name, json.RawMessage("null"))
}

// changeSetting changes a setting, to its default where text is null, and prints what
// else is needed for it to take effect.
func (e *env) changeSetting(cc *cli.Context, name string, text json.RawMessage) error {
	return ask(e, func(c *control.Client) (control.ConfigValues, error) {
		v, err := c.SetConfig(cc.Context, control.ConfigValues{name: text})
		return v, badArgument(err)
	}, func(v control.ConfigValues) error {
		if err := e.printLine("%s is %s", name, cmp.Or(plainText(v[name]), "empty")); err != nil {
			return err
		}
		switch name {
		case config.Port:
			e.note("It takes effect at the daemon's next start. A login service keeps the port it was installed with: hostless service install --port PORT")
		case config.TLS:
			return e.restartForTLS(cc.Context, plainText(v[name]) == "on")
		case config.TLSCert, config.TLSKey:
			e.note("It takes effect at the daemon's next start, with tls on: hostless proxy restart")
		case config.TLD:
			return e.restartForDomains(cc.Context)
		case config.Web:
			e.note("The service manager holds the sockets: hostless service install opens or closes ports 80 and 443")
		}
		return nil
	})
}

// reinstall updates the login service's units to the settings.
func (e *env) reinstall(ctx context.Context) error {
	program, err := e.daemonBinary()
	if err != nil {
		return err
	}
	port, err := e.portAsBefore(ctx)
	if err != nil {
		return err
	}
	m, err := e.manager(ctx, program, port)
	if err != nil {
		return err
	}
	_, err = m.Install(ctx, map[string]string{})
	return err
}

// restartForTLS replaces a daemon whose https differs from the setting. A running
// daemon can change its certificates, but not turn TLS on or off.
func (e *env) restartForTLS(ctx context.Context, want bool) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	status, err := client.Status(ctx)
	if err != nil || status.TLS == want {
		return err
	}
	if m := e.installed(ctx); m != nil && status.Web { // port 443 is opened or closed with it
		if err := e.reinstall(ctx); err != nil {
			return err
		}
	} else if _, err := client.Restart(ctx); err != nil {
		return err
	}
	if status, err = client.Status(ctx); err != nil {
		return err
	}
	if status.TLS != want {
		e.note("This daemon was started with a flag that overrides the setting, until it is stopped and started without the flag.")
		return nil
	}
	e.note("The daemon was restarted for it: %s", urlOf(status))
	return nil
}

// restartForDomains explains the effect of other domains for app names, and restarts
// a daemon that serves https so that its certificate authority covers them.
func (e *env) restartForDomains(ctx context.Context) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	domains := domainsOf(ctx, client)
	e.note("Apps are at %s from now on; running apps learn their new URL when they are restarted.", appURL(status, domains.Shown("NAME"+appname.Suffix)))
	if len(domains.Custom()) > 0 {
		e.note("Browsers resolve only names below localhost by themselves: hostless config set hosts-sync on keeps the others in the hosts file, hostless hosts sync writes them once.")
	}
	if !status.TLS {
		return nil
	}
	if _, err := client.Restart(ctx); err != nil {
		return err
	}
	e.note("There is a new local certificate authority, which is limited to names below %s. Trust it: hostless trust", strings.Join(append([]string{"localhost"}, domains.Custom()...), ", "))
	return nil
}

// plainText formats a JSON value as a user types it: a string without quotes, a list as
// CSV, anything else unchanged.
func plainText(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(value, &list) == nil {
		return strings.Join(list, ",")
	}
	return string(value)
}

// settingName returns the canonical name of a setting; an unknown one is wrong usage.
func settingName(word string) (string, error) {
	name, names := strings.ReplaceAll(word, "_", "-"), config.Names()
	if slices.Contains(names, name) {
		return name, nil
	}
	f := usage("there is no setting %q; the settings are %s", word, strings.Join(names, ", "))
	f.Next = "hostless config list"
	if near := nearest(name, names); near != "" {
		f.Next = "did you mean " + near + "?"
	}
	return "", f
}

// persistences are the values of token-persistence.
func persistences() []string {
	return []string{config.PersistOff, config.PersistFile, config.PersistKeychain}
}
