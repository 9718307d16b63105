package main

import (
	"cmp"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func modelGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "model", Usage: "aliases of models, and models to fall back to",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "alias", Usage: "define a name for a model, with others to try if that one fails", ArgsUsage: "NAME TARGET[,TARGET…]", Flags: []cli.Flag{aliasTokenFlag(), jsonFlag()},
				Description: "The targets are tried in order. The next one is tried where a provider is rate-limited, out of credit or\n" +
					"budget, down, or refuses the key, until part of a response has been sent. NAME may end in * to match many\n" +
					"names, and may be the name of a model. A scoped token reaches only the targets in its scope.\n\n" +
					"  hostless model alias fast gpt-5-mini,claude-haiku-4-5,ollama/qwen3\n" +
					"  hostless model alias 'claude-haiku*' openrouter/qwen/qwen3-coder\n" +
					"  hostless model alias gpt-5 gpt-5,claude-sonnet-4-5",
			}, 2, 64, e.modelAlias),
			leaf(&cli.Command{Name: "unalias", Usage: "remove an alias", ArgsUsage: "NAME", Flags: []cli.Flag{aliasTokenFlag(), jsonFlag()}}, 1, 1, e.modelUnalias),
			leaf(&cli.Command{Name: "list", Aliases: []string{"ls"}, Usage: "list the aliases", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.modelList),
		},
	}
}

func aliasTokenFlag() cli.Flag {
	return &cli.StringFlag{Name: "token", Usage: "an alias only for `TOKEN`, given by prefix or name; it takes precedence over one for all"}
}

func (e *env) modelAlias(cc *cli.Context) error {
	a := control.Alias{Name: cc.Args().First(), Token: cc.String("token")}
	for _, arg := range cc.Args().Tail() {
		a.Targets = append(a.Targets, csv(arg)...)
	}
	if len(a.Targets) == 0 {
		return usage("an argument is missing: TARGET[,TARGET…]")
	}
	return ask(e, func(c *control.Client) (control.AliasList, error) {
		l, err := c.SetAlias(cc.Context, a)
		return l, badArgument(err)
	}, func(control.AliasList) error {
		return e.printLine("%s: %s", a.Name, strings.Join(a.Targets, ", then "))
	})
}

func (e *env) modelUnalias(cc *cli.Context) error {
	name := cc.Args().First()
	return ask(e, func(c *control.Client) (control.AliasList, error) {
		return c.RemoveAlias(cc.Context, cc.String("token"), name)
	},
		func(control.AliasList) error { return e.printLine("%s: alias removed", name) })
}

func (e *env) modelList(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.AliasList, error) { return c.Aliases(cc.Context) },
		func(l control.AliasList) error {
			if len(l.Aliases) == 0 {
				e.note("No aliases. Make one: hostless model alias fast gpt-5-mini,claude-haiku-4-5")
				return nil
			}
			var rows [][]string
			for _, a := range l.Aliases {
				rows = append(rows, []string{a.Name, strings.Join(a.Targets, ", "), cmp.Or(a.Token, "all")})
			}
			return e.table([]string{"ALIAS", "STANDS FOR", "FOR"}, rows)
		})
}
