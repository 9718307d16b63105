package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/urfave/cli/v2"
)

func keysGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "keys", Usage: "provider keys: stored once, used only by the daemon",
		Subcommands: []*cli.Command{
			keysAddCommand(e),
			leaf(&cli.Command{Name: "list", Aliases: []string{"ls"}, Usage: "list the providers that have a key", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.keysList),
			leaf(&cli.Command{
				Name: "remove", Aliases: []string{"rm"}, Usage: "remove a provider's keys", ArgsUsage: "PROVIDER",
				Flags: []cli.Flag{&cli.StringFlag{Name: "label", Usage: "remove only the key with the label `L`"}, jsonFlag()},
			}, 1, 1, e.keysRemove),
			keysTest(e),
			keysImportCommand(e),
			keysMigrateCommand(e),
		},
	}
}

// canonical returns the name of the provider that has this name or alias.
func canonical(name string) string { return provider.Default().Canonical(name) }

func (e *env) keysRemove(cc *cli.Context) error {
	name := canonical(cc.Args().First())
	request := func(c *control.Client) (control.KeyRemoved, error) { return c.DeleteKey(cc.Context, name) }
	if label := cc.String("label"); cc.IsSet("label") {
		request = func(c *control.Client) (control.KeyRemoved, error) {
			return c.DeleteLabelledKey(cc.Context, name, label)
		}
	}
	return ask(e, request, func(r control.KeyRemoved) error {
		if len(r.Labels) < 2 {
			return e.printLine("%s: key removed", keyName(name, r.Label))
		}
		var all []string
		for _, label := range r.Labels {
			all = append(all, cmp.Or(label, "one without a label"))
		}
		return e.printLine("%s: %d keys removed: %s", name, len(all), strings.Join(all, ", "))
	})
}

// keyName returns a provider's name with the label of one of its keys, for messages.
func keyName(provider, label string) string {
	if label == "" {
		return provider
	}
	return provider + " (" + label + ")"
}

// providerOfKey returns the provider of a key that is given as the only argument, ""
// where the argument is a provider's name.
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

// shownState describes whether the provider accepts calls with a key.
func shownState(k control.KeyInfo) string {
	if k.StateStatus == 0 || k.StateUntil == nil {
		return k.State
	}
	return fmt.Sprintf("%s (%d) until %s", k.State, k.StateStatus, k.StateUntil.Local().Format("15:04:05"))
}

// shownKey returns what listings show of a key: its reference, its last characters, or
// only that there is one; and that it is locked.
func shownKey(k control.KeyInfo) string {
	switch {
	case k.Reference != "" && k.Locked:
		return k.Reference + " (locked)"
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
