package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

func keysGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "keys", Usage: "provider keys: stored once, used by the daemon alone",
		Subcommands: []*cli.Command{
			keysAddCommand(e),
			leaf(&cli.Command{Name: "list", Aliases: []string{"ls"}, Usage: "list the providers that have a key", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.keysList),
			leaf(&cli.Command{
				Name: "remove", Aliases: []string{"rm"}, Usage: "remove a provider's keys", ArgsUsage: "PROVIDER",
				Flags: []cli.Flag{&cli.StringFlag{Name: "label", Usage: "of several keys, remove the one labelled `L` alone"}, jsonFlag()},
			}, 1, 1, e.keysRemove),
			keysTest(e),
			keysImportCommand(e),
			keysMigrateCommand(e),
		},
	}
}

// canonical gives a provider's name for one of its aliases.
func canonical(name string) string { return provider.Default().Canonical(name) }

func (e *env) keysRemove(cc *cli.Context) error {
	name := canonical(cc.Args().First())
	request := func(c *control.Client) (control.KeyRemoved, error) { return c.DeleteKey(cc.Context, name) }
	if label := cc.String("label"); cc.IsSet("label") {
		request = func(c *control.Client) (control.KeyRemoved, error) {
			return c.DeleteLabelledKey(cc.Context, name, label)
		}
	}
	return ask(e, request, func(r control.KeyRemoved) error { return e.printLine("%s: key removed", keyName(name, r.Label)) })
}

// keyName names one of a provider's keys.
func keyName(provider, label string) string {
	if label == "" {
		return provider
	}
	return provider + " (" + label + ")"
}

// providerOfKey tells whose key a lone argument is, or "" where it is a
// provider's name.
func providerOfKey(word string) string {
	known := provider.Default()
	if known.Get(word) != nil || len(word) < 16 {
		return ""
	}
	if p := known.ByKey(word); p != nil {
		return p.Name
	}
	return ""
}

func (e *env) keysList(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.KeyList, error) { return c.Keys(cc.Context) },
		func(l control.KeyList) error {
			if len(l.Keys) == 0 {
				e.note("No keys. Add one: hostless keys add openai. Without any, the model echo/text answers.")
				return nil
			}
			labelled := slices.ContainsFunc(l.Keys, func(k control.KeyInfo) bool { return k.Label != "" })
			troubled := slices.ContainsFunc(l.Keys, func(k control.KeyInfo) bool { return k.StateStatus != 0 })
			headings := []string{"PROVIDER", "KEY", "STORAGE", "BASE URL"}
			if labelled {
				headings = slices.Insert(headings, 1, "LABEL")
			}
			if troubled {
				headings = append(headings, "STATE")
			}
			var rows [][]string
			for _, k := range l.Keys {
				row := []string{k.Provider, shownKey(k), k.Storage, k.BaseURL}
				if labelled {
					row = slices.Insert(row, 1, k.Label)
				}
				if troubled {
					row = append(row, shownState(k))
				}
				rows = append(rows, row)
			}
			return e.table(headings, rows)
		})
}

// shownState says how calls with a key went.
func shownState(k control.KeyInfo) string {
	if k.StateStatus == 0 || k.StateUntil == nil {
		return k.State
	}
	return fmt.Sprintf("%s (%d) until %s", k.State, k.StateStatus, k.StateUntil.Local().Format("15:04:05"))
}

// shownKey is what may be shown of a key: where it is held, its end, or that it is
// there at all.
func shownKey(k control.KeyInfo) string {
	switch {
	case k.Reference != "":
		return k.Reference
	case k.Locked:
		return "locked"
	case k.Hint != "":
		return "…" + strings.TrimPrefix(k.Hint, "…")
	case k.HasKey:
		return "set"
	}
	return "none"
}
