package main

import (
	encodingcsv "encoding/csv"
	"fmt"
	"strconv"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/spend"
	"github.com/urfave/cli/v2"
)

func spendGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "spend", Usage: "what AI requests cost: today, this week, this month, or since a time", ArgsUsage: "[today|week|month]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "since", Usage: "since `D`: a duration such as 1h or 7d, or a time (RFC 3339)"},
			&cli.StringFlag{Name: "by", Usage: "group by `KEY`: app, model, provider, token, client or day", Value: "model"},
			&cli.BoolFlag{Name: "csv", Usage: "print comma-separated values"},
			jsonFlag(),
		},
		Description: "Days are in this machine's time zone, weeks start on Monday. Requests to a model without a known price are\nlisted as unpriced and are not in the sum: `hostless prices` lists the known prices.",
	}, 0, 1, e.spend)
}

func (e *env) spend(cc *cli.Context) error {
	q := filled(cc, "since", "by")
	if period := cc.Args().First(); period != "" {
		q.Set("period", period)
	}
	if cc.Bool("csv") && e.line.json {
		return usage("give --csv or --json, not both")
	}
	return badArgument(ask(e, func(c *control.Client) (spend.Report, error) { return c.Spend(cc.Context, q) },
		func(r spend.Report) error {
			if cc.Bool("csv") {
				return e.spendCSV(cc.String("by"), r)
			}
			if r.Total.Requests == 0 {
				e.note("No requests since %s.", r.From.Local().Format("2006-01-02 15:04"))
				return nil
			}
			var rows [][]string
			for _, g := range append(r.Groups, spend.Group{Key: "total", Sum: r.Total}) {
				rows = append(rows, spendRow(g))
			}
			return e.table([]string{"KEY", "COST", "SAVED", "REQUESTS", "ERRORS", "UNPRICED", "IN", "CACHED", "OUT"}, rows, "UNPRICED", "SAVED", "CACHED")
		}))
}

func spendRow(g spend.Group) []string {
	hits := ""
	if g.Tokens.Input > 0 {
		hits = fmt.Sprintf("%d%%", g.Tokens.Cached*100/g.Tokens.Input)
	}
	return []string{
		g.Key, "$" + g.CostUSD.String(), "$" + g.SavedUSD.String(), number(g.Requests), number(g.Errors), number(g.Unpriced),
		number(g.Tokens.Input), hits, number(g.Tokens.Output),
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// spendCSV prints a line for each group, without the total.
func (e *env) spendCSV(by string, r spend.Report) error {
	w := encodingcsv.NewWriter(e.out)
	w.Write([]string{by, "requests", "errors", "unpriced_requests", "input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "cost_usd", "saved_usd"})
	for _, g := range r.Groups {
		t := g.Tokens
		w.Write([]string{
			spreadsheet(g.Key), number(g.Requests), number(g.Errors), number(g.Unpriced), number(t.Input), number(t.Cached), number(t.CacheWrite), number(t.CacheWrite1h),
			number(t.Output), number(t.Reasoning), g.CostUSD.String(), g.SavedUSD.String(),
		})
	}
	w.Flush()
	return w.Error()
}

// spreadsheet keeps a spreadsheet from taking a client's name for a formula.
func spreadsheet(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@') {
		return "'" + text
	}
	return text
}
