package main

import (
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func originsGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "origins", Usage: "web origins whose pages may call the gateway",
		Description: "Bare localhost, *.localhost and the origins of live tokens are always allowed.",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "add", Usage: "allow an origin", ArgsUsage: "ORIGIN", Flags: []cli.Flag{jsonFlag()},
				Description: "  hostless origins add https://app.example.com",
			}, 1, 1, func(cc *cli.Context) error {
				origin, err := checkOrigin(cc.Args().First())
				if err != nil {
					return err
				}
				return ask(e, func(c *control.Client) (control.OriginList, error) { return c.AddOrigin(cc.Context, origin) },
					func(control.OriginList) error { return e.printLine("%s is allowed", origin) })
			}),
			leaf(&cli.Command{Name: "list", Usage: "list the allowed origins, and the apps that are allowed without asking", Flags: []cli.Flag{jsonFlag()}}, 0, 0,
				func(cc *cli.Context) error {
					return ask(e, func(c *control.Client) (control.OriginList, error) { return c.Origins(cc.Context) }, e.showOrigins)
				}),
			leaf(&cli.Command{Name: "remove", Aliases: []string{"rm"}, Usage: "remove an origin, and revoke its tokens", ArgsUsage: "ORIGIN", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
				func(cc *cli.Context) error {
					origin, err := checkOrigin(cc.Args().First())
					if err != nil {
						return err
					}
					return ask(e, func(c *control.Client) (control.OriginList, error) { return c.RemoveOrigin(cc.Context, origin) },
						func(control.OriginList) error { return e.printLine("%s is no longer allowed", origin) })
				}),
		},
	}
}

// checkOrigin returns an origin in canonical form; a bad one is wrong usage.
func checkOrigin(text string) (string, error) {
	origin, err := config.NormalizeOrigin(text)
	if err != nil {
		return "", usage("%v", err)
	}
	return origin, nil
}

func (e *env) showOrigins(l control.OriginList) error {
	if len(l.Origins)+len(l.Grants) == 0 {
		e.note("No origins. Allow one: hostless origins add ORIGIN")
		return nil
	}
	var rows [][]string
	if len(l.Grants) == 0 {
		for _, o := range l.Origins {
			rows = append(rows, []string{o})
		}
		return e.table([]string{"ORIGIN"}, rows)
	}
	for _, o := range l.Origins {
		rows = append(rows, []string{o, "may read responses", "", "", ""})
	}
	for _, g := range l.Grants {
		until := "gets tokens without asking"
		if g.ExpiresAt != nil {
			until += " for " + span(int64(time.Until(*g.ExpiresAt).Seconds()))
		}
		rows = append(rows, []string{g.Origin, until, list(g.AllowedProviders), list(g.AllowedModels), perHour(g.RateLimit)})
	}
	return e.table([]string{"ORIGIN", "WHAT", "PROVIDERS", "MODELS", "LIMIT"}, rows)
}
