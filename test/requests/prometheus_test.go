package requests_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// freePort returns an unused port.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// TestPrometheus: the real Prometheus scrapes the metrics with the job that Hostless
// prints, and its checker reports no problems.
func TestPrometheus(t *testing.T) {
	prometheus, promtool := harness.Need(t, "prometheus"), harness.Need(t, "promtool")
	w := start(t)
	w.ask("POST", "/v1/chat/completions", chat("gpt-4o-mini", true))
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(w.Must("metrics") + "\n")
	if out, err := check.CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	w.Must("config", "set", "metrics-port", freePort(t))
	job := w.Must("metrics", "--scrape-config")
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n" + job + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + freePort(t)
	cmd := exec.Command(prometheus, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if cmd.Wait(); t.Failed() {
			t.Log(log.String())
		}
	}()
	for query, want := range map[string]string{
		`hostless_requests_total{model="gpt-4o-mini"}`:                "1",
		`sum(hostless_tokens_total{class="input"})`:                   "9",
		`hostless_time_to_first_token_seconds_count`:                  "1",
		`hostless_cost_dollars_total{provider="openai"} * 1000000000`: "3750",
	} {
		eventually(t, query+" in Prometheus", func() bool {
			resp, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(query))
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			var answer struct {
				Data struct {
					Result []struct{ Value [2]any }
				}
			}
			return json.NewDecoder(resp.Body).Decode(&answer) == nil && len(answer.Data.Result) == 1 && answer.Data.Result[0].Value[1] == want
		})
	}
}
