package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/urfave/cli/v2"
)

// statusTimeout is the timeout of requests for status and routes. A daemon that has just
// started on a busy machine can be slow to answer.
const statusTimeout = 10 * time.Second

func statusGroup(e *env) *cli.Command {
	return leaf(&cli.Command{Name: "status", Usage: "show the state of the daemon", Flags: []cli.Flag{jsonFlag()}}, 0, 0,
		func(cc *cli.Context) error {
			ctx, cancel := context.WithTimeout(cc.Context, statusTimeout)
			defer cancel()
			return ask(e, func(c *control.Client) (control.Status, error) { return c.Status(ctx) }, e.showStatus)
		})
}

func (e *env) showStatus(s control.Status) error {
	var providers string
	for i, p := range s.Providers {
		if i > 0 {
			providers += ", "
		}
		providers += p.Provider
		if p.Locked {
			providers += " (locked)"
		}
	}
	idle := ""
	if s.IdleTimeout > 0 {
		idle = "ends after " + span(s.IdleTimeout) + " without work"
	}
	rows := [][2]string{
		{"Gateway", urlOf(s)},
		{"Daemon", fmt.Sprintf("hostlessd %s, pid %d, up %s, %s", s.Version, s.PID, span(max(1, int64(time.Since(s.StartedAt).Seconds()))), startedBy(s.Activation))},
		{"Idle", idle},
		{"Home", s.Home},
		{"Apps", count(s.Routes, "route")},
		{"Tokens", tokensOf(s)},
		{"In flight", strconv.Itoa(s.InFlight)},
		{"Providers", providers},
	}
	if s.Killed {
		rows = append(rows, [2]string{"AI traffic", "stopped; allow it again: hostless unkill"})
	}
	if s.DevMode {
		rows = append(rows, [2]string{"Dev mode", "on: your own local programs need no token"})
	}
	for _, w := range s.Warnings {
		rows = append(rows, [2]string{"Warning", w})
	}
	return e.pairs(rows)
}

// tokensOf describes how many tokens there are, and whether they survive a restart.
func tokensOf(s control.Status) string {
	switch {
	case s.Tokens == 0 || s.Persistence == "":
		return strconv.Itoa(s.Tokens)
	case s.Persistence == config.PersistOff:
		return strconv.Itoa(s.Tokens) + ", lost when the daemon ends"
	}
	return strconv.Itoa(s.Tokens) + ", kept across restarts"
}

func startedBy(activation string) string {
	switch activation {
	case "systemd", "launchd":
		return "supervised by " + activation
	default:
		return "started by hand"
	}
}

// urlOf returns the gateway's URL.
func urlOf(s control.Status) string {
	if s.URL != "" {
		return s.URL
	}
	scheme := "http"
	if s.TLS {
		scheme = "https"
	}
	return scheme + "://localhost:" + strconv.Itoa(s.Port)
}

// statusLine describes the daemon's state in one line, also that of one that does not
// answer.
func (e *env) statusLine(ctx context.Context) string {
	client, err := e.client()
	if err != nil {
		return "hostless: " + err.Error()
	}
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	s, err := client.Status(ctx)
	if err != nil {
		f := fault.From(err)
		if f.Kind == fault.Unreachable {
			f = e.explain(ctx, f)
		}
		return "hostlessd: " + f.Error()
	}
	return fmt.Sprintf("hostlessd %s at %s: %s, %s", s.Version, urlOf(s), count(s.Routes, "app"), count(s.Tokens, "token"))
}
