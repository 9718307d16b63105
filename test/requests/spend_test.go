package requests_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// reporting is a provider whose responses report the usage given in the prompt, in the
// dialect of the path: input, cached, written for five minutes, written for an hour,
// output.
func reporting(t *testing.T) *scripted {
	return script(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		var in, cached, write, write1h, out, reasoning int
		text := string(body)
		at := strings.Index(text, "use ")
		if at < 0 {
			reply(w, 400, `{"error":{"message":"no use"}}`)
			return
		}
		fmt.Sscanf(text[at:], "use %d %d %d %d %d %d", &in, &cached, &write, &write1h, &out, &reasoning)
		stream := strings.Contains(text, `"stream":true`)
		switch {
		case strings.HasSuffix(r.URL.Path, "/messages"):
			usage := fmt.Sprintf(`{"input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":%d,"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d},"output_tokens":%%d}`, in, cached, write+write1h, write, write1h)
			if !stream {
				reply(w, 200, `{"id":"m","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":`+fmt.Sprintf(usage, out)+`}`)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"usage\":%s}}\n\n", fmt.Sprintf(usage, 1))
			fmt.Fprint(w, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n")
			fmt.Fprint(w, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ok\"}}\n\n")
			fmt.Fprint(w, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n")
			fmt.Fprintf(w, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":%d}}\n\n", out)
			fmt.Fprint(w, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
		case strings.HasSuffix(r.URL.Path, "/responses"):
			usage := fmt.Sprintf(`{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}`, in, cached, out, reasoning, in+out)
			response := `{"id":"r","object":"response","status":"completed","model":"gpt-5.3-codex","output":[],"usage":` + usage + `}`
			if !stream {
				reply(w, 200, response)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":%s}\n\n", response)
		default:
			reply(w, 200, fmt.Sprintf(`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`, in, out, in+out, cached))
		}
	})
}

func use(model, path string, stream bool, n ...int) string {
	words := strings.Trim(fmt.Sprint(n), "[]")
	switch path {
	case "/v1/responses":
		return fmt.Sprintf(`{"model":%q,"stream":%t,"input":"use %s"}`, model, stream, words)
	}
	return fmt.Sprintf(`{"model":%q,"max_tokens":9,"stream":%t,"messages":[{"role":"user","content":"use %s"}]}`, model, stream, words)
}

// TestSessions: the cost of a session of Claude Code and one of Codex, calculated by
// hand. Prices of the embedded list in dollars per million tokens: claude-sonnet-4-5 3
// input, 0.30 cache read, 3.75 cache write, 15 output, and 6 for a write for one hour
// (twice the input price:
// https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing);
// gpt-5.3-codex 1.75 input, 0.175 cache read, 14 output (https://openai.com/api/pricing).
func TestSessions(t *testing.T) {
	w := start(t)
	s := reporting(t)
	w.provider("anthropic", s.URL)
	w.provider("openai", s.URL+"/v1")
	claude, codex := "claude-cli/2.0.14 (external, cli)", "codex_cli_rs/0.46.0 (Linux)"
	for _, c := range []struct {
		agent, path string
		n           []int
		cost        string
	}{
		// 3 × 3 + 18,000 × 3.75 + 2,000 × 6 + 120 × 15 = 9 + 67,500 + 12,000 + 1,800 millionths.
		{claude, "/v1/messages", []int{3, 0, 18000, 2000, 120, 0}, "0.081309"},
		// 4 × 3 + 20,000 × 0.3 + 850 × 3.75 + 412 × 15 = 12 + 6,000 + 3,187.5 + 6,180.
		{claude, "/v1/messages", []int{4, 20000, 850, 0, 412, 0}, "0.0153795"},
		// 5 × 3 + 20,850 × 0.3 + 433 × 3.75 + 77 × 15 = 15 + 6,255 + 1,623.75 + 1,155.
		{claude, "/v1/messages", []int{5, 20850, 433, 0, 77, 0}, "0.00904875"},
		// 9,300 × 1.75 + 500 × 14 = 16,275 + 7,000; reasoning is a part of the output.
		{codex, "/v1/responses", []int{9300, 0, 0, 0, 500, 320}, "0.023275"},
		// 1,024 × 1.75 + 9,216 × 0.175 + 64 × 14 = 1,792 + 1,612.8 + 896.
		{codex, "/v1/responses", []int{10240, 9216, 0, 0, 64, 0}, "0.0043008"},
	} {
		model := "claude-sonnet-4-5"
		if c.agent == codex {
			model = "gpt-5.3-codex"
		}
		if status, text := w.ask("POST", c.path, use(model, c.path, true, c.n...), "User-Agent", c.agent); status != 200 {
			t.Fatal(status, text)
		}
		if r := w.last(); r.Cost == nil || *r.Cost != c.cost || r.Estimated {
			t.Errorf("%s %v cost %v, want %s: %+v", c.agent, c.n, r.Cost, c.cost, r.Tokens)
		}
	}
	var got report
	w.get("/spend?period=today&by=client", &got)
	// Saved: Claude Code 20,000 × 2.7 + 20,850 × 2.7 − (18,000 + 850 + 433) × 0.75 − 2,000 × 3
	// = 110,295 − 14,462.25 − 6,000 = 89,832.75; Codex 9,216 × 1.575 = 14,515.2 millionths.
	want := []sum{
		{Key: "Claude Code", Requests: 3, Cost: "0.10573725", Saved: "0.08983275", Tokens: tokens{Input: 62145, Cached: 40850, CacheWrite: 21283, CacheWrite1h: 2000, Output: 609}},
		{Key: "Codex", Requests: 2, Cost: "0.0275758", Saved: "0.0145152", Tokens: tokens{Input: 19540, Cached: 9216, Output: 564, Reasoning: 320}},
	}
	if fmt.Sprint(got.Groups) != fmt.Sprint(want) {
		t.Errorf("by client\n%+v, want\n%+v", got.Groups, want)
	}
	if got.Total.Cost != "0.13331305" || got.Total.Saved != "0.10434795" {
		t.Errorf("total %+v", got.Total)
	}
}

// TestOwnPrices: prices in config.json take precedence, also with a trailing *. A model
// without a price is unpriced and counted as such.
func TestOwnPrices(t *testing.T) {
	home := harness.Home(t)
	config := `{"prices":{"openai/gpt-4o-mini":{"input":100,"cached":10,"output":200},"groq/tiny*":{"input":0.5,"output":"1.25"},"openai/free":{"input":0,"output":0}}}`
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{Daemon: harness.StartIn(t, home), t: t}
	s := reporting(t)
	w.provider("openai", s.URL+"/v1")
	w.provider("groq", s.URL+"/v1")
	w.token = w.mint("--name", "tests")
	ask := func(model string, n ...int) row {
		t.Helper()
		if status, text := w.ask("POST", "/v1/chat/completions", use(model, "", false, n...)); status != 200 {
			t.Fatal(model, status, text)
		}
		return w.last()
	}
	for _, c := range []struct {
		model, cost string
		n           []int
	}{
		{"gpt-4o-mini", "0.12", []int{1000, 0, 0, 0, 100}},     // 1,000 × 100 + 100 × 200
		{"gpt-4o-mini", "0.066", []int{1000, 600, 0, 0, 100}},  // 400 × 100 + 600 × 10 + 100 × 200
		{"groq/tiny-2b", "0.0001125", []int{200, 0, 0, 0, 10}}, // 200 × 0.5 + 10 × 1.25
		{"free", "0", []int{5, 0, 0, 0, 5}},
		{"nobody-knows-it", "", []int{5, 0, 0, 0, 5}},
	} {
		r := ask(c.model, c.n...)
		switch {
		case c.cost == "" && (r.Priced || r.Cost != nil || r.Price != nil):
			t.Errorf("%s has a price: %v", c.model, *r.Cost)
		case c.cost != "" && (r.Cost == nil || *r.Cost != c.cost || !r.Priced || r.Price == nil):
			t.Errorf("%s cost %v, want %s", c.model, r.Cost, c.cost)
		}
	}
	var got report
	w.get("/spend?by=model", &got)
	if got.Total.Cost != "0.1861125" || got.Total.UnpricedRequests != 1 || got.Total.Requests != 5 || len(got.Groups) != 4 || got.Groups[0].Key != "gpt-4o-mini" {
		t.Errorf("spend %+v", got)
	}
	// A changed config.json is in effect from then on; earlier rows keep their price.
	changed := strings.Replace(config, `"input":100`, `"input":1`, 1)
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, err := w.Control().Post("http://hostless/reload", "application/json", nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if r := ask("gpt-4o-mini", 1000, 0, 0, 0, 0); *r.Cost != "0.001" {
		t.Errorf("after the change %s", *r.Cost)
	}
	w.get("/spend", &got)
	if got.Total.Cost != "0.1871125" {
		t.Errorf("past rows changed: %s", got.Total.Cost)
	}
	out, err := csv.NewReader(strings.NewReader(w.Must("spend", "--by", "token", "--csv"))).ReadAll()
	if err != nil || len(out) != 2 || out[0][0] != "token" || out[1][0] != w.token[:17] || out[1][10] != "0.1871125" {
		t.Errorf("csv %q, %v", out, err)
	}
	var printed report
	if err := json.Unmarshal([]byte(w.Must("spend", "--json", "--by", "provider")), &printed); err != nil || len(printed.Groups) != 2 || printed.Total.Cost != "0.1871125" {
		t.Errorf("json %+v, %v", printed, err)
	}
}

// TestLocalDays: days are this machine's local days, in groups by day and for the period
// today.
func TestLocalDays(t *testing.T) {
	zone, now := "Pacific/Kiritimati", time.Now() // UTC+14
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	if now.In(loc).Day() == now.UTC().Day() { // before 10:00 UTC
		zone = "Pacific/Pago_Pago" // UTC-11
		if loc, err = time.LoadLocation(zone); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TZ", zone)
	w := start(t)
	w.ask("POST", "/v1/chat/completions", chat("gpt-4o-mini", false))
	var got report
	w.get("/spend?period=today&by=day", &got)
	day := now.In(loc).Format(time.DateOnly)
	if len(got.Groups) != 1 || got.Groups[0].Key != day || !got.From.Equal(time.Date(now.In(loc).Year(), now.In(loc).Month(), now.In(loc).Day(), 0, 0, 0, 0, loc)) {
		t.Errorf("in %s: %+v, want the day %s", zone, got, day)
	}
	if out := w.Must("spend", "today", "--by", "day"); !strings.Contains(out, day) {
		t.Errorf("spend --by day:\n%s", out)
	}
	for _, period := range []string{"week", "month"} {
		w.get("/spend?period="+period+"&by=day", &got)
		if got.Total.Requests != 1 || got.From.After(now) {
			t.Errorf("%s: %+v", period, got)
		}
	}
}
