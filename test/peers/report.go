//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// results contains the medians by a load's title and a proxy's name.
type results map[string]map[string]sample

func (r results) add(l load, proxies []*proxy, samples map[string][]sample) {
	r[l.title] = map[string]sample{}
	for _, p := range proxies {
		pick := func(of func(sample) float64) float64 {
			var values []float64
			for _, s := range samples[p.name] {
				values = append(values, of(s))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		r[l.title][p.name] = sample{
			rate: pick(func(s sample) float64 { return s.rate }),
			p50:  pick(func(s sample) float64 { return s.p50 }),
			p99:  pick(func(s sample) float64 { return s.p99 }),
			cpu:  pick(func(s sample) float64 { return s.cpu }),
			ran:  pick(func(s sample) float64 { return s.ran }), wanted: pick(func(s sample) float64 { return s.wanted }),
			rss: pick(func(s sample) float64 { return s.rss }), peak: pick(func(s sample) float64 { return s.peak }),
		}
	}
}

// titleWidth is the width of the first column, the only left-aligned one.
const titleWidth = 22

// saturated is the smallest share of its time that a proxy must run, or want to run, to
// count as the bottleneck.
const saturated = 0.9

// table prints the results for one load.
func (r results) table(w io.Writer, l load, proxies []*proxy) {
	if len(proxies) == 0 {
		return
	}
	out := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	defer out.Flush()
	first := proxies[0].name
	if l.secure {
		fmt.Fprintln(out, "\nTLS 1.3, X25519, TLS_AES_128_GCM_SHA256, ECDSA P-256; full handshake, one GET, close:")
	} else {
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%-*s\t%s\tto %s\tp50 ms\tp99 ms\t%s\tto %s\tcore %%\tRSS MiB\tpeak\t\n", titleWidth, l.title, l.unit, first, l.cpu, first)
	base := r[l.title][first]
	for _, p := range proxies {
		s := r[l.title][p.name]
		p50, p99 := "-", "-"
		if s.p50 > 0 {
			p50, p99 = fmt.Sprintf("%.2f", s.p50), fmt.Sprintf("%.2f", s.p99)
		}
		fmt.Fprintf(out, "%-*s\t%.0f\t%.2f\t%s\t%s\t%.2f\t%.2f\t%.0f%s\t%.1f\t%.1f\t\n", titleWidth, p.name, s.rate, s.rate/base.rate,
			p50, p99, s.cpu, s.cpu/base.cpu, 100*s.ran, s.limit(), s.rss, s.peak)
	}
}

// limit marks a rate that was not limited by the proxy; see aims.
func (s sample) limit() string {
	switch {
	case s.wanted < saturated:
		return "*"
	case s.ran < saturated:
		return "~"
	}
	return " "
}

// aims prints Hostless's aims next to its results.
func (r results) aims(w io.Writer) {
	fmt.Fprint(w, `
core %: how much of the time the proxy was on its core.
  * it idled: the client or the backend was the limit, and the rate is theirs
  ~ it wanted the core, but other programs had it
CPU for a unit is the steadier figure: where a rate is marked, the verdict goes by
what a second of CPU does.

`)
	out := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintln(out, "hostless\tto\taim\trate\tby CPU\t")
	for _, a := range []struct {
		load, peer string
		least      float64
	}{
		{title32, "nginx", 0.7}, {title32, "bare", 1.7}, {title32, "caddy", 3}, {title32, "portless", 9},
		{titleNew, "nginx", 1}, {titleTLS, "caddy", 1}, {titleDown, "nginx", 1}, {titleUp, "nginx", 1},
	} {
		us, they, ok := r.pair(a.load, a.peer)
		if !ok {
			continue
		}
		rate, byCPU := us.rate/they.rate, they.cpu/us.cpu
		limit, judged := "", rate
		if marks := strings.TrimSpace(us.limit() + they.limit()); marks != "" {
			limit, judged = marks[:1], byCPU
		}
		fmt.Fprintf(out, "%s\t%s\t>= %.2f\t%.2f%s\t%.2f\t%s\n", a.load, a.peer, a.least, rate, limit, byCPU, verdict(judged >= a.least))
	}
	if us, they, ok := r.pair(title32, "nginx"); ok {
		fmt.Fprintf(out, "%s, CPU\tnginx\t<= 1.50\t\t%.2f\t%s\n", title32, us.cpu/they.cpu, verdict(us.cpu <= 1.5*they.cpu))
	}
}

func (r results) pair(load, peer string) (us, they sample, ok bool) {
	us, ok1 := r[load]["hostless"]
	they, ok2 := r[load][peer]
	return us, they, ok1 && ok2
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}
