package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/metrics"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/token"
)

// peerEnv makes the test binary a peer of a CPU benchmark, so that the benchmark's own
// process runs only the proxies.
const peerEnv = "HOSTLESS_BENCH_PEER"

// benchUpstream reads each request and responds with a small JSON text.
func benchUpstream() {
	reply := []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":200,"total_tokens":210}}`)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			benchSocketUpstream(w, r)
			return
		}
		var asked [512]byte // names the stream to send, if one is wanted
		n, _ := io.ReadFull(r.Body, asked[:])
		io.Copy(io.Discard, r.Body)
		for name, pace := range streamPaces {
			if bytes.Contains(asked[:n], []byte(name)) {
				benchStreamUpstream(w, pace)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(reply)
	}))
	fmt.Println(s.URL)
	io.Copy(io.Discard, os.Stdin) // until the parent closes it
}

// benchLoad reads lines of "URL TOKEN CONNECTIONS REQUESTS BODYFILE" and writes one line
// when the requests are done.
func benchLoad() {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, WriteBufferSize: 64 << 10}}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var target, bearer, file string
		var connections, requests int
		fmt.Sscan(lines.Text(), &target, &bearer, &connections, &requests, &file)
		if file == "burst" || file == "single" {
			fmt.Println("done", benchSockets(target, bearer, file, connections, requests))
			continue
		}
		body, err := os.ReadFile(file)
		var wait sync.WaitGroup
		for range connections {
			wait.Go(func() {
				for range requests / connections {
					req, _ := http.NewRequest("POST", target, bytes.NewReader(body))
					req.Header.Set("Authorization", "Bearer "+bearer)
					req.Header.Set("Content-Type", "application/json")
					resp, failed := client.Do(req)
					if failed != nil {
						err = failed
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 200 {
						err = fmt.Errorf("status %s", resp.Status)
					}
				}
			})
		}
		wait.Wait()
		fmt.Println("done", err)
	}
}

// peer is a child process that reads and writes lines.
type peer struct {
	in  io.Writer
	out *bufio.Reader
}

func newPeer(b *testing.B, role string) *peer {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), peerEnv+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	return &peer{in, bufio.NewReader(out)}
}

func (p *peer) line(b *testing.B) string {
	b.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// cpu returns the CPU time that this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// agentBody returns a chat request of about size bytes with prose, code and tools, like
// those of agents.
func agentBody(size int) []byte {
	texts := []string{
		strings.Repeat("The quick brown fox jumps over the lazy dog, and then it rests for a while in the shade. ", 40),
		strings.Repeat("\tif err := read(path); err != nil {\n\t\treturn nil, fmt.Errorf(\"read %q: %w\", path, err)\n\t}\n", 40),
	}
	var b bytes.Buffer
	b.WriteString(`{"model":"gpt-4o-mini","temperature":0.2,"tools":[`)
	for i := range 20 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"function","function":{"name":"tool_%d","description":"reads a file and says what is in it","parameters":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}}`, i)
	}
	b.WriteString(`],"messages":[`)
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"role":"user","content":%s}`, jsonscan.Quote(texts[i%2]))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// newCPUBench starts the peers, the gateway, and a plain tuned ReverseProxy that replaces
// the key. The token is limited to a model and has a rate limit.
func newCPUBench(b *testing.B) (w *world, proxyURL string, load *peer, limited string) {
	b.Helper()
	upstream := newPeer(b, "upstream").line(b)
	load = newPeer(b, "client")
	w = newWorld(b, func(c *gateway.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	w.keys.put("openai", upstream)
	limited = w.mint(token.Request{RateLimit: 1 << 30, Scope: token.Scope{Models: []string{"gpt-4o-mini"}}})
	target, err := url.Parse(upstream)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer "+canary)
		},
		FlushInterval: -1, BufferPool: &buffers{},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10},
	})
	b.Cleanup(proxy.Close)
	return w, proxy.URL, load, limited
}

