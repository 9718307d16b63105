// Package bench measures the built binaries from outside: the duration of a start, of a
// command and of a request to /health, and the memory of a daemon that is idle or has many
// open streams. pkg/gateway and pkg/front measure the cost of a request, compared with a
// direct call and a plain ReverseProxy.
package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// resident returns a process's resident memory in bytes, 0 if /proc does not have it.
func resident(pid int) float64 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages * os.Getpagesize())
}

// BenchmarkColdStart measures the time from exec to the first response of /health, in an
// empty home.
func BenchmarkColdStart(b *testing.B) {
	harness.Bin(b) // builds the binaries
	rss := 0.0
	b.ResetTimer()
	for range b.N {
		d := harness.Start(b)
		b.StopTimer()
		rss += resident(d.PID())
		d.Stop()
		b.StartTimer()
	}
	b.ReportMetric(rss/float64(b.N)/(1<<20), "idle-MiB")
}

// BenchmarkCommand measures `hostless list` with a running daemon, from exec to exit.
func BenchmarkCommand(b *testing.B) {
	d := harness.Start(b)
	d.Must("list")
	b.ResetTimer()
	for range b.N {
		d.Must("list")
	}
}

// BenchmarkHealth measures a request on a kept-alive connection, which is the minimum
// cost of any request.
func BenchmarkHealth(b *testing.B) {
	d := harness.Start(b)
	client := &http.Client{}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		resp, err := client.Get(d.URL + "/health")
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

// BenchmarkOpenStreams holds 1,000 streams of chat completions open, each after its
// first event, and reports by how much the daemon's resident memory has grown.
func BenchmarkOpenStreams(b *testing.B) {
	const streams = 1000
	const event = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n"
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, event)
		http.NewResponseController(w).Flush()
		<-release
		io.WriteString(w, "data: [DONE]\n\n")
	}))
	b.Cleanup(upstream.Close)
	d := harness.Start(b)
	d.Must("keys", "add", "openai", "sk-test-0123456789", "--base-url", upstream.URL+"/v1")
	token := strings.TrimSpace(d.Must("token", "create", "--rate-limit", "1000000", "--models", "gpt-*"))
	open := func() *http.Response {
		req, err := http.NewRequest("POST", d.URL+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}`))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		first := make([]byte, 6)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "data: " {
			b.Fatalf("a stream starts with %q, %v", first, err)
		}
		return resp
	}
	finish := func(resp *http.Response) {
		defer resp.Body.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
			b.Fatalf("a stream ends with %q, %v", rest, err)
		}
	}
	growth := 0.0
	for b.Loop() {
		warm := open()
		before := resident(d.PID())
		var responses []*http.Response
		for range streams {
			responses = append(responses, open())
		}
		growth = max(growth, resident(d.PID())-before) // later iterations reuse memory
		close(release)
		for _, resp := range append(responses, warm) {
			finish(resp)
		}
		release = make(chan struct{})
	}
	b.ReportMetric(growth/(1<<20), "MiB-growth")
}
