// Package otlp sends traces and metrics of AI requests to a collector, over
// OTLP/HTTP with JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp),
// following the GenAI semantic conventions
// (https://opentelemetry.io/docs/specs/semconv/gen-ai/).
//
// The request log passes it each request, after the row was written. The package
// owns what is sent and when; it never makes a request wait. It sends no body and
// no header.
package otlp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
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
	queueEvents = 2048
	batchEvents = 256
	keepSpans   = 4096 // kept for a collector that does not respond
	sendTimeout = 10 * time.Second
	endTimeout  = 3 * time.Second // for the rest, at shutdown
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
	started time.Time

	// Used only by Run.
	spans   []span
	metrics histograms
	changed bool // metrics changed since they were last sent
	failing bool
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
	return &Exporter{cfg: cfg, events: make(chan reqlog.Event, queueEvents), started: cfg.Now(), metrics: histograms{}}
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

// Dropped returns the number of requests that were not sent.
func (e *Exporter) Dropped() int64 { return e.dropped.Load() }

// Run sends data until ctx ends, and then the rest.
func (e *Exporter) Run(ctx context.Context) error {
	spans, metrics := time.NewTicker(spansEvery), time.NewTicker(metricsEvery)
	defer spans.Stop()
	defer metrics.Stop()
	for {
		select {
		case ev := <-e.events:
			if e.add(ev); len(e.spans) >= batchEvents && !e.failing {
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

// finish sends the rest.
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
	e.sendSpans(ctx)
	e.sendMetrics(ctx)
}

func (e *Exporter) add(ev reqlog.Event) {
	e.spans = append(e.spans, spansOf(ev)...)
	if over := len(e.spans) - keepSpans; over > 0 {
		e.spans = e.spans[over:]
		e.dropped.Add(int64(over))
	}
	e.metrics.add(ev)
	e.changed = true
}

func (e *Exporter) sendSpans(ctx context.Context) {
	if len(e.spans) == 0 {
		return
	}
	sent, again := e.send(ctx, "/v1/traces", map[string]any{"resourceSpans": []any{map[string]any{
		"resource": e.resource(), "scopeSpans": []any{map[string]any{"scope": e.scope(), "spans": e.spans}},
	}}})
	if sent || !again {
		if !sent {
			e.dropped.Add(int64(len(e.spans)))
		}
		e.spans = nil
	}
}

func (e *Exporter) sendMetrics(ctx context.Context) {
	if !e.changed {
		return
	}
	sent, _ := e.send(ctx, "/v1/metrics", map[string]any{"resourceMetrics": []any{map[string]any{
		"resource": e.resource(), "scopeMetrics": []any{map[string]any{"scope": e.scope(), "metrics": e.metrics.json(e.started, e.cfg.Now())}},
	}}})
	e.changed = !sent
}

func (e *Exporter) resource() any {
	return map[string]any{"attributes": attributes{}.text("service.name", "hostless").text("service.version", e.cfg.Version).text("service.instance.id", e.cfg.Instance)}
}

func (e *Exporter) scope() any {
	return map[string]any{"name": "github.com/hostless/hostless", "version": e.cfg.Version}
}

// send posts one document. again reports whether it should be sent again
// (OTLP/HTTP, retryable response codes).
func (e *Exporter) send(ctx context.Context, path string, document any) (sent, again bool) {
	base := e.cfg.Endpoint()
	if base == "" {
		return false, false
	}
	data, err := json.Marshal(document)
	if err != nil {
		e.cfg.Logger.Error("cannot encode telemetry", "error", err)
		return false, false
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(base, "/")+path, bytes.NewReader(data))
	if err != nil {
		return false, false
	}
	for name, values := range e.cfg.Headers {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hostless/"+e.cfg.Version)
	resp, err := e.cfg.Client.Do(req)
	status := 0
	if err == nil {
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close()
		status = resp.StatusCode
	}
	sent = status >= 200 && status < 300
	if !sent && !e.failing {
		e.cfg.Logger.Warn("the collector does not accept telemetry", "endpoint", base, "path", path, "status", status, "error", err)
	}
	e.failing = !sent
	switch status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return sent, true
	}
	return sent, false
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
