package otlp

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/reqlog"
)

// attribute is a KeyValue in OTLP's JSON encoding.
type attribute struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

type attributes []attribute

// text adds a string, unless it is empty.
func (a attributes) text(key, value string) attributes {
	if value == "" {
		return a
	}
	return append(a, attribute{key, map[string]any{"stringValue": value}})
}

// int adds a number. In protobuf's JSON, 64-bit integers are strings.
func (a attributes) int(key string, n int64) attributes {
	return append(a, attribute{key, map[string]any{"intValue": strconv.FormatInt(n, 10)}})
}

// nonZero adds a number, unless it is 0.
func (a attributes) nonZero(key string, n int64) attributes {
	if n == 0 {
		return a
	}
	return a.int(key, n)
}

func (a attributes) seconds(key string, d time.Duration) attributes {
	return append(a, attribute{key, map[string]any{"doubleValue": d.Seconds()}})
}

func (a attributes) bool(key string, v bool) attributes {
	return append(a, attribute{key, map[string]any{"boolValue": v}})
}

// span is a Span in OTLP's JSON encoding.
type span struct {
	TraceID    string     `json:"traceId"`
	SpanID     string     `json:"spanId"`
	Parent     string     `json:"parentSpanId,omitempty"`
	Name       string     `json:"name"`
	Kind       int        `json:"kind"`
	Start      string     `json:"startTimeUnixNano"`
	End        string     `json:"endTimeUnixNano"`
	Attributes attributes `json:"attributes"`
	Events     []event    `json:"events,omitempty"`
	Status     status     `json:"status"`
}

type event struct {
	Time string `json:"timeUnixNano"`
	Name string `json:"name"`
}

type status struct {
	Code    int    `json:"code,omitempty"` // 2 means error
	Message string `json:"message,omitempty"`
}

// Kinds of spans.
const (
	kindServer = 2
	kindClient = 3
)

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// spansOf returns the spans of a request: one for the request, and one for each
// attempt. A request whose traceparent says that it is not sampled has none.
func spansOf(ev reqlog.Event) []span {
	r, trace := ev.Row, ev.Trace()
	if flags, err := strconv.ParseUint(trace.Flags, 16, 8); err == nil && flags&1 == 0 {
		return nil
	}
	own := span{
		TraceID: trace.TraceID, SpanID: trace.SpanID, Parent: trace.Parent, Name: r.Method + " " + r.Endpoint, Kind: kindServer,
		Start: nanos(ev.Start), End: nanos(ev.End),
		Attributes: attributes{}.text("http.request.method", r.Method).text("http.route", r.Endpoint).text("user_agent.name", r.Client).
			text("hostless.request.id", r.ID).text("hostless.app", r.App).text("hostless.token.name", r.TokenName).text("hostless.dialect", r.Dialect),
	}
	if r.Status != 0 {
		own.Attributes = own.Attributes.int("http.response.status_code", int64(r.Status))
	}
	if r.CostUSD != nil {
		own.Attributes = own.Attributes.text("hostless.cost_usd", r.CostUSD.String())
	}
	own.fail(r.ErrorKind)
	out := []span{own}
	for i := range ev.Attempts {
		out = append(out, attemptSpan(ev, i))
	}
	return out
}

// fail marks a span as failed.
func (s *span) fail(kind pipeline.ErrorKind) {
	if kind != "" {
		s.Attributes = s.Attributes.text("error.type", string(kind))
		s.Status.Code = 2
	}
}

// attemptSpan returns the span of a call to a provider: the inference span of the
// GenAI conventions.
func attemptSpan(ev reqlog.Event, i int) span {
	r, a, trace := ev.Row, &ev.Attempts[i], ev.Trace()
	id := fnv.New64a()
	id.Write([]byte(r.ID + "/" + strconv.Itoa(i)))
	start := a.Start
	if start.IsZero() {
		start = ev.Start
	}
	model := r.Attempts[i].Model // redacted
	op := operation(r.Endpoint)
	s := span{
		TraceID: trace.TraceID, SpanID: hex.EncodeToString(id.Sum(nil)), Parent: trace.SpanID,
		Name: strings.TrimSpace(op + " " + model), Kind: kindClient, Start: nanos(start), End: nanos(start.Add(a.Duration)),
		Attributes: attributes{}.text("gen_ai.operation.name", op).text("gen_ai.provider.name", providerName(a.Provider)).text("gen_ai.request.model", model),
	}
	if a.Status != 0 {
		s.Attributes = s.Attributes.int("http.response.status_code", int64(a.Status))
	}
	if a.KeyLabel != "" {
		s.Attributes = s.Attributes.text("hostless.key.label", a.KeyLabel)
	}
	if !a.FirstByte.IsZero() {
		s.Events = []event{{nanos(a.FirstByte), "first byte"}}
		if r.Stream {
			s.Attributes = s.Attributes.seconds("gen_ai.response.time_to_first_chunk", a.FirstByte.Sub(start))
		}
	}
	if i == len(ev.Attempts)-1 {
		t := r.Tokens
		s.Attributes = s.Attributes.int("gen_ai.usage.input_tokens", t.Input).int("gen_ai.usage.output_tokens", t.Output).
			int("gen_ai.usage.cache_read.input_tokens", t.Cached).int("gen_ai.usage.cache_write.input_tokens", t.CacheWrite).
			int("gen_ai.usage.cache_creation.input_tokens", t.CacheWrite). // its name up to version 1.41
			nonZero("gen_ai.usage.reasoning.output_tokens", t.Reasoning).
			bool("gen_ai.request.stream", r.Stream)
		if r.CostUSD != nil {
			s.Attributes = s.Attributes.text("hostless.cost_usd", r.CostUSD.String())
		}
	}
	s.fail(a.Kind)
	return s
}

// operation returns the value of gen_ai.operation.name for an endpoint.
func operation(endpoint string) string {
	switch {
	case strings.Contains(endpoint, "embed") || strings.Contains(endpoint, "Embed"):
		return "embeddings"
	case strings.HasSuffix(endpoint, "/chat/completions"), strings.HasSuffix(endpoint, "/responses"), strings.HasSuffix(endpoint, "/messages"), endpoint == "/api/chat":
		return "chat"
	case endpoint == "/v1/responses/*":
		return "fetch_response"
	case strings.HasSuffix(endpoint, "/completions"), endpoint == "/api/generate":
		return "text_completion"
	case strings.HasPrefix(endpoint, "/v1beta/"):
		return "generate_content"
	}
	return strings.TrimPrefix(strings.TrimPrefix(endpoint, "/v1/"), "/")
}

// providerNames are the conventions' names that differ from the catalogue's.
var providerNames = map[string]string{
	"google": "gcp.gemini", "vertex": "gcp.vertex_ai", "bedrock": "aws.bedrock", "azure": "azure.ai.openai", "mistral": "mistral_ai", "xai": "x_ai", "moonshot": "moonshot_ai",
}

func providerName(name string) string {
	if known := providerNames[name]; known != "" {
		return known
	}
	return name
}
