package requests_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// collector is an OTLP/HTTP receiver that only accepts JSON.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []otlpSpan
	points map[string]int64 // number of data points by metric
	bad    []string
}

type otlpSpan struct {
	TraceID, SpanID, ParentSpanID, Name string

	Kind       int
	Start      string `json:"startTimeUnixNano"`
	End        string `json:"endTimeUnixNano"`
	Attributes []struct {
		Key   string
		Value map[string]any
	}
	Status struct{ Code int }
}

func (s *otlpSpan) attribute(key string) any {
	for _, a := range s.Attributes {
		if a.Key == key {
			for _, v := range a.Value {
				return v
			}
		}
	}
	return nil
}

func newCollector(t *testing.T) *collector {
	c := &collector{points: map[string]int64{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Basic abc=" || r.Method != "POST" {
			c.bad = append(c.bad, r.Method+" "+r.URL.Path)
			w.WriteHeader(400)
			return
		}
		var doc struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []otlpSpan }
			}
			ResourceMetrics []struct {
				ScopeMetrics []struct {
					Metrics []struct {
						Name      string
						Histogram struct {
							DataPoints []struct {
								Count int64 `json:",string"`
							}
						}
					}
				}
			}
		}
		if json.Unmarshal(data, &doc) != nil || r.URL.Path != "/v1/traces" && r.URL.Path != "/v1/metrics" {
			c.bad = append(c.bad, r.URL.Path+string(data))
		}
		for _, rs := range doc.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
		for _, rm := range doc.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					c.points[m.Name] = 0
					for _, p := range m.Histogram.DataPoints {
						c.points[m.Name] += p.Count
					}
				}
			}
		}
		io.WriteString(w, "{}")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) all() []otlpSpan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]otlpSpan{}, c.spans...)
}

// TestOTLP: a collector gets a span for each request and one for each call to a provider,
// with the GenAI conventions, in the client's trace. An unreachable collector delays
// nothing.
func TestOTLP(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc%3D")
	w := start(t)
	provider := standin.OpenAI(t, key)
	w.provider("openai", provider.URL+"/v1")
	c := newCollector(t)
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	ask := func(model string) {
		w.ask("POST", "/v1/chat/completions", chat(model, true), "traceparent", "00-"+traceID+"-"+parent+"-01", "tracestate", "a=1")
	}
	ask("gpt-4o-mini")
	if got := provider.Last(t).Header.Get("Traceparent"); got != "00-"+traceID+"-"+parent+"-01" {
		t.Errorf("without a collector the client's traceparent becomes %q", got)
	}
	if r := w.CLI("config", "set", "otlp-endpoint", "ftp://x"); r.Code != 2 && r.Code != 1 {
		t.Errorf("an invalid endpoint is accepted: %+v", r)
	}
	w.Must("config", "set", "otlp-endpoint", c.URL+"/")
	ask("gpt-4o-mini")
	up := provider.Last(t).Header
	w.ask("POST", "/v1/chat/completions", chat("err-500", false))
	if got := provider.Last(t).Header.Get("Traceparent"); got != "" {
		t.Errorf("a client without a trace: %q is sent", got)
	}
	w.ask("POST", "/v1/chat/completions", chat("gpt-4o-mini", false), "traceparent", "00-"+traceID+"-"+parent+"-00") // not sampled
	eventually(t, "spans", func() bool { return len(c.all()) >= 4 })
	spans := c.all()
	if len(spans) != 4 || len(c.bad) > 0 {
		t.Fatalf("%d spans, bad %q", len(spans), c.bad)
	}
	own, call, failed, failedCall := spans[0], spans[1], spans[2], spans[3]
	if own.TraceID != traceID || own.ParentSpanID != parent || own.Name != "POST /v1/chat/completions" || own.Kind != 2 ||
		own.attribute("hostless.token.name") != "tests" || own.attribute("http.response.status_code") != "200" {
		t.Errorf("the request's span %+v", own)
	}
	if call.TraceID != traceID || call.ParentSpanID != own.SpanID || call.Name != "chat gpt-4o-mini" || call.Kind != 3 || call.Start > call.End {
		t.Errorf("the provider's span %+v", call)
	}
	for name, want := range map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
		"gen_ai.usage.input_tokens": "9", "gen_ai.usage.output_tokens": "4", "gen_ai.request.stream": true, "hostless.cost_usd": "0.00000375",
	} {
		if got := call.attribute(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := up.Get("Traceparent"); got != "00-"+traceID+"-"+own.SpanID+"-01" || up.Get("Tracestate") != "a=1" {
		t.Errorf("traceparent %q is sent, want the span %s", got, own.SpanID)
	}
	if failed.TraceID == traceID || failed.ParentSpanID != "" || failed.Status.Code != 2 || failedCall.attribute("error.type") != "provider_error" || failedCall.Status.Code != 2 {
		t.Errorf("the failed request %+v, %+v", failed, failedCall)
	}
	all, _ := json.Marshal(spans)
	if text := string(all); strings.Contains(text, "hello") || strings.Contains(text, w.token) || strings.Contains(text, key) {
		t.Error("a body or a secret is in a span")
	}

	// What ended just before a stop is sent, including metrics.
	ask("gpt-4o-mini")
	w.Stop()
	if n := len(c.all()); n != 6 {
		t.Errorf("%d spans after the stop, want 6", n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Four requests reached a provider since then. Three of them reported tokens, of two
	// types.
	if c.points["gen_ai.client.operation.duration"] != 4 || c.points["gen_ai.client.token.usage"] != 6 {
		t.Errorf("metrics %v", c.points)
	}
}
