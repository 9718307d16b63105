package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway"
)

// benchEvents is the number of events in a benchmark's stream.
const benchEvents = 50

// bench is an upstream with three ways to reach it: directly, through a plain
// httputil.ReverseProxy, and through the gateway with a scoped token and usage reporting.
type bench struct {
	ways  [3]string // URLs
	token string
}

var wayNames = [3]string{"direct", "reverseproxy", "gateway"}

func newBench(b *testing.B) *bench {
	b.Helper()
	reply := []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat("word ", 200) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":200,"total_tokens":210}}`)
	event := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"word "},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n")
	h := func(rw http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		body.ReadFrom(r.Body)
		if !bytes.Contains(body.Bytes(), []byte(`"stream":true`)) && !strings.Contains(r.URL.Path, ":stream") {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("Content-Length", fmt.Sprint(len(reply)))
			rw.Write(reply)
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		if r.Header.Get("X-Stainless-Pace") != "" {
			for range benchEvents {
				time.Sleep(300 * time.Microsecond)
				fmt.Fprintf(rw, "data: {\"sent\":%d,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}],\"usage\":null}\n\n", time.Since(benchStart))
				rw.(http.Flusher).Flush()
			}
			io.WriteString(rw, "data: [DONE]\n\n")
			return
		}
		for range benchEvents {
			rw.Write(event)
			rw.(http.Flusher).Flush()
		}
		switch { // the final event of each dialect
		case strings.HasSuffix(r.URL.Path, "/messages"):
			io.WriteString(rw, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
		case strings.HasSuffix(r.URL.Path, "/responses"):
			io.WriteString(rw, "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n")
		case strings.Contains(r.URL.Path, ":stream"):
			io.WriteString(rw, "data: {\"finishReason\":\"STOP\"}\n\n")
		default:
			io.WriteString(rw, "data: [DONE]\n\n")
		}
	}
	w := newWorld(b, func(c *gateway.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	up := w.upstream("openai", h)
	w.keys.put("anthropic", up.URL)
	w.keys.put("google", up.URL)
	target, err := url.Parse(up.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	})
	b.Cleanup(proxy.Close)
	return &bench{ways: [3]string{up.URL, proxy.URL, w.server.URL}, token: w.token}
}

var benchBody = `{"model":%q,"stream":%v,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"` + strings.Repeat("be brief ", 100) + `"},{"role":"user","content":"` + strings.Repeat("hello ", 150) + `"}]}`

// family is a group of endpoints.
type family struct{ name, path, streamPath, model string }

var families = []family{
	{"chat", "/v1/chat/completions", "/v1/chat/completions", "gpt-4o-mini"},
	{"responses", "/v1/responses", "/v1/responses", "gpt-4o-mini"},
	{"embeddings", "/v1/embeddings", "", "text-embedding-3-small"},
	{"messages", "/v1/messages", "/v1/messages", "claude-sonnet-4-5"},
	{"gemini", "/v1beta/models/gemini-2.5-flash:generateContent", "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", "gemini-2.5-flash"},
}

func (s *bench) request(b *testing.B, url string, f family, stream bool) *http.Request {
	path := f.path
	if stream {
		path = f.streamPath
	}
	req, err := http.NewRequest("POST", url+path, strings.NewReader(fmt.Sprintf(benchBody, f.model, stream)))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "OpenAI/JS 5.0.0")
	for _, h := range []string{"Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Retry-Count", "Timeout"} {
		req.Header.Set("X-Stainless-"+h, "x")
	}
	return req
}

func benchClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
}

// quantiles are the sorted times of one way.
type quantiles []time.Duration

func (q quantiles) at(p float64) float64 {
	if len(q) == 0 {
		return 0
	}
	slices.Sort(q)
	return float64(q[min(len(q)-1, int(p*float64(len(q))))].Nanoseconds()) / 1000
}

// BenchmarkJSON measures one request at a time, alternating between the three ways, so that
// other load on the machine affects all of them equally.
func BenchmarkJSON(b *testing.B) {
	for _, f := range families {
		b.Run(f.name, func(b *testing.B) { benchJSON(b, f) })
	}
}

func benchJSON(b *testing.B, f family) {
	s := newBench(b)
	client := benchClient()
	var times [3]quantiles
	one := func(way int) {
		start := time.Now()
		resp, err := client.Do(s.request(b, s.ways[way], f, false))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			b.Fatal(resp.Status)
		}
		times[way] = append(times[way], time.Since(start))
	}
	for way := range s.ways {
		one(way)
		times[way] = nil
	}
	for b.Loop() {
		for way := range s.ways {
			one(way)
		}
	}
	for way, name := range wayNames {
		b.ReportMetric(times[way].at(0.5), name+"-p50-µs")
		b.ReportMetric(times[way].at(0.99), name+"-p99-µs")
	}
	b.ReportMetric(times[2].at(0.5)/times[1].at(0.5), "p50-ratio")
	b.ReportMetric(times[2].at(0.5)-times[0].at(0.5), "added-p50-µs")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSSE measures the time to the first event and the total time of a stream at full
