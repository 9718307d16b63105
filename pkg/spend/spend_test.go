package spend_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

var zone = time.FixedZone("east", 9*3600+1800)

// TestSums: groups and total are sums over the rows, to the nano-dollar and across
// restarts. The expected values are computed here with rationals.
func TestSums(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	book := prices.NewBook(nil, prices.Default())
	now := time.Date(2026, 3, 18, 15, 0, 0, 0, time.UTC) // a Wednesday, past midnight in the zone
	random := rand.New(rand.NewPCG(1, 2))
	want, saved := map[string]prices.Nano{}, prices.Nano(0)
	var total prices.Nano
	var requests, errors, unpriced int64
	models := []struct{ provider, model string }{{"openai", "gpt-5-mini"}, {"anthropic", "claude-sonnet-4-5"}, {"google", "gemini-2.5-pro"}, {"openai", "nobody-knows"}}
	week := time.Date(2026, 3, 16, 0, 0, 0, 0, zone)
	for restart := range 3 {
		l, err := reqlog.New(reqlog.Config{Dir: dir, Prices: func() *prices.Book { return book }, Now: func() time.Time { return now }, SegmentSize: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			m := models[random.IntN(len(models))]
			at := now.Add(-time.Duration(random.Int64N(int64(14 * 24 * time.Hour))))
			tokens := usage.Tokens{Cached: random.Int64N(300_000), CacheWrite: random.Int64N(5000), Output: random.Int64N(9000)}
			tokens.CacheWrite1h = random.Int64N(tokens.CacheWrite + 1)
			tokens.Input = tokens.Cached + tokens.CacheWrite + random.Int64N(10_000)
			o := pipeline.Outcome{
				Candidate: pipeline.Candidate{Provider: provider.Default().Get(m.provider), Model: m.model}, Status: 200,
				Usage: usage.Report{Tokens: tokens}, Reported: true, Start: at, End: at, Attempts: []pipeline.Attempt{{Provider: m.provider}},
			}
			if random.IntN(10) == 0 {
				o.Kind = pipeline.ProviderIncomplete
			}
			l.Done(&pipeline.Call{ID: fmt.Sprint(restart, "-", i), Start: at, Model: m.model}, o)
			if i%100 == 0 {
				l.Last(0, reqlog.Filter{}) // wait for the writer, so that no row is dropped
			}
			if at.Before(week) {
				continue
			}
			requests++
			if o.Kind != "" {
				errors++
			}
			cost, ok := exact(book.Quote(m.provider, m.model, "", tokens.Input), tokens)
			if !ok {
				unpriced++
				continue
			}
			total += cost
			want[at.In(zone).Format(time.DateOnly)] += cost
			saved += book.Quote(m.provider, m.model, "", tokens.Input).Saved(tokens)
		}
		if l.Dropped() != 0 {
			t.Fatalf("%d dropped", l.Dropped())
		}
		l.Close()
	}
	l, err := reqlog.New(reqlog.Config{Dir: dir, Prices: func() *prices.Book { return book }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	q, err := spend.Parse(url.Values{"period": {"week"}, "by": {"day"}}, now, zone)
	if err != nil || !q.From.Equal(week) {
		t.Fatalf("week from %s, %v", q.From, err)
	}
	q.To = now.Add(time.Nanosecond)
	r, err := spend.Of(l, q)
	if err != nil {
		t.Fatal(err)
	}
	if r.Total.CostUSD != total || r.Total.SavedUSD != saved || r.Total.Requests != requests || r.Total.Errors != errors || r.Total.Unpriced != unpriced {
		t.Errorf("total %+v, want cost %s, saved %s, %d requests, %d errors, %d unpriced", r.Total, total, saved, requests, errors, unpriced)
	}
	if len(r.Groups) != 4 {
		t.Errorf("%d days, want 4: Monday to Thursday", len(r.Groups))
	}
	for _, by := range spend.Keys {
		q.By = by
		r, err := spend.Of(l, q)
		if err != nil {
			t.Fatal(err)
		}
		var sum prices.Nano
		for _, g := range r.Groups {
			if sum += g.CostUSD; by == "day" && g.CostUSD != want[g.Key] {
				t.Errorf("%s: %s, want %s", g.Key, g.CostUSD, want[g.Key])
			}
		}
		if sum != total {
			t.Errorf("by %s the groups are %s, want %s", by, sum, total)
		}
	}
}

// exact returns a request's cost, computed with rationals and rounded once.
func exact(p *prices.Price, t usage.Tokens) (prices.Nano, bool) {
	if p == nil {
		return 0, false
	}
	sum := new(big.Rat)
	add := func(n int64, price *prices.Nano) {
		sum.Add(sum, new(big.Rat).Mul(big.NewRat(n, 1_000_000), big.NewRat(int64(*price), 1)))
	}
	add(t.Input-t.Cached-t.CacheWrite, p.Input)
	add(t.Cached, p.Cached)
	add(t.CacheWrite-t.CacheWrite1h, p.CacheWrite)
	add(t.CacheWrite1h, p.CacheWrite1h)
	add(t.Output, p.Output)
	n, _ := new(big.Int).SetString(sum.FloatString(0), 10)
	return prices.Nano(n.Int64()), true
}

// TestPeriods: periods begin and end in local time.
func TestPeriods(t *testing.T) {
	now := time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC) // Monday the 2nd, 05:30, in the zone
	for query, want := range map[string]string{
		"": "2026-03-02T00:00:00+09:30", "period=today": "2026-03-02T00:00:00+09:30", "period=week": "2026-03-02T00:00:00+09:30",
		"period=month": "2026-03-01T00:00:00+09:30", "since=36h": "2026-02-28T08:00:00Z", "since=2026-01-02T03:04:05Z": "2026-01-02T03:04:05Z",
	} {
		v, _ := url.ParseQuery(query)
		q, err := spend.Parse(v, now, zone)
		if got := q.From.Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%s: from %s, want %s; %v", query, got, want, err)
		}
	}
	for _, bad := range []string{"period=year", "by=mood", "since=x", "since=1h&period=week"} {
		v, _ := url.ParseQuery(bad)
		if _, err := spend.Parse(v, now, zone); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// BenchmarkMonth adds up 10,000 rows.
func BenchmarkMonth(b *testing.B) {
	book := prices.NewBook(nil, prices.Default())
	l, err := reqlog.New(reqlog.Config{Dir: filepath.Join(b.TempDir(), "requests"), Prices: func() *prices.Book { return book }, Queue: 20_000})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	now := time.Now()
	for i := range 10_000 {
		o := pipeline.Outcome{Candidate: pipeline.Candidate{Provider: provider.Default().Get("openai"), Model: "gpt-5-mini"}, Status: 200,
			Usage: usage.Report{Tokens: usage.Tokens{Input: 1000, Output: 10}}, Reported: true, Start: now, End: now, Attempts: []pipeline.Attempt{{Provider: "openai", Model: "gpt-5-mini"}}}
		l.Done(&pipeline.Call{ID: fmt.Sprint(i), Start: now, Model: "gpt-5-mini"}, o)
	}
	for b.Loop() {
		r, err := spend.Of(l, spend.Query{By: "model", Location: time.UTC})
		if err != nil || r.Total.Requests != 10_000 {
			b.Fatal(r.Total, err)
		}
	}
}
