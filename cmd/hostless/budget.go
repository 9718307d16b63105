package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

func budgetGroup(e *env) *cli.Command {
	return &cli.Command{
		Name: "budget", Usage: "limits on what AI requests cost, use or number in a day, a week or a month",
		Subcommands: []*cli.Command{
			leaf(&cli.Command{
				Name: "set", Usage: "set a budget, or change the limit of one", ArgsUsage: "AMOUNT/PERIOD",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "app", Usage: "only for requests of the app `NAME`"},
					&cli.StringFlag{Name: "provider", Usage: "only for requests to `PROVIDER`"},
					&cli.StringFlag{Name: "token", Usage: "only for requests with the bridge token of this prefix or `NAME`"},
					&cli.BoolFlag{Name: "all", Usage: "for all requests (the default)"},
					jsonFlag(),
				},
				Description: "  hostless budget set 5usd/day\n  hostless budget set 200000tokens/week --app shop\n  hostless budget set 100requests/month --provider openai\n\n" +
					"A request must be within all budgets that apply to it. A budget counts from the start of its period,\n" +
					"including what was used before it was set; days are in this machine's time zone, weeks start on\n" +
					"Monday. Once it is used up, requests are refused with the code budget_exceeded.",
			}, 1, 1, e.budgetSet),
			leaf(&cli.Command{Name: "list", Aliases: []string{"ls"}, Usage: "list the budgets and how much of each is used", Flags: []cli.Flag{jsonFlag()}}, 0, 0, e.budgetList),
			leaf(&cli.Command{
				Name: "raise", Usage: "change the limit of a budget", ArgsUsage: "ID AMOUNT", Flags: []cli.Flag{jsonFlag()},
				Description: "  hostless budget raise b1 10usd\n\nAMOUNT replaces the limit, in the budget's own unit.",
			}, 2, 2, e.budgetRaise),
			leaf(&cli.Command{Name: "remove", Aliases: []string{"rm"}, Usage: "remove a budget", ArgsUsage: "ID", Flags: []cli.Flag{jsonFlag()}}, 1, 1,
				func(cc *cli.Context) error {
					id := cc.Args().First()
					return ask(e, func(c *control.Client) (control.BudgetRemoved, error) { return c.RemoveBudget(cc.Context, id) },
						func(control.BudgetRemoved) error { return e.printLine("budget %s removed", id) })
				}),
		},
	}
}

// limitSyntax is an amount, its unit and its period: 5usd/day, 5.00/day, $5/week,
// 100requests/month.
var limitSyntax = regexp.MustCompile(`^(\$?)([0-9][0-9.]*) ?(usd|tokens?|requests?)?(?:/(day|week|month))?$`)

// parseLimit parses an amount as the user types it; unit and period are "" where they
// are not given.
func parseLimit(text string) (number, unit, period string, err error) {
	m := limitSyntax.FindStringSubmatch(strings.ToLower(strings.TrimSpace(text)))
	if m == nil || m[1] != "" && m[3] != "" && m[3] != budget.USD {
		return "", "", "", usage("%.60q is not an amount such as 5usd/day, 200000tokens/week or 100requests/month", text)
	}
	switch unit = m[3]; {
	case m[1] != "":
		unit = budget.USD
	case unit == "token" || unit == "request":
		unit += "s"
	}
	return m[2], unit, m[4], nil
}

func (e *env) budgetSet(cc *cli.Context) error {
	number, unit, period, err := parseLimit(cc.Args().First())
	if err != nil {
		return err
	}
	if period == "" {
		return usage("%q has no period: give %s/day, /week or /month", cc.Args().First(), cc.Args().First())
	}
	if unit == "" {
		unit = budget.USD
	}
	scope := budget.Scope{App: cc.String("app"), Provider: cc.String("provider"), Token: cc.String("token"), All: cc.Bool("all")}
	if scope == (budget.Scope{}) {
		for _, name := range []string{"app", "provider", "token"} {
			if cc.IsSet(name) {
				return usage("--%s is empty", name)
			}
		}
		scope.All = true
	}
	req := budget.Request{Scope: scope, Unit: unit, Limit: budget.Number(number), Period: period}
	return badArgument(ask(e, func(c *control.Client) (budget.Budget, error) { return c.PutBudget(cc.Context, req) }, e.showBudget))
}

