package main

import (
	"os"
	"time"

	"github.com/hostless/hostless/pkg/top"
	"github.com/urfave/cli/v2"
)

func topGroup(e *env) *cli.Command {
	return leaf(&cli.Command{
		Name: "top", Usage: "watch requests in flight, keys, apps and spend",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Usage: "refresh every `D` (default: 1s on a terminal, else 2s)"},
			&cli.IntFlag{Name: "n", Usage: "end after `N` refreshes"},
		},
		Description: "On a terminal, a shows the last requests to apps or to models, k all keys and aliases, and q quits.\nElsewhere it prints a line at each refresh.",
	}, 0, 0, e.top)
}

func (e *env) top(cc *cli.Context) error {
	every := cc.Duration("interval")
	if n := cc.Int("n"); every < 0 || cc.IsSet("interval") && every < 100*time.Millisecond || n < 0 {
		return usage("--interval must be at least 100ms, and -n must not be negative")
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	c := top.Config{From: client, Out: e.out, Colour: e.colour(e.out), Every: every, Times: cc.Int("n")}
	if isTerminal(e.out) && e.getenv("TERM") != "dumb" {
		c.Screen = e.out.(*os.File)
		if isTerminal(e.in) {
			c.Keys = e.in.(*os.File)
		}
	}
	return top.Run(cc.Context, c)
}
