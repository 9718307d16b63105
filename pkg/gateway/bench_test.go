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

// benchEvents is how many events a benchmark's stream has.
const benchEvents = 50

// bench is one upstream and three ways to it: straight, through a bare
// httputil.ReverseProxy, and through the gateway with token, scope and usage on.
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
		if !bytes.Contains(body.Bytes(), []byte(`"stream":true`)) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("Content-Length", fmt.Sprint(len(reply)))
			rw.Write(reply)
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		for range benchEvents {
			rw.Write(event)
			rw.(http.Flusher).Flush()
		}
		io.WriteString(rw, "data: [DONE]\n\n")
	}
	w := newWorld(b, func(c *gateway.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	up := w.upstream("openai", h)
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

var benchBody = `{"model":"gpt-4o-mini","stream":%v,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"` + strings.Repeat("be brief ", 100) + `"},{"role":"user","content":"` + strings.Repeat("hello ", 150) + `"}]}`

func (s *bench) request(b *testing.B, url string, stream bool) *http.Request {
	req, err := http.NewRequest("POST", url+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(benchBody, stream)))
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

// quantiles are of one way's times.
type quantiles []time.Duration

func (q quantiles) at(p float64) float64 {
	if len(q) == 0 {
		return 0
	}
	slices.Sort(q)
	return float64(q[min(len(q)-1, int(p*float64(len(q))))].Nanoseconds()) / 1000
}

// BenchmarkJSON times one request at a time, the three ways in turn, so that
// whatever else the machine does falls on all of them alike.
func BenchmarkJSON(b *testing.B) {
	s := newBench(b)
	client := benchClient()
	var took [3]quantiles
	one := func(way int) {
		start := time.Now()
		resp, err := client.Do(s.request(b, s.ways[way], false))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			b.Fatal(resp.Status)
		}
		took[way] = append(took[way], time.Since(start))
	}
	for way := range s.ways {
		one(way)
		took[way] = nil
	}
	for b.Loop() {
		for way := range s.ways {
			one(way)
		}
	}
	for way, name := range wayNames {
		b.ReportMetric(took[way].at(0.5), name+"-p50-µs")
		b.ReportMetric(took[way].at(0.99), name+"-p99-µs")
	}
	b.ReportMetric(took[2].at(0.5)/took[1].at(0.5), "p50-ratio")
	b.ReportMetric(took[2].at(0.5)-took[0].at(0.5), "added-p50-µs")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSSE times the first event and the time per event of a stream.
func BenchmarkSSE(b *testing.B) {
	s := newBench(b)
	client := benchClient()
	var first, each [3]quantiles
	one := func(way int) {
		start := time.Now()
		resp, err := client.Do(s.request(b, s.ways[way], true))
		if err != nil {
			b.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		if _, err := in.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
		begun := time.Since(start)
		io.Copy(io.Discard, in)
		resp.Body.Close()
		first[way] = append(first[way], begun)
		each[way] = append(each[way], (time.Since(start)-begun)/benchEvents)
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
		b.ReportMetric(each[way].at(0.5), name+"-event-p50-µs")
	}
	b.ReportMetric(first[2].at(0.5)-first[0].at(0.5), "added-ttfe-µs")
	b.ReportMetric(each[2].at(0.5)-each[0].at(0.5), "added-event-µs")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkThroughput measures requests per second at 16 callers, the three ways
// in turns of a hundred requests each.
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
					resp, err := client.Do(s.request(b, s.ways[way], false))
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

// sink is a ResponseWriter without a socket.
type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }
func (s *sink) Flush()                      {}

// BenchmarkHandler shows the allocations of the handler itself, its upstream
// included, beside those of the bare ReverseProxy.
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
					h.ServeHTTP(&sink{header: http.Header{}}, s.request(b, s.ways[0], stream))
				}
			})
		}
	}
}
