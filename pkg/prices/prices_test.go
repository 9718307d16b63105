package prices_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
)

var update = flag.String("update", "", "the `file`, in the shape of models.dev's api.json, to make the snapshot from")

// TestSnapshot: Parse keeps the embedded snapshot unchanged, and it has prices for
// the models that agents use.
func TestSnapshot(t *testing.T) {
	const path = "snapshot.json"
	if *update != "" {
		data, err := os.ReadFile(*update)
		if err != nil {
			t.Fatal(err)
		}
		s, err := prices.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(out, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log("the snapshot was written")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := prices.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if string(again)+"\n" != string(data) {
		t.Error("the snapshot is not in reduced form: run make prices FILE=…")
	}
	if len(data) > 512<<10 {
		t.Errorf("the snapshot has %d bytes: too many to embed", len(data))
	}
	b := prices.NewBook(nil, prices.Default())
	for _, m := range []string{"openai/gpt-5-mini", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5-20250929", "google/gemini-2.5-flash", "mistral/mistral-large-latest", "deepseek/deepseek-chat"} {
		provider, model, _ := strings.Cut(m, "/")
		if p := b.Quote(provider, model, "", 1); p == nil || p.Input == nil || p.Output == nil || *p.Output == 0 {
			t.Errorf("%s has no price", m)
		}
	}
}

const list = `{
 "openai":{"models":{
  "gpt-x":{"cost":{"input":1.25,"output":10,"cache_read":0.125},"limit":{"context":400000,"output":128000},
   "experimental":{"modes":{"fast":{"cost":{"input":2.5,"output":20,"cache_read":0.25},"provider":{"body":{"service_tier":"priority"}}}}}},
  "plan":{"cost":{"input":0,"output":0},"limit":{"context":1,"output":1}},
  "voice":{"cost":{"input":2.5,"output":10,"input_audio":40,"output_audio":80},"limit":{"context":1,"output":1}},
  "no-cost":{"limit":{"context":1,"output":1}}}},
 "anthropic":{"models":{"claude-x":{"cost":{"input":3,"output":15,"cache_read":0.3,"cache_write":3.75},"limit":{"context":200000,"output":64000}}}},
 "google":{"models":{"gemini-x":{"cost":{"input":1.25,"output":10,"cache_read":0.31,"context_over_200k":{"input":2.5,"output":15,"cache_read":0.625}},"limit":{"context":1000000,"output":65536}}}},
 "openrouter":{"models":{"meta/llama:free":{"cost":{"input":0,"output":0},"limit":{"context":1,"output":1}}}},
 "nobody":{"models":{"x":{"cost":{"input":1,"output":1},"limit":{"context":1,"output":1}}}}}`

func book(t *testing.T, own string) *prices.Book {
	t.Helper()
	s, err := prices.Parse([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	o, problems := prices.ParseOwn(json.RawMessage(own))
	if problems != nil {
		t.Fatal(problems)
	}
	return prices.NewBook(o, s)
}

// TestCost compares costs with amounts computed by hand.
func TestCost(t *testing.T) {
	own := `{"openai/mine":{"input":2,"output":"8.5"},"openai/gpt-y*":{"input":1,"output":1},"openai/gpt-y-big*":{"input":7,"output":1},"openai/gpt-x2":{"input":0.0001,"output":1}}`
	for _, c := range []struct {
		name, model, tier string
		t                 usage.Tokens
		want              string // "" is unpriced
	}{
		// 1,000 × 1.25 + 200 × 10 millionths: $0.00325.
		{"plain", "openai/gpt-x", "", usage.Tokens{Input: 1000, Output: 200}, "0.00325"},
		// 400 × 1.25 + 600 × 0.125 + 200 × 10 = 500 + 75 + 2,000 = 2,575 millionths; reasoning is in the output.
		{"cached, reasoning", "openai/gpt-x", "default", usage.Tokens{Input: 1000, Cached: 600, Output: 200, Reasoning: 150}, "0.002575"},
		{"a dated name is its model", "openai/gpt-x-2026-01-31", "", usage.Tokens{Input: 1000, Output: 200}, "0.00325"},
		// Flex and batch are half: https://openai.com/api/pricing
		{"flex", "openai/gpt-x", "flex", usage.Tokens{Input: 1000, Output: 200}, "0.001625"},
		{"batch", "openai/gpt-x", "batch", usage.Tokens{Input: 1000, Output: 200}, "0.001625"},
		// Priority has its own price in the list: 1,000 × 2.5 + 200 × 20.
		{"priority", "openai/gpt-x", "priority", usage.Tokens{Input: 1000, Output: 200}, "0.0065"},
		{"priority without one", "openai/voice", "priority", usage.Tokens{Input: 1000}, ""},
		{"an unknown tier", "openai/gpt-x", "turbo", usage.Tokens{Input: 1000}, ""},
		// A turn of Claude Code: 4 fresh × 3, 20,000 read × 0.3, 1,000 written for 5m × 3.75, 500 for 1h × 6 (twice the
		// input, https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing), 300 × 15:
		// 12 + 6,000 + 3,750 + 3,000 + 4,500 = 17,262 millionths.
		{"cache writes", "anthropic/claude-x", "standard", usage.Tokens{Input: 21504, Cached: 20000, CacheWrite: 1500, CacheWrite1h: 500, Output: 300}, "0.017262"},
		// https://docs.claude.com/en/docs/build-with-claude/batch-processing#pricing
		{"batch at Anthropic", "anthropic/claude-x", "batch", usage.Tokens{Input: 1000, Output: 100}, "0.00225"},
		{"flex elsewhere", "google/gemini-x", "flex", usage.Tokens{Input: 1000}, ""},
		{"at 200k", "google/gemini-x", "", usage.Tokens{Input: 200_000}, "0.25"},
		// Above, the whole prompt has the other price: 200,001 × 2.5.
		{"over 200k", "google/gemini-x", "", usage.Tokens{Input: 200_001}, "0.5000025"},
		// 100 × 2.5 + 900 × 40 + 50 × 10 + 50 × 80 = 250 + 36,000 + 500 + 4,000.
		{"audio", "openai/voice", "", usage.Tokens{Input: 1000, AudioInput: 900, Output: 100, AudioOutput: 50}, "0.04075"},
		{"audio without a price", "openai/gpt-x", "", usage.Tokens{Input: 1000, AudioInput: 900}, ""},
		{"part of a plan", "openai/plan", "", usage.Tokens{Input: 1}, ""},
		{"without a cost", "openai/no-cost", "", usage.Tokens{Input: 1}, ""},
		{"unknown", "openai/nothing-like-it", "", usage.Tokens{Input: 1}, ""},
		{"unknown provider", "nobody/x", "", usage.Tokens{Input: 1}, ""},
		{"free by name", "openrouter/meta/llama:free", "", usage.Tokens{Input: 1000}, "0"},
		{"own", "openai/mine", "", usage.Tokens{Input: 1000, Cached: 500, Output: 100}, "0.00285"},
		{"own, any tier", "openai/mine", "flex", usage.Tokens{Input: 1000}, "0.002"},
		{"own by prefix", "openai/gpt-y-1", "", usage.Tokens{Input: 1000}, "0.001"},
		{"own by the longest prefix", "openai/gpt-y-big-1", "", usage.Tokens{Input: 1000}, "0.007"},
		// 5 × 0.0001 / 10⁶ dollars is half a nano-dollar, which is rounded up,
		// once.
		{"rounding", "openai/gpt-x2", "", usage.Tokens{Input: 5}, "0.000000001"},
		{"rounding down", "openai/gpt-x2", "", usage.Tokens{Input: 4}, "0"},
	} {
		provider, model, _ := strings.Cut(c.model, "/")
		cost, applied := book(t, own).Cost(provider, model, usage.Report{Tokens: c.t, Tier: c.tier})
		got := ""
		if applied != nil {
			got = cost.String()
		}
		if got != c.want {
			t.Errorf("%s: cost %q, want %q", c.name, got, c.want)
		}
	}
}

// TestSaved: the surcharge of cache writes over the input price is subtracted.
func TestSaved(t *testing.T) {
	p := book(t, "").Quote("anthropic", "claude-x", "", 1)
	// 20,000 × (3 − 0.3) − 1,000 × (3.75 − 3) − 500 × (6 − 3) = 54,000 − 750 − 1,500 millionths.
	if got := p.Saved(usage.Tokens{Input: 21500, Cached: 20000, CacheWrite: 1500, CacheWrite1h: 500}); got.String() != "0.05175" {
		t.Errorf("saved %s", got)
	}
	if got := p.Saved(usage.Tokens{Input: 1000, CacheWrite: 1000}); got.String() != "-0.00075" {
		t.Errorf("a cache write without a read saved %s", got)
	}
}

// TestNano: amounts are exact in both directions.
func TestNano(t *testing.T) {
	for text, want := range map[string]string{
		"1.25": "1.25", "0.000000001": "0.000000001", "1e-7": "0.0000001", "-0.5": "-0.5", "100": "100", "0": "0",
		"0.0000000005": "0.000000001", "1/2": "", "0x10": "", "x": "", "1e40": "", "": "",
	} {
		n, err := prices.ParseNano(text)
		if got := n.String(); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("ParseNano(%q) = %s, %v; want %q", text, got, err, want)
		}
	}
	var back prices.Nano
	for _, n := range []prices.Nano{0, 1, -1, 1_250_000_000, 1<<63 - 1, -1 << 63} {
		data, _ := json.Marshal(n)
		if err := json.Unmarshal(data, &back); err != nil || back != n {
			t.Errorf("%d became %s and %d: %v", n, data, back, err)
		}
	}
}

// TestOverflow: no number of tokens makes a cost wrap around.
func TestOverflow(t *testing.T) {
	b := book(t, `{"openai/dear":{"input":1000000,"output":1000000}}`)
	if _, applied := b.Cost("openai", "dear", usage.Report{Tokens: usage.Tokens{Input: 1<<63 - 1, Output: 1<<63 - 1}}); applied != nil {
		t.Error("an absurd count has a cost")
	}
}

// TestParseOwn: a bad entry is reported and left out, and the others apply.
func TestParseOwn(t *testing.T) {
	own, problems := prices.ParseOwn(json.RawMessage(`{"openai/a":{"input":1},"b":{"input":1},"openai/c":{"input":-1},"openai/d":{"input":"x"},"openai/e":{}}`))
	if len(own) != 1 || len(problems) != 4 {
		t.Errorf("own %v, problems %q", own, problems)
	}
	if own, problems := prices.ParseOwn(json.RawMessage(`[1]`)); own != nil || len(problems) != 1 {
		t.Errorf("a list: %v, %q", own, problems)
	}
}

// TestParseRefuses: what is not a price list does not replace one.
func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{`[]`, `{}`, `{"openai":{"models":{}}}`, `{"openai":{"models":{"a":{"cost":{"input":-1,"output":1}}}}}`, `<html>`} {
		if _, err := prices.Parse([]byte(bad)); err == nil {
			t.Errorf("%s is accepted as a price list", bad)
		}
	}
}

func BenchmarkCost(b *testing.B) {
	book := prices.NewBook(nil, prices.Default())
	r := usage.Report{Tokens: usage.Tokens{Input: 1000, Cached: 500, Output: 100}}
	b.ReportAllocs()
	for b.Loop() {
		book.Cost("openai", "gpt-5-mini", r)
	}
}

// TestWebSearches: Anthropic and OpenAI charge $10 per 1,000 searches beside the tokens, also
// in batches (https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool#usage-and-pricing,
// https://openai.com/api/pricing). A price of config.json takes precedence; elsewhere the cost is
// not known.
func TestWebSearches(t *testing.T) {
	own, problems := prices.ParseOwn(json.RawMessage(`{"openai/mine":{"input":1,"output":2,"web_search":2.5},"groq/*":{"input":1,"output":2}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	book := prices.NewBook(own, prices.Default())
	for _, c := range []struct {
		provider, model, tier string
		searches              int64
		want                  string // "" if not known
	}{
		{"anthropic", "claude-sonnet-4-5", "", 0, "0.018"}, // 1,000 tokens at $3 and as many at $15
		{"anthropic", "claude-sonnet-4-5", "", 3, "0.048"},
		{"anthropic", "claude-sonnet-4-5", "batch", 3, "0.039"},
		{"openai", "gpt-5", "", 1, "0.02125"}, // $1.25 and $10
		{"openai", "mine", "", 2, "0.008"},
		{"groq", "any", "", 0, "0.003"},
		{"groq", "any", "", 1, ""},
	} {
		cost, applied := book.Cost(c.provider, c.model, usage.Report{Tokens: usage.Tokens{Input: 1000, Output: 1000, WebSearches: c.searches}, Tier: c.tier})
		got := ""
		if applied != nil {
			got = cost.String()
		}
		if got != c.want {
			t.Errorf("%d searches of %s/%s %s cost %q, want %q", c.searches, c.provider, c.model, c.tier, got, c.want)
		}
		if applied != nil && (applied.WebSearch != nil) != (c.searches > 0 || c.model == "mine") {
			t.Errorf("%s/%s: applied %+v", c.provider, c.model, applied)
		}
	}
}
