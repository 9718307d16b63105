package otlp

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/reqlog"
)

// maxPoints is the maximum number of series, because models and apps are named from
// outside.
const maxPoints = 1000

// Metrics of the GenAI conventions, and the bounds that these recommend.
const (
	duration     = "gen_ai.client.inference.duration"
	firstChunk   = "gen_ai.client.inference.time_to_first_chunk"
	inputTokens  = "gen_ai.client.inference.operation.input_tokens"
	outputTokens = "gen_ai.client.inference.operation.output_tokens"

	// The names up to version 1.41 of the conventions, which most backends know.
	oldDuration   = "gen_ai.client.operation.duration"
	oldFirstChunk = "gen_ai.client.operation.time_to_first_chunk"
	oldTokenUsage = "gen_ai.client.token.usage"
)

var (
	secondBounds = []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	tokenBounds  = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
)

var bounds = map[string][]float64{
	duration: secondBounds, firstChunk: secondBounds, inputTokens: tokenBounds, outputTokens: tokenBounds,
	oldDuration: secondBounds, oldFirstChunk: secondBounds, oldTokenUsage: tokenBounds,
}

// point is a HistogramDataPoint, cumulative since the exporter started.
type point struct {
	metric     string
	attributes attributes
	count      int64
	sum        float64
	buckets    []int64
}

type histograms map[string]*point

func (h histograms) observe(metric string, v float64, a attributes) {
	key := metric
	for _, one := range a {
		key += "\xff" + one.Key + "=" + one.Value["stringValue"].(string)
	}
	p := h[key]
	if p == nil {
		if len(h) >= maxPoints {
			return
		}
		p = &point{metric: metric, attributes: a, buckets: make([]int64, len(bounds[metric])+1)}
		h[key] = p
	}
	p.count++
	p.sum += v
	i, _ := slices.BinarySearch(bounds[metric], v)
	p.buckets[i]++
}

// add counts a request that reached a provider.
func (h histograms) add(ev reqlog.Event) {
	r := ev.Row
	if r.Provider == "" {
		return
	}
	a := attributes{}.text("gen_ai.operation.name", operation(r.Endpoint)).text("gen_ai.provider.name", providerName(r.Provider)).
		text("gen_ai.request.model", r.ResolvedModel).text("hostless.app", r.App)
	took, outcome := ev.End.Sub(ev.Start).Seconds(), slices.Clip(a).text("error.type", string(r.ErrorKind))
	h.observe(duration, took, outcome)
	h.observe(oldDuration, took, outcome)
	if r.Stream && !ev.FirstByte.IsZero() {
		h.observe(firstChunk, ev.FirstByte.Sub(ev.Start).Seconds(), a)
		h.observe(oldFirstChunk, ev.FirstByte.Sub(ev.Start).Seconds(), a)
	}
	if r.Tokens.IsZero() {
		return
	}
	h.observe(inputTokens, float64(r.Tokens.Input), a)
	h.observe(outputTokens, float64(r.Tokens.Output), a)
	h.observe(oldTokenUsage, float64(r.Tokens.Input), slices.Clip(a).text("gen_ai.token.type", "input"))
	h.observe(oldTokenUsage, float64(r.Tokens.Output), slices.Clip(a).text("gen_ai.token.type", "output"))
}

// json returns the metrics in OTLP's JSON encoding.
func (h histograms) json(started, now time.Time) []any {
	points := map[string][]any{}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		p := h[key]
		counts := make([]string, len(p.buckets))
		for i, n := range p.buckets {
			counts[i] = strconv.FormatInt(n, 10)
		}
		points[p.metric] = append(points[p.metric], map[string]any{
			"attributes": p.attributes, "startTimeUnixNano": nanos(started), "timeUnixNano": nanos(now),
			"count": strconv.FormatInt(p.count, 10), "sum": p.sum, "bucketCounts": counts, "explicitBounds": bounds[p.metric],
		})
	}
	var out []any
	for _, name := range slices.Sorted(maps.Keys(points)) {
		unit := "s"
		if strings.Contains(name, "token") {
			unit = "{token}"
		}
		out = append(out, map[string]any{"name": name, "unit": unit, "histogram": map[string]any{"aggregationTemporality": 2, "dataPoints": points[name]}})
	}
	return out
}
