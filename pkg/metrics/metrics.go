// Package metrics counts requests for Prometheus: their number, duration, tokens,
// cost and errors.
//
// The request log passes it each request, after the row was written, in the log's
// own goroutine. The package owns the metrics' names, their labels and the text
// format. Who may read them is decided by the server that exposes them.
package metrics

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
)

// ContentType is the media type of the text format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Config is what New needs.
type Config struct {
	Version  string
	Started  time.Time           // when the daemon started
	InFlight func() int          // number of AI requests being served; nil omits the metric
	Dropped  func() (rows int64) // rows that the request log could not write; nil omits the metric
	Unsent   func() int64        // requests that the OTLP collector did not get; nil omits the metric
}

// Metrics counts requests. It is safe for concurrent use.
type Metrics struct {
	cfg Config

	mu       sync.Mutex
	requests *family
	apps     *family
	errors   *family
	tokens   *family
	cost     *family
	unpriced *family
	upstream *family
	overhead *family
	first    *family
	all      []*family

	// Series that were found before: a request is counted in about ten.
	byAnswer   map[answer]*answered
	byProvider map[string]*timed
}

// answer identifies the series of a request.
type answer struct {
	app, provider, model string
	status               int
}

// answered holds the series of an answer. Those without a count are nil.
type answered struct {
	requests, cost, unpriced *series
	tokens                   [len(classes)]*series
}

// timed holds the series of a provider. first is nil until it has streamed.
type timed struct{ upstream, first *series }

// classes are the values of the label class.
var classes = [...]string{"input", "cached", "cache_write", "output", "reasoning"}

// Bounds of the histograms, in seconds.
var (
	overheadBounds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1}
	answerBounds   = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300}
)