// showBudget prints a budget's limit and how much of it is used.
func (e *env) showBudget(b budget.Budget) error {
	return e.printLine("budget %s: %s a %s for %s, %s used", b.ID, budgetAmount(b.Limit, b.Unit), b.Period, b.Scope, budgetAmount(b.Used, b.Unit))
}

func budgetAmount(a budget.Amount, unit string) string {
	if a.USD {
		return a.String()
	}
	return a.String() + " " + unit
}

func (e *env) budgetList(cc *cli.Context) error {
	return ask(e, func(c *control.Client) (control.BudgetList, error) { return c.Budgets(cc.Context) },
		func(l control.BudgetList) error {
			if len(l.Budgets) == 0 {
				e.note("No budgets. Set one: hostless budget set 5usd/day")
				return nil
			}
			var rows [][]string
			for _, b := range l.Budgets {
				rows = append(rows, []string{
					b.ID, b.Scope.String(), budgetAmount(b.Limit, b.Unit) + "/" + b.Period, b.Used.String(), fmt.Sprintf("%d%%", b.Percent()), b.Reserved.String(),
					b.ResetsAt.Local().Format("2006-01-02 15:04"),
				})
			}
			return e.table([]string{"ID", "FOR", "LIMIT", "USED", "", "RESERVED", "RESETS"}, rows, "RESERVED")
		})
}

func (e *env) budgetRaise(cc *cli.Context) error {
	id, text := cc.Args().Get(0), cc.Args().Get(1)
	number, unit, period, err := parseLimit(text)
	if err != nil {
		return err
	}
	return badArgument(ask(e, func(c *control.Client) (b budget.Budget, err error) {
		l, err := c.Budgets(cc.Context)
		if err != nil {
			return b, err
		}
		i := slices.IndexFunc(l.Budgets, func(b budget.Budget) bool { return b.ID == id })
		if i < 0 {
			return b, &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("there is no budget %.40q", id), Next: "hostless budget list"}
		}
		old := l.Budgets[i]
		if unit != "" && unit != old.Unit || period != "" && period != old.Period {
			return b, usage("budget %s counts %s a %s, and %q is not in that unit", id, old.Unit, old.Period, text)
		}
		return c.PutBudget(cc.Context, budget.Request{Scope: old.Scope, Unit: old.Unit, Limit: budget.Number(number), Period: old.Period})
	}, e.showBudget))
}

func killCommand(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "kill", Usage: "stop all AI traffic at once, until hostless unkill", Flags: []cli.Flag{jsonFlag()},
		Description: "Requests, streams, WebSockets and realtime sessions in flight end, and new ones are refused with the\ncode killed, also after a restart. Apps on NAME.localhost are not affected.",
	}, 0, 0, func(cc *cli.Context) error {
		return ask(e, func(c *control.Client) (control.Killed, error) { return c.Kill(cc.Context) },
			func(control.Killed) error {
				return e.printLine("All AI traffic is stopped. Allow it again: hostless unkill")
			})
	})
}

func unkillCommand(e *env) *cli.Command {
	return leaf(&cli.Command{Name: "unkill", Usage: "allow AI traffic again after hostless kill", Flags: []cli.Flag{jsonFlag()}}, 0, 0, func(cc *cli.Context) error {
		return ask(e, func(c *control.Client) (control.Killed, error) { return c.Unkill(cc.Context) },
			func(control.Killed) error { return e.printLine("AI traffic is allowed again.") })
	})
}

// budgetIDs returns the ids of the budgets, for completion.
func (e *env) budgetIDs(ctx context.Context) []string {
	return asked(e, ctx, func(ctx context.Context, c *control.Client) (ids []string) {
		l, _ := c.Budgets(ctx)
		for _, b := range l.Budgets {
			ids = append(ids, b.ID)
		}
		return ids
	})
}