// newSeenBench creates a second gateway with the same provider and everything that the
// daemon has enabled: the request log with its metrics, ten budgets, and the list of
// requests in flight.
func newSeenBench(b *testing.B, w *world) (seen *world, limited string) {
	b.Helper()
	dir, book := b.TempDir(), prices.NewBook(prices.Own{}, prices.Default())
	priced := func() *prices.Book { return book }
	budgets, err := budget.New(budget.Config{Path: dir + "/budgets.json", Requests: dir + "/requests", Prices: priced})
	if err != nil {
		b.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); budgets.Run(ctx) }()
	b.Cleanup(func() { end(); <-ended })
	for i := range 10 {
		scope := []budget.Scope{{All: true}, {Provider: "openai"}, {App: "shop"}, {Token: "agent"}}[i%4]
		unit, period := budget.Units[i%len(budget.Units)], budget.Periods[i%len(budget.Periods)]
		if _, err := budgets.Put(b.Context(), budget.Request{Scope: scope, Unit: unit, Limit: "1000000000", Period: period}); err != nil {
			b.Fatal(err)
		}
	}
	log, err := reqlog.New(reqlog.Config{
		Dir: dir + "/requests", Prices: priced, Count: budgets.Count,
		Observe: []func(reqlog.Event){metrics.New(metrics.Config{}).Request},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	seen = newWorld(b, func(c *gateway.Config) {
		c.Logger = slog.New(slog.DiscardHandler)
		c.Admitters = []pipeline.Admitter{budgets, inflight.New(inflight.Config{})}
		c.Observers = []pipeline.Observer{log, budgets}
	})
	cred, _, err := w.keys.Get(b.Context(), "openai")
	if err != nil {
		b.Fatal(err)
	}
	seen.keys.put("openai", cred.BaseURL)
	return seen, seen.mint(token.Request{RateLimit: 1 << 30, Scope: token.Scope{Models: []string{"gpt-4o-mini"}}})
}

// BenchmarkCPU measures the CPU time that a request costs the proxy process: the gateway
// with a token that is limited to a model and has a rate limit, and a plain tuned
// ReverseProxy that replaces the key. The request rate of one core is the inverse.
func BenchmarkCPU(b *testing.B) {
	w, proxy, load, limited := newCPUBench(b)
	seen, seenToken := newSeenBench(b, w)
	for _, c := range []struct {
		name              string
		size, connections int
	}{{"1KB", 1 << 10, 32}, {"16KB", 16 << 10, 8}, {"256KB", 256 << 10, 8}, {"1MB", 1 << 20, 8}} {
		b.Run(c.name, func(b *testing.B) {
			file := b.TempDir() + "/body"
			body := agentBody(c.size)
			if c.size < 8<<10 {
				body = []byte(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"` + strings.Repeat("hello ", 150) + `"}]}`)
			}
			if err := os.WriteFile(file, body, 0o600); err != nil {
				b.Fatal(err)
			}
			requests := max(c.connections*4, (128<<20)/c.size/c.connections*c.connections)
			requests = min(requests, 2000/c.connections*c.connections)
			turn := func(url, bearer string) time.Duration {
				runtime.GC()
				before := cpu()
				fmt.Fprintln(load.in, url+"/v1/chat/completions", bearer, c.connections, requests, file)
				if line := load.line(b); line != "done <nil>" {
					b.Fatal(line)
				}
				return cpu() - before
			}
			turn(proxy, "x")
			turn(w.server.URL, limited)
			turn(seen.server.URL, seenToken)
			var bare, ours, all time.Duration
			n := 0
			for b.Loop() {
				bare += turn(proxy, "x")
				ours += turn(w.server.URL, limited)
				all += turn(seen.server.URL, seenToken)
				n += requests
			}
			b.ReportMetric(float64(bare.Microseconds())/float64(n), "bare-cpu-µs")
			b.ReportMetric(float64(ours.Microseconds())/float64(n), "gateway-cpu-µs")
			b.ReportMetric(float64(all.Microseconds())/float64(n), "all-on-cpu-µs")
			b.ReportMetric(bare.Seconds()/ours.Seconds(), "rate-ratio")
			b.ReportMetric(bare.Seconds()/all.Seconds(), "all-on-rate-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// buffers is the buffer pool of the tuned ReverseProxy.
type buffers struct{ pool sync.Pool }

func (p *buffers) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *buffers) Put(b []byte) { p.pool.Put(&b) }

// socketEvents is the number of events in the response to each message of the socket
// benchmark.
const socketEvents = 100

// benchSocketUpstream responds to each message of a WebSocket with a stream of events.
func benchSocketUpstream(w http.ResponseWriter, r *http.Request) {
	c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	event := []byte(`{"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_0123456789abcdef","output_index":0,"content_index":0,"delta":"word ","logprobs":[]}`)
	end := []byte(`{"type":"response.completed","response":{"id":"resp_1","usage":{"input_tokens":1,"output_tokens":100,"total_tokens":101}}}`)
	for {
		_, asked, err := c.ReadMessage()
		if err != nil {
			return
		}
		events := socketEvents
		if bytes.Contains(asked, []byte("single")) {
			events = 0
		}
		for range events {
			if c.WriteMessage(websocket.TextMessage, event) != nil {
				return
			}
		}
		if c.WriteMessage(websocket.TextMessage, end) != nil {
			return
		}
	}
}

// messagesOf returns the number of messages in the response to an input.
func messagesOf(input string) int {
	if input == "single" {
		return 1
	}
	return socketEvents + 1
}

// benchSockets sends turns over a WebSocket and reads their events.
func benchSockets(target, bearer, input string, sockets, turns int) error {
	var wait sync.WaitGroup
	var failed error
	for range sockets {
		wait.Go(func() {
			c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(target, "http"), http.Header{"Authorization": {"Bearer " + bearer}})
			if err != nil {
				failed = err
				return
			}
			defer c.Close()
			for range turns {
				c.WriteMessage(websocket.TextMessage, []byte(`{"type":"response.create","model":"gpt-4o-mini","input":"`+input+`"}`))
				for range messagesOf(input) {
					if _, _, err := c.ReadMessage(); err != nil {
						failed = err
						return
					}
				}
			}
		})
	}
	wait.Wait()
	return failed
}

// bareRelay relays messages between two WebSockets without inspecting them.
func bareRelay(target string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(target, "http")+r.URL.Path, http.Header{"Authorization": {"Bearer " + canary}})
		if err != nil {
			return
		}
		defer up.Close()
		caller, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer caller.Close()
		pump := func(to, from *websocket.Conn) {
			for {
				kind, data, err := from.ReadMessage()
				if err != nil || to.WriteMessage(kind, data) != nil {
					to.Close()
					return
				}
			}
		}
		go pump(up, caller)
		pump(caller, up)
	})
}

// BenchmarkSocketCPU measures the CPU time that a message of a Responses WebSocket costs
// the proxy. For comparison it measures a ReverseProxy, which relays the bytes of the
// upgraded connection, and a plain relay of messages.
func BenchmarkSocketCPU(b *testing.B) {
	w, proxy, load, limited := newCPUBench(b)
	cred, _, err := w.keys.Get(b.Context(), "openai")
	if err != nil {
		b.Fatal(err)
	}
	relay := httptest.NewServer(bareRelay(cred.BaseURL))
	b.Cleanup(relay.Close)
	for input, turns := range map[string]int{"burst": 20, "single": 400} {
		b.Run(input, func(b *testing.B) {
			const sockets = 32
			turn := func(url, bearer string) time.Duration {
				runtime.GC()
				before := cpu()
				fmt.Fprintln(load.in, url+"/v1/responses", bearer, sockets, turns, input)
				if line := load.line(b); line != "done <nil>" {
					b.Fatal(line)
				}
				return cpu() - before
			}
			turn(proxy, "x")
			turn(relay.URL, "x")
			turn(w.server.URL, limited)
			var bare, messages, ours time.Duration
			n := 0
			for b.Loop() {
				bare += turn(proxy, "x")
				messages += turn(relay.URL, "x")
				ours += turn(w.server.URL, limited)
				n += sockets * turns * (messagesOf(input) + 1)
			}
			b.ReportMetric(float64(bare.Nanoseconds())/float64(n), "bare-cpu-ns/msg")
			b.ReportMetric(float64(messages.Nanoseconds())/float64(n), "relay-cpu-ns/msg")
			b.ReportMetric(float64(ours.Nanoseconds())/float64(n), "gateway-cpu-ns/msg")
			b.ReportMetric(bare.Seconds()/ours.Seconds(), "rate-ratio-bytes")
			b.ReportMetric(messages.Seconds()/ours.Seconds(), "rate-ratio-messages")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// streamPaces has the streams of a benchmark by name, with the delay between two events.
var streamPaces = map[string]time.Duration{"burst": 0, "paced": 2 * time.Millisecond}

// benchStreamUpstream responds with a stream of events, each in a packet of its own.
func benchStreamUpstream(w http.ResponseWriter, pace time.Duration) {
	event := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"word "},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n")
	w.Header().Set("Content-Type", "text/event-stream")
	for range socketEvents {
		w.Write(event)
		w.(http.Flusher).Flush()
		if pace > 0 {
			time.Sleep(pace)
		}
	}
	io.WriteString(w, "data: [DONE]\n\n")
}

// BenchmarkStreamCPU measures the CPU time that an event of a stream costs the proxy, next
// to a plain tuned ReverseProxy: events in a burst, and events that arrive one by one.
func BenchmarkStreamCPU(b *testing.B) {
	w, proxy, load, limited := newCPUBench(b)
	for name := range streamPaces {
		b.Run(name, func(b *testing.B) {
			file := b.TempDir() + "/body"
			body := `{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"` + name + `"}]}`
			if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
				b.Fatal(err)
			}
			const streams, requests = 32, 320
			turn := func(url, bearer string) time.Duration {
				runtime.GC()
				before := cpu()
				fmt.Fprintln(load.in, url+"/v1/chat/completions", bearer, streams, requests, file)
				if line := load.line(b); line != "done <nil>" {
					b.Fatal(line)
				}
				return cpu() - before
			}
			turn(proxy, "x")
			turn(w.server.URL, limited)
			var bare, ours time.Duration
			n := 0
			for b.Loop() {
				bare += turn(proxy, "x")
				ours += turn(w.server.URL, limited)
				n += requests * socketEvents
			}
			b.ReportMetric(float64(bare.Nanoseconds())/float64(n), "bare-cpu-ns/event")
			b.ReportMetric(float64(ours.Nanoseconds())/float64(n), "gateway-cpu-ns/event")
			b.ReportMetric(bare.Seconds()/ours.Seconds(), "rate-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}
