package main

import (
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

// approvalsGroup lists the token requests of web apps. `approve` and `deny` are
// also top-level commands, since messages tell the user to type them.
func approvalsGroup(e *env) *cli.Command {
	approve, deny := approveCommand(e), denyCommand(e)
	return leaf(&cli.Command{
		Name: "approvals", Usage: "requests of web apps for a bridge token", UsageText: "hostless approvals [list]\nhostless approvals approve ID\nhostless approvals deny ID", Flags: []cli.Flag{jsonFlag()},
		Description: "An app's request stays in the list for five minutes. `hostless approve` and `hostless deny` answer it.",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{Name: "list", Usage: "list the requests that wait for your decision", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.approvalsList),
			approve, deny,
		},
	}, 0, 0, e.approvalsList)
}

func approveCommand(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "approve", Usage: "grant a web app what it asks for, or less", ArgsUsage: "ID",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "providers", Usage: "allow only the providers in `CSV`, of those asked for"},
			&cli.StringFlag{Name: "models", Usage: "allow only the models in `CSV`, of those asked for; a final * matches any ending"},
			&cli.IntFlag{Name: "rate-limit", Usage: "at most `N` requests an hour, no more than asked for"},
			&cli.StringFlag{Name: "ttl", Usage: "the token is valid for `S` seconds, or a duration such as 12h (default: one hour)"},
			&cli.StringFlag{Name: "remember", Usage: "allow the same origin without asking for `D`, such as 30d or 720h, or forever"},
			jsonFlag(),
		},
		Description: "  hostless approve k3f9x2ab --models 'gpt-4o*' --rate-limit 100 --remember 30d\n\n" +
			"`hostless origins list` lists what is remembered, `hostless origins remove` ends it.",
	}, 1, 1, e.approve)
}

func denyCommand(e *env) *cli.Command {
	return leaf(&cli.Command{Name: "deny", Usage: "refuse a web app what it asks for", ArgsUsage: "ID", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
		func(cc *cli.Context) error {
			return ask(e, func(c *control.Client) (control.Decided, error) {
				return c.Decide(cc.Context, cc.Args().First(), control.Decision{Decision: control.DecisionDeny})
			}, func(d control.Decided) error { return e.printLine("%s is denied", d.Origin) })
		})
}

func (e *env) approvalsList(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.ApprovalList, error) { return c.Approvals(cc.Context) },
		func(l control.ApprovalList) error {
			if len(l.Approvals) == 0 {
				e.note("No requests are waiting.")
				return nil
			}
			var rows [][]string
			for _, a := range l.Approvals {
				process := a.Process
				if a.Run != "" {
					process = strings.TrimSpace(process + " below run " + a.Run)
				}
				rows = append(rows, []string{a.ID, a.Origin, list(a.AllowedProviders), list(a.AllowedModels), perHour(a.RateLimit), process, a.Callback,
					span(int64(time.Until(a.ExpiresAt).Seconds()))})
			}
			return e.table([]string{"ID", "ORIGIN", "PROVIDERS", "MODELS", "LIMIT", "ASKED THROUGH", "RETURNS TO", "EXPIRES"}, rows)
		})
}

func (e *env) approve(cc *cli.Context) error {
	s, ttl, err := scope(cc)
	if err != nil {
		return err
	}
	d := control.Decision{Decision: control.DecisionApprove, Scope: s, TTL: int64(ttl / time.Second)}
	if cc.IsSet("remember") {
		if d.Remember, err = parseRemember(cc.String("remember")); err != nil {
			return err
		}
	}
	return ask(e, func(c *control.Client) (control.Decided, error) {
		out, err := c.Decide(cc.Context, cc.Args().First(), d)
		return out, badArgument(err)
	}, func(d control.Decided) error {
		if err := e.printLine("%s is allowed: providers %s, models %s, rate limit %s, for %s",
			d.Origin, list(d.AllowedProviders), list(d.AllowedModels), perHour(d.RateLimit), span(d.TTL)); err != nil {
			return err
		}
		switch {
		case d.Remembered && d.ExpiresAt == nil:
			e.note("It is allowed without asking until you run: hostless origins remove %s", d.Origin)
		case d.Remembered:
			e.note("It is allowed without asking for %s, or until you run: hostless origins remove %s", span(int64(time.Until(*d.ExpiresAt).Round(time.Second).Seconds())), d.Origin)
		}
		return nil
	})
}

// parseRemember reads a duration, which may count days, or "forever", for the wire.
func parseRemember(text string) (string, error) {
	if text == control.RememberForever {
		return text, nil
	}
	d, err := config.ParseDays(text)
	if err != nil || d < time.Second {
		return "", usage("--remember %q is neither a duration such as 30d or 12h nor forever", text)
	}
	return d.String(), nil
}
