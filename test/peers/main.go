// Command peers runs Hostless beside other reverse proxies: the same backend, the
// proxy on one core, everything else on the other, rounds taken in turns. It
// prints what each did and how that stands to nginx in the same run; figures of
// different runs do not compare. It needs wrk, nginx and taskset; haproxy and Go's
// module proxy (for Caddy) make it complete.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "serve" { // a part of the comparison, in a process of its own
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
	flag.StringVar(&o.only, "only", "", "proxies to run, by commas; all without")
	flag.BoolVar(&o.long, "long", true, "measure a 1 GiB download too")
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
	long   bool
}

// sample is one measurement of one proxy.
type sample struct {
	rps, p50, p99 float64 // requests a second; milliseconds
	cpu           float64 // microseconds of the proxy's a request
}

func run(ctx context.Context, o options) error {
	for _, program := range []string{"wrk", "nginx", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is needed: %w", program, err)
		}
	}
	dir, err := os.MkdirTemp("/tmp", "peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir}
	defer b.stop()
	if err := b.startBackend(ctx); err != nil {
		return err
	}
	proxies := b.startProxies(ctx)
	if len(proxies) == 0 {
		return fmt.Errorf("no proxy could be started")
	}
	out := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	defer out.Flush()
	for _, connections := range []int{1, 32, 256} {
		samples := map[string][]sample{}
		for range o.rounds {
			for _, p := range proxies {
				s, err := b.measure(ctx, p, connections)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				samples[p.name] = append(samples[p.name], s)
			}
		}
		table(out, fmt.Sprintf("%d connections", connections), proxies, samples)
	}
	fmt.Fprintln(out, "\nWebSocket, 32 sockets\tmessages/s\tto nginx\tCPU µs\tRSS MiB\t")
	first := 0.0
	for _, p := range proxies {
		rate, cpu, err := b.sockets(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if first == 0 {
			first = rate
		}
		fmt.Fprintf(out, "%s\t%.0f\t%.2f\t%.1f\t%.1f\t\n", p.name, rate, rate/first, cpu, float64(p.rss())/(1<<20))
	}
	if o.long {
		fmt.Fprintln(out, "\n1 GiB down\tMiB/s\tto nginx\tCPU s\t")
		first = 0
		for _, p := range proxies {
			rate, cpu, err := b.download(ctx, p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if first == 0 {
				first = rate
			}
			fmt.Fprintf(out, "%s\t%.0f\t%.2f\t%.2f\t\n", p.name, rate, rate/first, cpu)
		}
	}
	return nil
}

// table prints the medians of a measurement.
func table(out *tabwriter.Writer, title string, proxies []*proxy, samples map[string][]sample) {
	fmt.Fprintf(out, "\n%s\trps\tto %s\tp50 ms\tp99 ms\tCPU µs\tto %s\t\n", title, proxies[0].name, proxies[0].name)
	var base sample
	for i, p := range proxies {
		pick := func(of func(sample) float64) float64 {
			var values []float64
			for _, s := range samples[p.name] {
				values = append(values, of(s))
			}
			sort.Float64s(values)
			return values[len(values)/2]
		}
		m := sample{
			pick(func(s sample) float64 { return s.rps }), pick(func(s sample) float64 { return s.p50 }),
			pick(func(s sample) float64 { return s.p99 }), pick(func(s sample) float64 { return s.cpu }),
		}
		if i == 0 {
			base = m
		}
		fmt.Fprintf(out, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.1f\t%.2f\t\n", p.name, m.rps, m.rps/base.rps, m.p50, m.p99, m.cpu, m.cpu/base.cpu)
	}
	out.Flush()
}

// build makes a Go program of the tree.
func build(ctx context.Context, pkg, to string) error {
	return goTool(ctx, nil, "build", "-o", to, pkg)
}

// install makes a Go program of another module.
func install(ctx context.Context, dir, program string) error {
	return goTool(ctx, []string{"GOBIN=" + dir}, "install", program)
}

func goTool(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}
