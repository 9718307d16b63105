package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/hostless/hostless/pkg/audit"
	"github.com/hostless/hostless/pkg/control"
	"github.com/urfave/cli/v2"
)

func auditGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "audit", Usage: "the administration log: each change over the control socket, and each refused request",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "print each new entry as it is added"},
			&cli.IntFlag{Name: "n", Usage: "start with the last `N` entries", Value: 50},
			jsonFlag(),
		},
		Description: "No entry holds a key or a whole token. With -f and --json there is one entry a line.",
	}, 0, 0, e.auditLog)
}

func (e *env) auditLog(cc *cli.Context) error {
	n := cc.Int("n")
	if n < 0 || n > 10_000 {
		return usage("-n %d is not a number of entries from 0 to 10000", n)
	}
	if cc.Bool("follow") {
		client, err := e.client()
		if err != nil {
			return err
		}
		defer client.CloseIdle()
		return client.FollowAudit(cc.Context, n, e.showEntry)
	}
	return ask(e, func(c *control.Client) (control.AuditList, error) { return c.Audit(cc.Context, n) },
		func(l control.AuditList) error {
			if len(l.Entries) == 0 {
				e.note("No entries yet.")
				return nil
			}
			var rows [][]string
			for _, entry := range l.Entries {
				rows = append(rows, auditRow(entry))
			}
			return e.table([]string{"TIME", "RUN", "RESULT", "TARGET", "BY", "ACTION"}, rows, "TARGET", "BY")
		})
}

func auditRow(a audit.Entry) []string {
	by := "pid " + strconv.Itoa(a.PID)
	if a.Program != "" {
		by = filepath.Base(a.Program) + " (" + by + ")"
	}
	return []string{a.Time.Local().Format("2006-01-02 15:04:05"), a.Run, a.Result, a.Target, by, a.Action}
}

// showEntry prints one entry on one line.
func (e *env) showEntry(a audit.Entry) error {
	if e.line.json {
		line, err := json.Marshal(a)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.out, "%s\n", line)
		return err
	}
	row := auditRow(a)
	for i := range row {
		row[i] = cell(row[i])
	}
	return e.printLine("%s  run %s  %s  %s  by %s  %s", row[0], row[1], row[2], row[3], row[4], row[5])
}
