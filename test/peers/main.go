//go:build linux

// Command peers runs Hostless beside other reverse proxies: the same backend, the proxy
// on one core, everything else on another, with interleaved rounds. It prints the results
// of each and its ratio to nginx in the same run; results of different runs are not
// comparable. It needs nginx and taskset. A complete comparison also needs haproxy, Go's
// module proxy (for Caddy) and npm (for portless). docs/benchmarks.md explains what is
// measured and how to read the results.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "serve" { // a part of the comparison, in its own process
		if err := serve(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each measurement")
	flag.DurationVar(&o.each, "each", 3*time.Second, "length of a measurement")
	flag.StringVar(&o.bin, "bin", "bin", "directory of hostless and hostlessd")
	flag.StringVar(&o.only, "only", "", "comma-separated proxies to run; default all")
	flag.StringVar(&o.load, "load", "", "title of the only load to measure; default all")
	flag.BoolVar(&o.long, "long", true, "also measure 1 GiB down and up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds int
	each   time.Duration
	bin    string
	only   string
	load   string
	long   bool
}

// load is a kind of work that is measured for every proxy.
type load struct {
	title   string
	unit    string // unit of the rate
	cpu     string // unit of the proxy's CPU time
	secure  bool   // over https
	measure func(context.Context, *proxy) (sample, error)
}

// Titles used by the aims.
const (
	title32   = "32 connections"
	titleNew  = "new connections"
	titleTLS  = "TLS handshakes"
	titleDown = "1 GiB down"
	titleUp   = "1 GiB up"
)

func (b *bench) loads() []load {
	var all []load
	for _, n := range []int{1, 32, 256} {
		title := strconv.Itoa(n) + " connections"
		if n == 1 {
			title = "1 connection"
		}
		all = append(all, load{title, "requests/s", "CPU µs", false, func(_ context.Context, p *proxy) (sample, error) {
			return b.drive(p, order{Addr: p.addr, Connections: n, Each: b.each})
		}})
	}
	all = append(all, load{"WebSocket, 32 sockets", "messages/s", "CPU µs", false, func(_ context.Context, p *proxy) (sample, error) {
		return b.drive(p, order{Addr: p.addr, Connections: 32, Each: b.each, Sockets: true})
	}})
	all = append(all, load{titleNew, "connections/s", "CPU µs", false, b.newConnections})
	if b.long {
		all = append(all, load{titleDown, "MiB/s", "CPU s", false, b.down}, load{titleUp, "MiB/s", "CPU s", false, b.up})
	}
	all = append(all, load{titleTLS, "handshakes/s", "CPU µs", true, b.handshakes})
	if b.load != "" {
		all = slices.DeleteFunc(all, func(l load) bool { return l.title != b.load })
	}
	return all
}

func run(ctx context.Context, o options) error {
	for _, program := range []string{"nginx", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is needed: %w", program, err)
		}
	}
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		return fmt.Errorf("a kernel that reports a thread's time is needed: %w", err)
	}
	dir, err := os.MkdirTemp("/tmp", "peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir, self: filepath.Join(dir, "peers")}
	defer b.stop(0)
	if err := b.startBackend(ctx); err != nil {
		return err
	}
	backend := len(b.running)

	loads := b.loads()
	if len(loads) == 0 {
		return fmt.Errorf("there is no load %q", b.load)
	}
	medians := results{}
	var proxies []*proxy
	for i, l := range loads {
		if i == 0 || l.secure {
			b.stop(backend)
			if proxies, err = b.startProxies(ctx, l.secure); err != nil {
				return err
			}
		}
		samples := map[string][]sample{}
		able := slices.Clone(proxies)
		for range b.rounds {
			// The rounds are interleaved, so that other activity on the machine affects all
			// proxies alike.
			able = slices.DeleteFunc(able, func(p *proxy) bool {
				if ctx.Err() != nil {
					return false
				}
				s, err := l.measure(ctx, p)
				if err != nil {
					fmt.Fprintf(os.Stderr, "peers: %s without %s: %v\n", l.title, p.name, err)
					return true
				}
				samples[p.name] = append(samples[p.name], s)
				return false
			})
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		medians.add(l, able, samples)
		medians.table(os.Stdout, l, able)
	}
	medians.aims(os.Stdout)
	return nil
}
