package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/metrics"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
)

func event(app, model string, elapsed time.Duration) reqlog.Event {
	start := time.Unix(0, 0)
	cost := prices.Nano(1_500_000_001)
	return reqlog.Event{
		Start: start, FirstByte: start.Add(elapsed / 2), End: start.Add(elapsed),
		Row:      &reqlog.Row{App: app, Provider: "openai", ResolvedModel: model, Status: 200, Stream: true, Priced: true, CostUSD: &cost, Tokens: usage.Tokens{Input: 10, Cached: 4, Output: 3}},
		Attempts: []pipeline.Attempt{{Provider: "openai", Start: start, FirstByte: start.Add(elapsed / 4), Duration: elapsed - time.Millisecond}},
	}
}

func text(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	var b strings.Builder
	if err := m.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestText checks the text format: escapes, cumulative buckets, exact amounts of
// money.
func TestText(t *testing.T) {
	m := metrics.New(metrics.Config{Version: `1"\`})
	m.Request(event("sh\"op\\\n", "gpt", 2*time.Second))
	m.Request(event("sh\"op\\\n", "gpt", 4*time.Second))
	got := text(t, m)
	for _, want := range []string{
		`hostless_build_info{version="1\"\\"} 1` + "\n",
		`hostless_requests_total{app="sh\"op\\\n",provider="openai",model="gpt",status="200"} 2` + "\n",
		`hostless_cost_dollars_total{app="sh\"op\\\n",provider="openai",model="gpt"} 3.000000002` + "\n",
		`hostless_tokens_total{provider="openai",model="gpt",class="cached"} 8` + "\n",
		// Half a second and one second: a value equal to a bound is in that bucket.
		`hostless_upstream_latency_seconds_bucket{provider="openai",le="0.25"} 0` + "\n",
		`hostless_upstream_latency_seconds_bucket{provider="openai",le="0.5"} 1` + "\n",
		`hostless_upstream_latency_seconds_bucket{provider="openai",le="1"} 2` + "\n",
		`hostless_upstream_latency_seconds_bucket{provider="openai",le="+Inf"} 2` + "\n",
		`hostless_upstream_latency_seconds_sum{provider="openai"} 1.5` + "\n",
		`hostless_overhead_seconds_bucket{le="0.001"} 2` + "\n",
		`hostless_time_to_first_token_seconds_sum{provider="openai"} 3` + "\n",
		"# TYPE hostless_errors_total counter\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

// TestCardinality: names from outside make no more series than maxSeries, and
// further requests are still counted.
func TestCardinality(t *testing.T) {
	m := metrics.New(metrics.Config{})
	for i := range 5000 {
		m.Request(event(fmt.Sprint("app", i), fmt.Sprint("model", i), time.Second))
	}
	got := text(t, m)
	if n := strings.Count(got, "hostless_requests_total{"); n > 1010 {
		t.Errorf("%d series", n)
	}
	if want := `hostless_requests_total{app="other",provider="openai",model="other",status="200"} 4000` + "\n"; !strings.Contains(got, want) {
		t.Errorf("%s is missing", want)
	}
	failed := event("shop", "invented", time.Second)
	failed.Row.Status, failed.Row.ErrorKind = 404, pipeline.ProviderRejected
	m = metrics.New(metrics.Config{})
	m.Request(failed)
	if got := text(t, m); strings.Contains(got, "invented") || !strings.Contains(got, `hostless_errors_total{kind="provider_rejected"} 1`) {
		t.Errorf("a failed request:\n%s", got)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := metrics.New(metrics.Config{})
	e := event("shop", "gpt", time.Second)
	b.ReportAllocs()
	for b.Loop() {
		m.Request(e)
	}
}
