package requests_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// sample returns the value of a series in Prometheus's text format, with its labels in
// any order.
func sample(text, name string, labels ...string) string {
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		family, rest, _ := strings.Cut(series, "{")
		if family != name {
			continue
		}
		all := true
		for _, l := range labels {
			all = all && strings.Contains(rest, l)
		}
		if all {
			return value
		}
	}
	return ""
}

// series matches a line of Prometheus's text format 0.0.4 that is not a comment.
var series = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? (\+Inf|[0-9.e+-]+)\n$`)

// TestMetrics: the control socket shows exact values without delay, and no listener shows
// them without the token.
func TestMetrics(t *testing.T) {
	w := start(t)
	w.webApp("shop")
	w.visit("shop", "GET", "/")
	w.ask("POST", "/v1/chat/completions", chat("gpt-4o-mini", false))
	w.ask("POST", "/v1/chat/completions", chat("gpt-4o-mini", true))
	w.ask("POST", "/v1/chat/completions", chat("err-500", false))
	w.ask("POST", "/v1/chat/completions", chat(`we"ird\`, false), "Authorization", "Bearer no")
	text := w.Must("metrics") + "\n"
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !series.MatchString(line) {
			t.Errorf("not Prometheus text: %s", line)
		}
	}
	for _, c := range []struct {
		want, name string
		labels     []string
	}{
		{"2", "hostless_requests_total", []string{`provider="openai"`, `model="gpt-4o-mini"`, `status="200"`}},
		{"1", "hostless_requests_total", []string{`provider="openai"`, `status="500"`, `model=""`}},
		{"1", "hostless_errors_total", []string{`kind="caller_unauthenticated"`}},
		{"1", "hostless_errors_total", []string{`kind="provider_error"`}},
		{"18", "hostless_tokens_total", []string{`class="input"`, `model="gpt-4o-mini"`}},
		{"8", "hostless_tokens_total", []string{`class="output"`}},
		// 2 × (9 × 0.15 + 4 × 0.6) millionths of a dollar.
		{"0.0000075", "hostless_cost_dollars_total", []string{`model="gpt-4o-mini"`}},
		{"3", "hostless_upstream_latency_seconds_count", []string{`provider="openai"`}},
		{"3", "hostless_upstream_latency_seconds_bucket", []string{`le="+Inf"`}},
		{"4", "hostless_overhead_seconds_count", nil},
		{"1", "hostless_time_to_first_token_seconds_count", []string{`provider="openai"`}},
		{"1", "hostless_app_requests_total", []string{`app="shop"`, `status="200"`}},
		{"0", "hostless_requests_in_flight", nil},
	} {
		if got := sample(text, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %q, want %s", c.name, c.labels, got, c.want)
		}
	}
	resp, err := w.Control().Get("http://hostless/metrics")
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("GET /metrics: %+v, %v", resp, err)
	}
	for _, path := range []string{"/metrics", "/v1/metrics"} {
		if status, _ := w.ask("GET", path, ""); status != 404 {
			t.Errorf("%s on the gateway's port: %d", path, status)
		}
	}
	w.onPort()
}

// onPort: a change of metrics-port takes effect at once, its port requires the token, and
// it is kept across a restart.
func (w *world) onPort() {
	t := w.t
	t.Helper()
	if r := w.CLI("metrics", "--scrape-config"); r.Code != 1 || !strings.Contains(r.Stderr, "config set metrics-port") {
		t.Errorf("without a port: %+v", r)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	w.Must("config", "set", "metrics-port", port) // another program uses it: the daemon waits for it
	l.Close()
	scrape := func(token, path string) (int, string) {
		req, _ := http.NewRequest("GET", "http://127.0.0.1:"+port+path, nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(data)
	}
	eventually(t, "listener for metrics", func() bool { status, _ := scrape("", "/metrics"); return status == 401 })
	file := filepath.Join(w.Home, "metrics.token")
	data, err := os.ReadFile(file)
	if info, _ := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%s: %v, %v", file, info, err)
	}
	token := strings.TrimSpace(string(data))
	for _, c := range []struct {
		token, path string
		status      int
	}{{"", "/metrics", 401}, {w.token, "/metrics", 401}, {token + "x", "/metrics", 401}, {token, "/", 404}, {token, "/status", 404}, {token, "/metrics", 200}} {
		status, text := scrape(c.token, c.path)
		if status != c.status || status != 200 && strings.Contains(text, "hostless_requests_total") {
			t.Errorf("%s: %d, want %d: %s", c.path, status, c.status, text)
		}
	}
	if out := w.Must("metrics", "--scrape-config"); !strings.Contains(out, file) || !strings.Contains(out, "127.0.0.1:"+port) {
		t.Errorf("scrape config:\n%s", out)
	}
	w.Stop()
	w.Daemon = harness.StartIn(t, w.Home)
	eventually(t, "listener after a restart", func() bool { status, _ := scrape(token, "/metrics"); return status == 200 })
	w.Must("config", "set", "metrics-port", "off")
	eventually(t, "end of the listener", func() bool { status, _ := scrape(token, "/metrics"); return status == 0 })
}
