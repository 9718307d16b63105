package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/urfave/cli/v2"
)

// logApps prints requests to apps.
func (e *env) logApps(cc *cli.Context, q url.Values) error {
	q.Set("plane", reqlog.PlaneApps)
	if cc.Bool("follow") {
		return badArgument(followRows(cc.Context, e, q, (*control.Client).FollowAppLog, endOfAppRequest, e.showAppRequest))
	}
	return badArgument(ask(e, func(c *control.Client) (control.AppRequestList, error) { return c.AppLog(cc.Context, q) },
		func(l control.AppRequestList) error {
			if l.Dropped > 0 {
				e.note("%s could not be logged since the daemon started.", count(int(l.Dropped), "request"))
			}
			if len(l.Requests) == 0 {
				e.note("No requests.")
				return nil
			}
			var rows [][]string
			for _, r := range l.Requests {
				rows = append(rows, appRequestRow(r))
			}
			return e.table([]string{"TIME", "APP", "METHOD", "STATUS", "TOOK", "PATH"}, rows)
		}))
}

func appRequestRow(r *reqlog.AppRow) []string {
	status := ""
	if r.Status != 0 {
		status = strconv.Itoa(r.Status)
	}
	return []string{r.Time.Local().Format("2006-01-02 15:04:05"), r.App, r.Method, status, duration(r.DurationMS), r.Path}
}

// showAppRequest prints one row on one line.
func (e *env) showAppRequest(r reqlog.AppRow) error {
	if e.line.json {
		return e.jsonLine(r)
	}
	row := appRequestRow(&r)
	for i := range row {
		row[i] = cell(row[i])
	}
	return e.printLine("%s  %s  %s %s  %s in %s", row[0], row[1], row[2], row[5], row[3], row[4])
}

// jsonLine prints a value as one line of JSON.
func (e *env) jsonLine(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s\n", line)
	return err
}

func endOfRequest(r reqlog.Row) (string, time.Time) {
	return r.ID, r.Time.Add(time.Duration(r.DurationMS) * time.Millisecond)
}

func endOfAppRequest(r reqlog.AppRow) (string, time.Time) {
	return r.ID, r.Time.Add(time.Duration(r.DurationMS) * time.Millisecond)
}

const (
	daemonRetry = 250 * time.Millisecond // between attempts to reach a restarted daemon
	longRequest = time.Hour              // how long before its end a logged request may have arrived
)

// followRows shows rows as they arrive. When the daemon ends it waits for the next one and
// goes on with the rows that were added in between, each row once. end returns a row's id
// and when its request ended.
func followRows[T any](ctx context.Context, e *env, q url.Values, follow func(*control.Client, context.Context, url.Values, func(T) error) error,
	end func(T) (string, time.Time), show func(T) error) error {
	began, first, shown := time.Now(), true, map[string]bool{}
	var failed error // of show
	for {
		client, err := e.client()
		if err == nil {
			err = follow(client, ctx, q, func(row T) error {
				id, at := end(row)
				if shown[id] || !first && at.Before(began) {
					return nil
				}
				if len(shown) > reqlog.MaxRows {
					clear(shown)
				}
				shown[id] = true
				failed = show(row)
				return failed
			})
			client.CloseIdle()
		}
		switch {
		case failed != nil:
			return failed
		case ctx.Err() != nil:
			return ctx.Err()
		case first && notRunning(err), err != nil && !fault.Is(err, fault.Unreachable):
			return err
		case first:
			e.note("The daemon has ended; waiting for the next one.")
			q.Set("n", strconv.Itoa(reqlog.MaxRows))
			q.Set("since", began.Add(-longRequest).UTC().Format(time.RFC3339))
		}
		first = false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(daemonRetry):
		}
	}
}