// speed.
func BenchmarkSSE(b *testing.B) {
	for _, f := range families {
		if f.streamPath != "" {
			b.Run(f.name, func(b *testing.B) { benchSSE(b, f) })
		}
	}
}

func benchSSE(b *testing.B, f family) {
	s := newBench(b)
	client := benchClient()
	var first, whole [3]quantiles
	one := func(way int) {
		start := time.Now()
		resp, err := client.Do(s.request(b, s.ways[way], f, true))
		if err != nil {
			b.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		if _, err := in.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
		firstByte := time.Since(start)
		io.Copy(io.Discard, in)
		resp.Body.Close()
		first[way] = append(first[way], firstByte)
		whole[way] = append(whole[way], time.Since(start))
	}
	for way := range s.ways {
		one(way)
	}
	for b.Loop() {
		for way := range s.ways {
			one(way)
		}
	}
	for way, name := range wayNames {
		b.ReportMetric(first[way].at(0.5), name+"-ttfe-p50-µs")
		b.ReportMetric(whole[way].at(0.5), name+"-whole-p50-µs")
	}
	b.ReportMetric(first[2].at(0.5)-first[0].at(0.5), "added-ttfe-µs")
	b.ReportMetric(whole[2].at(0.5)/whole[1].at(0.5), "whole-ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkThroughput measures requests per second with 16 callers, alternating between the
// three ways every hundred requests.
func BenchmarkThroughput(b *testing.B) {
	s := newBench(b)
	client := benchClient()
	var spent [3]time.Duration
	turns := 0
	turn := func(way int) time.Duration {
		start := time.Now()
		var wait sync.WaitGroup
		for range 16 {
			wait.Go(func() {
				for range 8 {
					resp, err := client.Do(s.request(b, s.ways[way], families[0], false))
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		wait.Wait()
		return time.Since(start)
	}
	for way := range s.ways {
		turn(way)
	}
	for b.Loop() {
		for way := range s.ways {
			spent[way] += turn(way)
		}
		turns++
	}
	for way, name := range wayNames {
		b.ReportMetric(float64(turns*16*8)/spent[way].Seconds(), name+"-rps")
	}
	b.ReportMetric(spent[1].Seconds()/spent[2].Seconds(), "rps-ratio")
	b.ReportMetric(0, "ns/op")
}

// benchStart is the origin of the time stamps in paced events.
var benchStart = time.Now()

// BenchmarkEvent measures the latency of each event of a paced stream, from the upstream's
// write to the caller's read, alternating between the three ways.
func BenchmarkEvent(b *testing.B) {
	s := newBench(b)
	client := benchClient()
	var times [3]quantiles
	one := func(way int) {
		req := s.request(b, s.ways[way], families[0], true)
		req.Header.Set("X-Stainless-Pace", "1")
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			var sent int64
			if n, _ := fmt.Sscanf(lines.Text(), `data: {"sent":%d`, &sent); n == 1 {
				times[way] = append(times[way], time.Since(benchStart)-time.Duration(sent))
			}
		}
	}
	for way := range s.ways {
		one(way)
		times[way] = nil
	}
	for b.Loop() {
		for way := range s.ways {
			one(way)
		}
	}
	for way, name := range wayNames {
		b.ReportMetric(times[way].at(0.5), name+"-p50-µs")
		b.ReportMetric(times[way].at(0.99), name+"-p99-µs")
	}
	b.ReportMetric(times[2].at(0.5)-times[0].at(0.5), "added-p50-µs")
	b.ReportMetric(0, "ns/op")
}

// sink is a ResponseWriter without a connection.
type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }
func (s *sink) Flush()                      {}

// BenchmarkHandler measures the allocations of the handler with its upstream, and those of
// the plain ReverseProxy.
func BenchmarkHandler(b *testing.B) {
	for _, stream := range []bool{false, true} {
		name := map[bool]string{false: "json", true: "sse"}[stream]
		s := newBench(b)
		target, _ := url.Parse(s.ways[0])
		w := newWorld(b, func(c *gateway.Config) { c.Logger = slog.New(slog.DiscardHandler) })
		w.keys.put("openai", s.ways[0])
		s.token = w.token
		for way, h := range map[string]http.Handler{
			"gateway": w.gw,
			"reverseproxy": &httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1,
				Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
			},
		} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.ServeHTTP(&sink{header: http.Header{}}, s.request(b, s.ways[0], families[0], stream))
				}
			})
		}
	}
}
