package otlp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
)

// request is a streamed chat that a second attempt answered.
func request(id string) reqlog.Event {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cost := prices.Nano(1_500_000)
	first := start.Add(900 * time.Millisecond)
	return reqlog.Event{
		Start: start, FirstByte: first, End: start.Add(2 * time.Second),
		Row: &reqlog.Row{
			ID: id, App: "shop", TokenName: "tests", Client: "Codex", Dialect: "openai", Method: "POST", Endpoint: "/v1/chat/completions",
			Model: "fast", ResolvedModel: "claude-haiku-4-5", Provider: "anthropic", Status: 200, Stream: true, CostUSD: &cost,
			Tokens:   usage.Tokens{Input: 100, Cached: 60, CacheWrite: 25, Output: 40, Reasoning: 8},
			Attempts: []reqlog.Attempt{{Provider: "mistral", Model: "m"}, {Provider: "anthropic", Model: "claude-haiku-4-5"}},
		},
		Attempts: []pipeline.Attempt{
			{Provider: "mistral", Model: "m", Status: 429, Kind: "provider_rate_limited", Start: start, Duration: 100 * time.Millisecond},
			{Provider: "anthropic", Model: "claude-haiku-4-5", KeyLabel: "work", Status: 200, Start: start.Add(400 * time.Millisecond), FirstByte: first, Duration: 1600 * time.Millisecond},
		},
	}
}

// values are the attributes of a span by key, as OTLP's JSON has them.
func values(a attributes) map[string]any {
	out := map[string]any{}
	for _, one := range a {
		for kind, v := range one.Value {
			out[one.Key] = fmt.Sprint(kind, " ", v)
		}
	}
	return out
}

