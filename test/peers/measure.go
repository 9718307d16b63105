package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

var (
	wrkRate    = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkTotal   = regexp.MustCompile(`(\d+) requests in`)
	wrkLatency = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s)`)
	wrkFailed  = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)`)
)

// measure loads one proxy for a while.
func (b *bench) measure(ctx context.Context, p *proxy, connections int) (s sample, err error) {
	before := p.cpu()
	text, err := exec.CommandContext(ctx, "taskset", "-c", otherCore, "wrk", "-t1", "-c", strconv.Itoa(connections),
		"-d", b.each.String(), "--latency", "-H", "Host: "+host, "http://"+p.addr+"/").CombinedOutput()
	if err != nil {
		return s, fmt.Errorf("wrk: %w: %s", err, text)
	}
	used := p.cpu() - before
	if failed := wrkFailed.FindString(string(text)); failed != "" {
		return s, fmt.Errorf("wrk: %s", failed)
	}
	number := func(re *regexp.Regexp) float64 {
		m := re.FindStringSubmatch(string(text))
		if m == nil {
			return 0
		}
		n, _ := strconv.ParseFloat(m[1], 64)
		return n
	}
	s.rps = number(wrkRate)
	if total := number(wrkTotal); total > 0 {
		s.cpu = float64(used.Microseconds()) / total
	}
	for _, m := range wrkLatency.FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.ParseFloat(m[2], 64)
		n *= map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[m[3]]
		if m[1] == "50" {
			s.p50 = n
		} else {
			s.p99 = n
		}
	}
	return s, nil
}

// sockets has 32 WebSockets send a small message and wait for it, again and again.
func (b *bench) sockets(ctx context.Context, p *proxy) (rate, cpu float64, err error) {
	before := p.cpu()
	text, err := exec.CommandContext(ctx, "taskset", "-c", otherCore, b.self, "serve", "sockets", p.addr, b.each.String()).CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("sockets: %w: %s", err, text)
	}
	count, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil || count == 0 {
		return 0, 0, fmt.Errorf("sockets: %q", text)
	}
	return count / b.each.Seconds(), float64((p.cpu() - before).Microseconds()) / count, nil
}

// download takes 1 GiB.
func (b *bench) download(ctx context.Context, p *proxy) (rate, cpu float64, err error) {
	before, begun := p.cpu(), time.Now()
	text, err := exec.CommandContext(ctx, "taskset", "-c", otherCore, "curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", "-H", "Host: "+host, "http://"+p.addr+"/big").CombinedOutput()
	if err != nil || string(text) != strconv.Itoa(1<<30) {
		return 0, 0, fmt.Errorf("curl: %w: %s", err, text)
	}
	return 1024 / time.Since(begun).Seconds(), (p.cpu() - before).Seconds(), nil
}

// serve is what runs in processes of its own: the echo of WebSockets, a bare
// ReverseProxy as a careful user of the standard library would make it, and the
// client of sockets.
func serve(what string, args []string) error {
	switch what {
	case "echo":
		up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		return http.ListenAndServe(args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			for {
				kind, data, err := c.ReadMessage()
				if err != nil || c.WriteMessage(kind, data) != nil {
					return
				}
			}
		}))
	case "bare":
		target := func(addr string) http.Handler {
			u := &url.URL{Scheme: "http", Host: addr}
			return &httputil.ReverseProxy{
				Rewrite: func(pr *httputil.ProxyRequest) {
					pr.SetURL(u)
					pr.Out.Host = pr.In.Host
					pr.SetXForwarded()
				},
				Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 512},
			}
		}
		mux := http.NewServeMux()
		mux.Handle("/", target(args[1]))
		mux.Handle("/ws", target(args[2]))
		return http.ListenAndServe(args[0], mux)
	case "sockets":
		each, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		return hammer(args[0], each)
	}
	return fmt.Errorf("nothing is called %q", what)
}

// hammer prints how many messages went there and back.
func hammer(addr string, each time.Duration) error {
	d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return net.Dial("tcp", addr) }}
	var count atomic.Int64
	var running sync.WaitGroup
	deadline := time.Now().Add(each)
	var failed atomic.Pointer[error]
	for range 32 {
		c, _, err := d.Dial("ws://"+host+"/ws", nil)
		if err != nil {
			return err
		}
		running.Go(func() {
			defer c.Close()
			for time.Now().Before(deadline) {
				if err := c.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
					failed.Store(&err)
					return
				}
				if _, _, err := c.ReadMessage(); err != nil {
					failed.Store(&err)
					return
				}
				count.Add(1)
			}
		})
	}
	running.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Println(count.Load())
	return nil
}

// control asks the daemon over its socket.
func control(socket, path, body string) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Post("http://hostless"+path, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}
