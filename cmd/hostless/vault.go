package main

import (
	"strings"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

func unlockGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "unlock", Usage: "open the key vault", Flags: []cli.Flag{jsonFlag()},
		Description: "The system's keychain may ask for its password; the command waits up to a minute. If the vault has a\n" +
			"passphrase, or needs a first one (key-storage is keychain, but there is no keychain here), the command asks\n" +
			"for it, or reads it from standard input.",
	}, 0, 0, func(cc *cli.Context) error {
		return ask(e, func(c *control.Client) (control.Outcome, error) {
			return withPassphrase(e, func(p control.Secret) (control.Outcome, error) {
				return c.Unlock(cc.Context, control.UnlockRequest{Passphrase: p})
			})
		}, func(control.Outcome) error { return e.printLine("unlocked") })
	})
}

func lockGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "lock", Usage: "remove the keys of the vault, and those from references, from memory until unlock", Flags: []cli.Flag{jsonFlag()},
		Description: "Apps keep running. Requests to a provider whose key is in the vault or is a reference get 503 until\nhostless unlock.",
	}, 0, 0, func(cc *cli.Context) error {
		return ask(e, func(c *control.Client) (control.Outcome, error) { return c.Lock(cc.Context) },
			func(control.Outcome) error { return e.printLine("locked; hostless unlock opens it again") })
	})
}

func keysMigrateCommand(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "migrate", Usage: "move all keys into the vault, or back into keys.env",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "move the keys to `WHERE`: keychain (the default) or file", Value: "keychain"}, jsonFlag(),
		},
		Description: "Each key is written, read back and compared before the old copy is removed. Keys of an earlier version\n" +
			"(keys.vault) are moved too. Later keys are stored in the same place.",
	}, 0, 0, e.keysMigrate)
}

func (e *env) keysMigrate(cc *cli.Context) error {
	to := cc.String("to")
	if to != "keychain" && to != "file" {
		return usage("--to %q is not keychain or file", to)
	}
	return ask(e, func(c *control.Client) (control.Migrated, error) {
		return withPassphrase(e, func(p control.Secret) (control.Migrated, error) {
			return c.MigrateKeys(cc.Context, control.MigrateRequest{To: to, Passphrase: p})
		})
	}, func(m control.Migrated) error {
		problems := 0
		for _, k := range m.Keys {
			if k.Problem != "" {
				problems++
				e.note("%s: not moved from %s: %s", keyName(k.Provider, k.Label), k.From, k.Problem)
				continue
			}
			if err := e.printLine("%s: moved from %s to %s", keyName(k.Provider, k.Label), k.From, m.To); err != nil {
				return err
			}
		}
		if len(m.Keys) == 0 {
			e.note("There was nothing to move.")
		}
		if m.Note != "" {
			e.note("%s", m.Note)
		}
		if problems > 0 {
			return &fault.Error{Kind: fault.Conflict, Message: count(problems, "key") + " could not be moved", Next: "hostless keys list"}
		}
		return nil
	})
}

// withPassphrase sends the request, and if the daemon needs a passphrase asks the user
// for it and sends the request again.
func withPassphrase[T any](e *env, request func(control.Secret) (T, error)) (T, error) {
	answer, err := request(control.Secret{})
	fresh := fault.From(err) != nil && fault.From(err).Code == control.CodeNewPassphrase
	if err == nil || !fresh && fault.From(err).Code != control.CodePassphrase {
		return answer, err
	}
	if fresh {
		e.note("%s", fault.From(err).Message)
	}
	text, err := e.readPassphrase(fresh)
	if err != nil {
		return answer, err
	}
	return request(control.NewSecret(text))
}

// readPassphrase reads a passphrase. On a terminal it asks for a new one twice.
func (e *env) readPassphrase(fresh bool) (string, error) {
	text, err := e.readKey("Passphrase (not shown): ")
	if err != nil {
		return "", err
	}
	if text == "" {
		return "", &fault.Error{Kind: fault.Invalid, Message: "no passphrase was given", Next: "hostless unlock"}
	}
	if fresh && isTerminal(e.in) {
		again, err := e.readKey("Passphrase again: ")
		if err != nil {
			return "", err
		}
		if again != text {
			return "", &fault.Error{Kind: fault.Invalid, Message: "the two passphrases differ", Next: "hostless unlock"}
		}
	}
	return text, nil
}

func commandGroup(e *env) *cli.Command {
	show := func(l control.CommandList) error {
		if len(l.Commands) == 0 {
			e.note("No commands. Declare one: hostless command add NAME -- PROGRAM ARG…")
			return nil
		}
		var rows [][]string
		for _, c := range l.Commands {
			ttl := ""
			if c.CacheTTL > 0 {
				ttl = span(c.CacheTTL)
			}
			rows = append(rows, []string{c.Name, ttl, strings.Join(c.Argv, " ")})
		}
		return e.table([]string{"NAME", "CACHE", "COMMAND"}, rows)
	}
	return &cli.Command{
		Name: "command", Usage: "programs that print a key, for cmd://NAME references",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "add", Usage: "declare a program", ArgsUsage: "NAME -- ARGV…", UsageText: "hostless command add NAME -- PROGRAM [ARG…]",
				Flags: []cli.Flag{&cli.StringFlag{Name: "cache-ttl", Usage: "use its output for `S` seconds, or a duration such as 30m"}, jsonFlag()},
				Description: "No shell interprets the arguments. The program has five seconds, no terminal and an empty standard input, and\n" +
					"must print only the key:\n\n  hostless command add gcloud -- gcloud auth print-access-token\n  hostless keys add google --from cmd://gcloud",
			}, 2, 256, func(cc *cli.Context) error {
				argv := cc.Args().Slice()
				if argv[1] == "--" {
					argv = append(argv[:1:1], argv[2:]...)
				}
				if len(argv) < 2 {
					return usage("the program is missing: NAME -- PROGRAM ARG…")
				}
				c := control.Command{Name: argv[0], Argv: argv[1:]}
				if cc.IsSet("cache-ttl") {
					ttl, err := parseTTL(cc.String("cache-ttl"))
					if err != nil {
						return usage("--cache-ttl %q is not a number of seconds above 0", cc.String("cache-ttl"))
					}
					c.CacheTTL = int64(ttl.Seconds())
				}
				return ask(e, func(cl *control.Client) (control.CommandList, error) {
					l, err := cl.SetCommand(cc.Context, c)
					return l, badArgument(err)
				}, func(control.CommandList) error {
					return e.printLine("%s: declared. Use it: hostless keys add PROVIDER --from cmd://%s", c.Name, c.Name)
				})
			}),
			leaf(&cli.Command{Name: "list", Aliases: []string{"ls"}, Usage: "list the declared programs", Flags: []cli.Flag{jsonFlag()}}, 0, 0,
				func(cc *cli.Context) error {
					return ask(e, func(c *control.Client) (control.CommandList, error) { return c.Commands(cc.Context) }, show)
				}),
			leaf(&cli.Command{Name: "remove", Aliases: []string{"rm"}, Usage: "remove a program", ArgsUsage: "NAME", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
				func(cc *cli.Context) error {
					name := cc.Args().First()
					return ask(e, func(c *control.Client) (control.CommandList, error) { return c.RemoveCommand(cc.Context, name) },
						func(control.CommandList) error { return e.printLine("%s: removed", name) })
				}),
		},
	}
}
