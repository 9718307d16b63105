// Package otlp sends traces and metrics of AI requests to a collector, over
// OTLP/HTTP with JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp),
// following the GenAI semantic conventions
// (https://github.com/open-telemetry/semantic-conventions-genai).
//
// The request log passes it each request, after the row was written. The package
// owns what is sent and when; it never makes a request wait. It sends no body and
// no header.
package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/reqlog"
)

// Limits of an exporter.
const (
	queueEvents   = 2048
	batchRequests = 256  // sent together
	keepRequests  = 2048 // kept for a collector that does not respond
	sendTimeout   = 10 * time.Second
	endTimeout    = 3 * time.Second // for the rest, at shutdown
)

// Intervals at which data is sent.
var (
	spansEvery   = 2 * time.Second
	metricsEvery = 15 * time.Second
)

// Config is what New needs.
type Config struct {
	Version  string
	Instance string        // service.instance.id, which distinguishes daemons
	Endpoint func() string // as in config.json, "" for none; called each time data is sent
	Headers  http.Header   // sent to the collector with each request, such as its credentials
	Logger   *slog.Logger  // default discards
	Now      func() time.Time
	Client   *http.Client // default a client that follows no redirects
}

// Exporter sends traces and metrics of requests. It is safe for concurrent use.
type Exporter struct {
	cfg     Config
	events  chan reqlog.Event
	dropped atomic.Int64
	warning atomic.Pointer[string]
	started time.Time

	// Used only by Run.
	pending         [][]span // of each request that was not sent yet, oldest first
	metrics         histograms
	changed         bool // metrics changed since they were last sent
	traces, metered signal
}

// New returns an exporter. Run sends the data.
func New(cfg Config) *Exporter {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Exporter{
		cfg: cfg, events: make(chan reqlog.Event, queueEvents), started: cfg.Now(), metrics: histograms{},
		traces: signal{path: "/v1/traces"}, metered: signal{path: "/v1/metrics"},
	}
}

// Request adds a request that has ended. It never blocks: if the collector is too
// slow, requests are dropped and counted.
func (e *Exporter) Request(ev reqlog.Event) {
	if e.cfg.Endpoint() == "" {
		return
	}
	select {
	case e.events <- ev:
	default:
		e.dropped.Add(1)
	}
}

// Dropped returns the number of requests whose spans were not sent.
func (e *Exporter) Dropped() int64 { return e.dropped.Load() }

// Warning returns a sentence for the user if the collector does not accept telemetry,
// otherwise "".
func (e *Exporter) Warning() string {
	if w := e.warning.Load(); w != nil && e.cfg.Endpoint() != "" {
		return *w
	}
	return ""
}

// Run sends data until ctx ends, and then the rest.
func (e *Exporter) Run(ctx context.Context) error {
	spans, metrics := time.NewTicker(spansEvery), time.NewTicker(metricsEvery)
	defer spans.Stop()
	defer metrics.Stop()
	for {
		select {
		case ev := <-e.events:
			if e.add(ev); len(e.pending) >= batchRequests {
				e.sendSpans(ctx)
			}
		case <-spans.C:
			e.sendSpans(ctx)
		case <-metrics.C:
			e.sendMetrics(ctx)
		case <-ctx.Done():
			e.finish()
			return nil
		}
	}
}

// finish sends the rest. The collector gets one last try, even if it asked to wait.
func (e *Exporter) finish() {
	for {
		select {
		case ev := <-e.events:
			e.add(ev)
			continue
		default:
		}
		break
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	e.traces.next, e.metered.next = time.Time{}, time.Time{}
	e.sendSpans(ctx)
	e.sendMetrics(ctx)
	e.dropped.Add(int64(len(e.pending)))
}

func (e *Exporter) add(ev reqlog.Event) {
	if spans := spansOf(ev); len(spans) > 0 {
		e.pending = append(e.pending, spans)
	}
	if over := len(e.pending) - keepRequests; over > 0 {
		clear(e.pending[:over])
		e.pending = e.pending[over:]
		e.dropped.Add(int64(over))
	}
	e.metrics.add(ev)
	e.changed = true
}

// sendSpans sends what is pending in batches, until one is not accepted.
func (e *Exporter) sendSpans(ctx context.Context) {
	for len(e.pending) > 0 && e.ready(&e.traces) {
		batch := e.pending[:min(len(e.pending), batchRequests)]
		spans := []span{}
		for _, request := range batch {
			spans = append(spans, request...)
		}
		sent := e.send(ctx, &e.traces, map[string]any{"resourceSpans": []any{map[string]any{
			"resource": e.resource(), "scopeSpans": []any{map[string]any{"scope": e.scope(), "spans": spans}},
		}}})
		if sent == retryLater {
			return
		}
		if sent == refused {
			e.dropped.Add(int64(len(batch)))
		}
		if e.pending = e.pending[len(batch):]; len(e.pending) == 0 {
			e.pending = nil
		}
	}
}

func (e *Exporter) sendMetrics(ctx context.Context) {
	if !e.changed || !e.ready(&e.metered) {
		return
	}
	e.changed = e.send(ctx, &e.metered, map[string]any{"resourceMetrics": []any{map[string]any{
		"resource": e.resource(), "scopeMetrics": []any{map[string]any{"scope": e.scope(), "metrics": e.metrics.json(e.started, e.cfg.Now())}},
	}}}) != accepted
}

func (e *Exporter) resource() any {
	return map[string]any{"attributes": attributes{}.text("service.name", "hostless").text("service.version", e.cfg.Version).text("service.instance.id", e.cfg.Instance)}
}

func (e *Exporter) scope() any {
	return map[string]any{"name": "github.com/hostless/hostless", "version": e.cfg.Version}
}

// warn sets what Warning returns.
func (e *Exporter) warn() {
	for _, s := range []*signal{&e.traces, &e.metered} {
		if s.problem != "" {
			text := fmt.Sprintf("the OTLP collector does not accept telemetry (%s): %s; %d requests were not sent", s.path, s.problem, e.Dropped())
			e.warning.Store(&text)
			return
		}
	}
	e.warning.Store(nil)
}

// ParseHeaders parses OTEL_EXPORTER_OTLP_HEADERS: name=value pairs separated by
// commas, with percent-encoded values
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
func ParseHeaders(text string) http.Header {
	h := http.Header{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if plain, err := url.PathUnescape(strings.TrimSpace(value)); ok && err == nil && strings.TrimSpace(name) != "" {
			h.Set(strings.TrimSpace(name), plain)
		}
	}
	return h
}