func TestSpans(t *testing.T) {
	spans := spansOf(request("req_1"))
	if len(spans) != 3 {
		t.Fatalf("%d spans", len(spans))
	}
	own, failed, answered := spans[0], spans[1], spans[2]
	for _, s := range spans {
		if len(s.TraceID) != 32 || len(s.SpanID) != 16 || s.TraceID != own.TraceID || s.Start > s.End {
			t.Errorf("%+v", s)
		}
	}
	if own.Name != "POST /v1/chat/completions" || own.Kind != kindServer || own.Parent != "" || own.Status.Code != 0 || own.Start != "1767323045000000000" || own.End != "1767323047000000000" {
		t.Errorf("%+v", own)
	}
	if failed.Name != "chat m" || failed.Kind != kindClient || failed.Parent != own.SpanID || failed.Status.Code != 2 || answered.Parent != own.SpanID || answered.SpanID == failed.SpanID || answered.Status.Code != 0 {
		t.Errorf("%+v\n%+v", failed, answered)
	}
	for i, want := range []map[string]any{
		{
			"http.request.method": "stringValue POST", "http.route": "stringValue /v1/chat/completions", "user_agent.name": "stringValue Codex", "hostless.request.id": "stringValue req_1",
			"hostless.app": "stringValue shop", "hostless.token.name": "stringValue tests", "hostless.dialect": "stringValue openai", "http.response.status_code": "intValue 200", "hostless.cost_usd": "stringValue 0.0015",
		},
		{
			"gen_ai.operation.name": "stringValue chat", "gen_ai.provider.name": "stringValue mistral_ai", "gen_ai.request.model": "stringValue m", "http.response.status_code": "intValue 429",
			"error.type": "stringValue provider_rate_limited",
		},
		{
			"gen_ai.operation.name": "stringValue chat", "gen_ai.provider.name": "stringValue anthropic", "gen_ai.request.model": "stringValue claude-haiku-4-5", "http.response.status_code": "intValue 200",
			"hostless.key.label": "stringValue work", "gen_ai.response.time_to_first_chunk": "doubleValue 0.5", "gen_ai.usage.input_tokens": "intValue 100", "gen_ai.usage.output_tokens": "intValue 40",
			"gen_ai.usage.cache_read.input_tokens": "intValue 60", "gen_ai.usage.cache_write.input_tokens": "intValue 25", "gen_ai.usage.cache_creation.input_tokens": "intValue 25",
			"gen_ai.usage.reasoning.output_tokens": "intValue 8", "gen_ai.request.stream": "boolValue true", "hostless.cost_usd": "stringValue 0.0015",
		},
	} {
		if diff := cmp.Diff(want, values(spans[i].Attributes)); diff != "" {
			t.Errorf("span %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestOperations(t *testing.T) {
	for endpoint, want := range map[string]string{
		"/v1/chat/completions": "chat", "/v1/responses": "chat", "/v1/messages": "chat", "/api/chat": "chat", "/v1/completions": "text_completion", "/api/generate": "text_completion",
		"/v1/embeddings": "embeddings", "/api/embed": "embeddings", "/v1beta/models/**": "generate_content", "/v1/responses/*": "fetch_response", "/v1/images/generations": "images/generations",
	} {
		if got := operation(endpoint); got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
	}
	for name, want := range map[string]string{"google": "gcp.gemini", "xai": "x_ai", "openai": "openai", "own": "own"} {
		if got := providerName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestMetrics counts requests under the current names and those before them.
func TestMetrics(t *testing.T) {
	h := histograms{}
	h.add(request("a"))
	h.add(request("b"))
	refused := request("c")
	refused.Row.Provider = ""
	h.add(refused) // it reached nobody
	counts := map[string]int{}
	for _, m := range h.json(time.Unix(1, 0), time.Unix(2, 0)) {
		m := m.(map[string]any)
		for _, p := range m["histogram"].(map[string]any)["dataPoints"].([]any) {
			p := p.(map[string]any)
			var n int
			fmt.Sscan(p["count"].(string), &n)
			counts[m["name"].(string)+" "+m["unit"].(string)] += n
			if len(p["bucketCounts"].([]string)) != len(p["explicitBounds"].([]float64))+1 {
				t.Errorf("%v: the buckets do not fit the bounds", m["name"])
			}
		}
	}
	want := map[string]int{
		"gen_ai.client.inference.duration s": 2, "gen_ai.client.inference.time_to_first_chunk s": 2, "gen_ai.client.inference.operation.input_tokens {token}": 2, "gen_ai.client.inference.operation.output_tokens {token}": 2,
		"gen_ai.client.operation.duration s": 2, "gen_ai.client.operation.time_to_first_chunk s": 2, "gen_ai.client.token.usage {token}": 4,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range 3 * maxPoints {
		ev := request("x")
		ev.Row.ResolvedModel = fmt.Sprint(i)
		h.add(ev)
	}
	if len(h) > maxPoints {
		t.Errorf("%d series", len(h))
	}
}

// collector returns the responses that the test sets, without a network.
type collector struct {
	mu     sync.Mutex
	status map[string]int // by path; 0 is no connection
	header http.Header
	hang   bool
	asked  map[string][]time.Time
	spans  int
}

func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	data, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[r.URL.Path] = append(c.asked[r.URL.Path], time.Now())
	if c.hang {
		c.mu.Unlock()
		<-r.Context().Done()
		c.mu.Lock()
		return nil, r.Context().Err()
	}
	status := c.status[r.URL.Path]
	if status == 0 {
		return nil, fmt.Errorf("connection refused")
	}
	if status == 200 {
		c.spans += strings.Count(string(data), `"spanId"`)
	}
	w := httptest.NewRecorder()
	for name, v := range c.header {
		w.Header()[name] = v
	}
	w.WriteHeader(status)
	io.WriteString(w, `{}`)
	return w.Result(), nil
}

func (c *collector) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// run runs an exporter for a collector until the test's function returns.
func run(t *testing.T, c *collector, use func(e *Exporter, log *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		c.asked = map[string][]time.Time{}
		var log bytes.Buffer
		e := New(Config{
			Version: "1", Endpoint: func() string { return "http://user:secret@collector.test:4318/" }, Client: &http.Client{Transport: c},
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); e.Run(ctx) }()
		use(e, &log)
		end()
		<-ended
		if text := log.String(); strings.Contains(text, "secret") {
			t.Errorf("the log has the password: %s", text)
		}
	})
}

// TestAbsent: a collector that does not exist costs a bounded amount of memory, few
// attempts and one line of the log; when it comes back it gets what was kept.
func TestAbsent(t *testing.T) {
	c := &collector{status: map[string]int{}}
	run(t, c, func(e *Exporter, log *bytes.Buffer) {
		const requests = 3 * keepRequests
		for i := range requests {
			began := time.Now()
			e.Request(request(fmt.Sprint(i)))
			if time.Since(began) > 0 {
				t.Fatal("a request waits")
			}
			if i%500 == 499 {
				time.Sleep(time.Second) // others are served
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if dropped := e.Dropped(); dropped != requests-keepRequests {
			t.Errorf("%d requests are dropped, want %d", dropped, requests-keepRequests)
		}
		if n := len(c.asked["/v1/traces"]); n < 20 || n > 60 {
			t.Errorf("%d attempts in an hour", n)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 { // one for each path
			t.Errorf("%d lines in the log: %s", n, log)
		}
		if w := e.Warning(); !strings.Contains(w, "connection refused") || !strings.Contains(w, fmt.Sprint(requests-keepRequests)) {
			t.Errorf("the warning is %q", w)
		}
		c.set(func() { c.status["/v1/traces"], c.status["/v1/metrics"] = 200, 200 })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if c.spans != 3*keepRequests || e.Warning() != "" {
			t.Errorf("%d spans arrive, warning %q", c.spans, e.Warning())
		}
	})
}

// TestSlow: while a collector does not answer, requests are queued and then dropped, and
// none waits.
func TestSlow(t *testing.T) {
	c := &collector{hang: true}
	run(t, c, func(e *Exporter, _ *bytes.Buffer) {
		e.Request(request("first"))
		time.Sleep(spansEvery + time.Second) // it is being sent
		began := time.Now()
		for i := range queueEvents + 100 {
			e.Request(request(fmt.Sprint(i)))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("they wait %v", took)
		}
		if dropped := e.Dropped(); dropped != 100 {
			t.Errorf("%d are dropped, want 100", dropped)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(c.asked["/v1/traces"]); n < 2 {
			t.Errorf("%d attempts: it is not tried again", n)
		}
	})
}

// TestRetryAfter: 503 with Retry-After is not asked before that time, and loses nothing.
func TestRetryAfter(t *testing.T) {
	c := &collector{status: map[string]int{"/v1/traces": 503, "/v1/metrics": 200}, header: http.Header{"Retry-After": {"90"}}}
	run(t, c, func(e *Exporter, log *bytes.Buffer) {
		e.Request(request("a"))
		time.Sleep(80 * time.Second)
		synctest.Wait()
		if n := len(c.asked["/v1/traces"]); n != 1 {
			t.Errorf("%d attempts before its time", n)
		}
		c.set(func() { c.status["/v1/traces"] = 200 })
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if c.spans != 3 || e.Dropped() != 0 {
			t.Errorf("%d spans arrive, %d requests are dropped", c.spans, e.Dropped())
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings: %s", n, log)
		}
	})
}

// TestRefusedMetrics: a backend for traces alone, which answers 404 to metrics, gets the
// traces, and the log gets one line.
func TestRefusedMetrics(t *testing.T) {
	c := &collector{status: map[string]int{"/v1/traces": 200, "/v1/metrics": 404}}
	run(t, c, func(e *Exporter, log *bytes.Buffer) {
		for i := range 100 {
			e.Request(request(fmt.Sprint(i)))
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		if c.spans != 300 || e.Dropped() != 0 {
			t.Errorf("%d spans arrive, %d requests are dropped", c.spans, e.Dropped())
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines in the log: %s", n, log)
		}
	})
}

// TestRefusedSpans: what the collector will never accept is dropped, counted, and does
// not keep back what comes after.
func TestRefusedSpans(t *testing.T) {
	c := &collector{status: map[string]int{"/v1/traces": 400, "/v1/metrics": 200}}
	run(t, c, func(e *Exporter, _ *bytes.Buffer) {
		e.Request(request("bad"))
		time.Sleep(3 * time.Second)
		c.set(func() { c.status["/v1/traces"] = 200 })
		e.Request(request("good"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if c.spans != 3 || e.Dropped() != 1 {
			t.Errorf("%d spans arrive, %d requests are dropped", c.spans, e.Dropped())
		}
	})
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-1": 0, "x": 0, "99999999999": maxAsked, now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestParseHeaders(t *testing.T) {
	want := http.Header{"Authorization": {"Basic abc="}, "X-Team": {"a b"}}
	if diff := cmp.Diff(want, ParseHeaders(" authorization=Basic%20abc%3D , x-team=a%20b,bad,=x,y=%zz")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDocument is valid JSON of OTLP's form.
func TestDocument(t *testing.T) {
	data, err := json.Marshal(spansOf(request("a")))
	if err != nil || !strings.Contains(string(data), `"attributes":[{"key":"http.request.method","value":{"stringValue":"POST"}}`) {
		t.Errorf("%v %s", err, data)
	}
}