// New returns metrics that have counted nothing.
func New(cfg Config) *Metrics {
	m := &Metrics{cfg: cfg, byAnswer: map[answer]*answered{}, byProvider: map[string]*timed{}}
	m.requests = m.counter("hostless_requests_total", "AI requests by requesting app, provider and model that answered, and status.", "app", "provider", "model", "status").opened(0, 2)
	m.apps = m.counter("hostless_app_requests_total", "Requests to apps by app and status.", "app", "status").opened(0)
	m.errors = m.counter("hostless_errors_total", "AI requests that failed, by the kind of error.", "kind")
	m.tokens = m.counter("hostless_tokens_total", "Tokens by class. input and output count all; cached and cache_write are parts of input, reasoning is a part of output.", "provider", "model", "class").opened(1)
	m.cost = m.counter("hostless_cost_dollars_total", "Cost of AI requests in US dollars.", "app", "provider", "model").opened(0, 2)
	m.cost.unit = int64(prices.Dollar)
	m.unpriced = m.counter("hostless_unpriced_requests_total", "AI requests of unknown cost.", "provider", "model").opened(1)
	m.upstream = m.histogram(answerBounds, "hostless_upstream_latency_seconds", "Time from sending a request to a provider until the first byte of its response, for each attempt.", "provider")
	m.overhead = m.histogram(overheadBounds, "hostless_overhead_seconds", "Time of an AI request that was not spent waiting for a provider.")
	m.first = m.histogram(answerBounds, "hostless_time_to_first_token_seconds", "Time from the arrival of a streamed AI request until the first byte of its response.", "provider")
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *family {
	f := &family{name: name, help: help, kind: "counter", labels: labels, series: map[string]*series{}}
	m.all = append(m.all, f)
	return f
}

func (m *Metrics) histogram(bounds []float64, name, help string, labels ...string) *family {
	f := m.counter(name, help, labels...)
	f.kind, f.bounds = "histogram", bounds
	return f
}

// opened names the labels, by index, that can have any value.
func (f *family) opened(labels ...int) *family {
	f.open = labels
	return f
}

// Request counts an AI request.
func (m *Metrics) Request(e reqlog.Event) {
	r := e.Row
	model := r.ResolvedModel
	if r.Status >= 400 || r.Status == 0 {
		model = "" // the requested model need not exist
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.answered(answer{r.App, r.Provider, model, r.Status})
	of.requests.count++
	if r.ErrorKind != "" {
		m.errors.add(1, string(r.ErrorKind))
	}
	for i, n := range [len(classes)]int64{r.Tokens.Input, r.Tokens.Cached, r.Tokens.CacheWrite, r.Tokens.Output, r.Tokens.Reasoning} {
		if n <= 0 {
			continue
		}
		if of.tokens[i] == nil {
			of.tokens[i] = m.tokens.get(r.Provider, model, classes[i])
		}
		of.tokens[i].count += n
	}
	switch {
	case !r.Priced:
		if of.unpriced == nil {
			of.unpriced = m.unpriced.get(r.Provider, model)
		}
		of.unpriced.count++
	case r.CostUSD != nil:
		if of.cost == nil {
			of.cost = m.cost.get(r.App, r.Provider, model)
		}
		of.cost.count += int64(*r.CostUSD)
	}
	var upstream time.Duration
	for i := range e.Attempts {
		a := &e.Attempts[i]
		upstream += a.Duration
		m.upstream.observe(m.timed(a.Provider).upstream, latency(a).Seconds())
	}
	m.overhead.observe(m.overhead.get(), max(0, e.End.Sub(e.Start)-upstream).Seconds())
	if r.Stream && !e.FirstByte.IsZero() {
		of := m.timed(r.Provider)
		if of.first == nil {
			of.first = m.first.get(r.Provider)
		}
		m.first.observe(of.first, e.FirstByte.Sub(e.Start).Seconds())
	}
}

// answered returns the series of an answer. m.mu must be held.
func (m *Metrics) answered(to answer) *answered {
	of := m.byAnswer[to]
	if of == nil {
		of = &answered{requests: m.requests.get(to.app, to.provider, to.model, strconv.Itoa(to.status))}
		if len(m.byAnswer) < maxSeries { // clients choose some of it
			m.byAnswer[to] = of
		}
	}
	return of
}

// timed returns the series of a provider. m.mu must be held.
func (m *Metrics) timed(provider string) *timed {
	of := m.byProvider[provider]
	if of == nil {
		of = &timed{upstream: m.upstream.get(provider)}
		m.byProvider[provider] = of
	}
	return of
}

// latency returns the time until the first byte of a provider's response, or until
// the attempt ended without one.
func latency(a *pipeline.Attempt) time.Duration {
	if a.FirstByte.IsZero() {
		return a.Duration
	}
	return max(0, a.FirstByte.Sub(a.Start))
}

// App counts a request to an app. It leaves the name out if no app has it.
func (m *Metrics) App(r *reqlog.AppRow) {
	app := r.App
	if !r.Known {
		app = ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.apps.add(1, app, strconv.Itoa(r.Status))
}

// WriteText writes all metrics in the Prometheus text format.
func (m *Metrics) WriteText(w io.Writer) error {
	out := &failing{w: w}
	gauge := func(name, help, kind, labels string, v any) {
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n%s%s %v\n", name, help, name, kind, name, labels, v)
	}
	gauge("hostless_build_info", "The version of the daemon.", "gauge", `{version="`+escapes.Replace(m.cfg.Version)+`"}`, 1)
	if !m.cfg.Started.IsZero() {
		gauge("hostless_start_time_seconds", "Start time of the daemon, in Unix seconds.", "gauge", "", number(float64(m.cfg.Started.UnixMilli())/1000))
	}
	if m.cfg.InFlight != nil {
		gauge("hostless_requests_in_flight", "AI requests in flight.", "gauge", "", m.cfg.InFlight())
	}
	if m.cfg.Dropped != nil {
		gauge("hostless_log_dropped_total", "Rows of the request log that could not be written.", "counter", "", m.cfg.Dropped())
	}
	if m.cfg.Unsent != nil {
		gauge("hostless_otlp_dropped_total", "AI requests whose spans the OTLP collector did not get.", "counter", "", m.cfg.Unsent())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.all {
		f.text(out)
	}
	return out.err
}

// failing is a writer that keeps its first error.
type failing struct {
	w   io.Writer
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.err == nil {
		_, f.err = f.w.Write(p)
	}
	return len(p), nil
}
