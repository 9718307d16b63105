//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// A load generator and a backend as two programs on one core cost as much as nginx does
// as a proxy, so they would limit the result. The driver combines both in one loop: it
// sends small requests to a proxy and answers them behind it.

// order tells the driver what to do; outcome is its result.
type order struct {
	Addr        string
	Connections int
	Each        time.Duration
	Sockets     bool // WebSocket messages instead of requests
}

type outcome struct {
	Count    int
	Took     time.Duration
	P50, P99 time.Duration // latency of one request
	Failed   string
}

// made returns the outcome for answers with the given latencies.
func made(started time.Time, each []time.Duration) outcome {
	out := outcome{Count: len(each), Took: time.Since(started)}
	if len(each) == 0 {
		out.Failed = "nothing was answered"
		return out
	}
	slices.Sort(each)
	out.P50, out.P99 = each[len(each)/2], each[len(each)*99/100]
	return out
}

// driver is the process that runs the loop.
type driver struct {
	to   io.Writer
	from *json.Decoder
}

func (b *bench) startDriver() error {
	cmd := b.pinned(context.Background(), otherCore, []string{"GOMAXPROCS=1"}, b.self, "serve", "driver", b.backend)
	to, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	process, err := b.launch(cmd)
	if err != nil {
		return err
	}
	b.driver = &driver{to, json.NewDecoder(from)}
	return process.listens(b.backend)
}

// drive makes the driver put load on a proxy.
func (b *bench) drive(p *proxy, o order) (s sample, err error) {
	m := begin(p)
	if err := json.NewEncoder(b.driver.to).Encode(o); err != nil {
		return s, err
	}
	var out outcome
	if err := b.driver.from.Decode(&out); err != nil {
		return s, fmt.Errorf("driver: %w", err)
	}
	if out.Failed != "" {
		return s, fmt.Errorf("driver: %s", out.Failed)
	}
	return m.end(out, time.Microsecond), nil
}
