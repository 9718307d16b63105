package budget_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
	"github.com/hostless/hostless/pkg/token"
)

// process is the counting part of a daemon: a room and the request log that passes
// its rows on.
type process struct {
	t     testing.TB
	room  *budget.Room
	log   *reqlog.Log
	seams pipeline.Seams
	clock *atomic.Int64 // Unix seconds; nil is the real time
	id    string
	n     atomic.Int64
}

var processes atomic.Int64

// own are the prices in use: whole dollars per million tokens.
const own = `{"openai/gpt-x":{"input":"1.25","cached":"0.125","output":10},"openai/free":{"input":0,"output":0},"anthropic/claude-x":{"input":3,"output":15}}`

func start(t testing.TB, home string, change func(*budget.Config)) *process {
	t.Helper()
	prc, problems := prices.ParseOwn(json.RawMessage(own))
	if problems != nil {
		t.Fatal(problems)
	}
	book := prices.NewBook(prc, prices.Default())
	cfg := budget.Config{Path: filepath.Join(home, "budgets.json"), Requests: filepath.Join(home, "requests"), Prices: func() *prices.Book { return book }}
	if change != nil {
		change(&cfg)
	}
	p := &process{t: t, id: fmt.Sprintf("req_p%d", processes.Add(1))}
	var err error
	if p.room, err = budget.New(cfg); err != nil {
		t.Fatal(err)
	}
	if p.log, err = reqlog.New(reqlog.Config{Dir: cfg.Requests, Prices: cfg.Prices, Now: cfg.Now, Count: p.room.Count}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.log.Close() })
	p.seams = pipeline.Seams{Admitters: []pipeline.Admitter{p.room}, Observers: []pipeline.Observer{p.log, p.room}}
	return p
}

// stop ends the process as a daemon ends.
func (p *process) stop() {
	p.log.Close()
	p.room.Save()
}

func (p *process) put(scope budget.Scope, limit, unit, period string) budget.Budget {
	p.t.Helper()
	b, err := p.room.Put(p.t.Context(), budget.Request{Scope: scope, Limit: budget.Number(limit), Unit: unit, Period: period})
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *process) list() []budget.Budget {
	p.t.Helper()
	l, err := p.room.List(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

// to returns a candidate.
func to(name, model string) pipeline.Candidate {
	return pipeline.Candidate{Provider: provider.Default().Get(name), Model: model, Credential: pipeline.Credential{Provider: name}}
}

// call returns a call with a prompt of about size tokens and a limit of output
// tokens.
func (p *process) call(grant *token.Grant, size, output int64) *pipeline.Call {
	return &pipeline.Call{
		ID: fmt.Sprintf("%s-%d", p.id, p.n.Add(1)), Start: p.now(), Method: "POST", Path: "/v1/chat/completions", Model: "gpt-x",
		Grant: grant, Size: size, MaxOutput: output,
	}
}

func (p *process) now() time.Time {
	if p.clock != nil {
		return time.Unix(p.clock.Load(), 0)
	}
	return time.Now()
}

// run takes a call through the room: admitted, answered with the use, done.
func (p *process) run(ctx context.Context, call *pipeline.Call, at pipeline.Candidate, use usage.Tokens, kind pipeline.ErrorKind, meanwhile func()) error {
	settle, err := p.seams.Admit(ctx, call, []pipeline.Candidate{at})
	o := pipeline.Outcome{Candidate: at, Start: call.Start, End: p.now(), Kind: kind, Status: 200}
	if err != nil {
		o.Kind, o.Candidate = pipeline.KindOf(err), pipeline.Candidate{}
		p.seams.Done(call, o)
		return err
	}
	if meanwhile != nil {
		meanwhile()
	}
	o.Usage.Tokens, o.Reported = use, use != usage.Tokens{}
	o.Attempts = []pipeline.Attempt{{Provider: at.Provider.Name, Model: at.Model, Kind: kind, Status: 200}}
	settle(o)
	p.seams.Done(call, o)
	return nil
}

// grants returns a token of a run and one without a run, by name.
func grants(t testing.TB) map[string]*token.Grant {
	t.Helper()
	store, _, err := token.New(token.Config{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*token.Grant{}
	for _, name := range []string{"shop", "docs", "notebook"} {
		m, err := store.Mint(t.Context(), token.Request{Name: name, Origin: "*", TTL: time.Hour, Lease: name != "notebook"})
		if err != nil {
			t.Fatal(err)
		}
		if out[name], err = store.Verify(m.Secret, ""); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestAgreesWithTheLog: whatever the traffic, across shutdowns and kills, each
// budget's use is the sum of the log's rows to the nano-dollar, and equals that of
// package spend.
func TestAgreesWithTheLog(t *testing.T) {
	home := t.TempDir()
	who := grants(t)
	random := rand.New(rand.NewPCG(1, 2))
	scopes := []budget.Scope{{All: true}, {App: "shop"}, {App: "docs"}, {Provider: "openai"}, {Provider: "anthropic"}, {Token: "notebook"}, {Token: who["shop"].Prefix()}}
	for round := range 6 {
		p := start(t, home, nil)
		for i, s := range scopes {
			if i > round+1 && round < 5 { // some are set during the traffic, and count what was used before
				continue
			}
			p.put(s, "1000000", budget.USD, "day")
			p.put(s, "1000000000", budget.Tokens, "week")
			p.put(s, "1000000000", budget.Requests, "month")
		}
		var callers sync.WaitGroup
		for range 8 {
			seed := random.Uint64()
			callers.Go(func() {
				r := rand.New(rand.NewPCG(seed, 0))
				for range 40 {
					var grant *token.Grant
					if n := r.IntN(4); n < 3 {
						grant = who[[]string{"shop", "docs", "notebook"}[n]]
					}
					at := []pipeline.Candidate{to("openai", "gpt-x"), to("anthropic", "claude-x"), to("openai", "free"), to("openai", "no-such-model")}[r.IntN(4)]
					use := usage.Tokens{Input: r.Int64N(5000), Output: r.Int64N(900)}
					use.Cached = r.Int64N(use.Input + 1)
					kind := pipeline.ErrorKind("")
					if r.IntN(5) == 0 {
						use, kind = usage.Tokens{}, pipeline.ProviderError
					}
					if err := p.run(t.Context(), p.call(grant, r.Int64N(9000), r.Int64N(2000)), at, use, kind, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		callers.Wait()
		if round == 5 {
			p.put(budget.Scope{Token: "docs"}, "1000000", budget.USD, "month") // counts what was used before it was set
		}
		check(t, p)
		if round%2 == 0 {
			p.stop()
		} else {
			p.log.Close() // killed after the last row was written: no totals
		}
		left := start(t, home, nil)
		check(t, left)
		left.log.Close()
	}
}

// check compares each budget with the log and with package spend.
func check(t *testing.T, p *process) {
	t.Helper()
	if p.log.Dropped() != 0 {
		t.Fatal("rows were dropped")
	}
	budgets := p.list()
	if len(budgets) == 0 {
		t.Fatal("no budgets")
	}
	var rows []*reqlog.Row
	if err := p.log.Each(time.Time{}, time.Time{}, func(r *reqlog.Row) { rows = append(rows, r) }); err != nil {
		t.Fatal(err)
	}
	for _, b := range budgets {
		from, until, _ := spend.Period(b.Period, time.Now(), time.Local)
		if !b.ResetsAt.Equal(until) {
			t.Errorf("%s resets at %s, want %s", b.ID, b.ResetsAt, until)
		}
		var want int64
		for _, r := range rows {
			s := b.Scope
			if r.Time.Before(from) || !(s.All || s.App != "" && s.App == r.App || s.Provider != "" && s.Provider == r.Provider || s.Token != "" && (s.Token == r.Token || s.Token == r.TokenName)) {
				continue
			}
			switch b.Unit {
			case budget.USD:
				if r.CostUSD != nil {
					want += int64(*r.CostUSD)
				}
			case budget.Tokens:
				want += r.Tokens.Input + r.Tokens.Output
			case budget.Requests:
				want += int64(len(r.Attempts))
			}
		}
		if b.Used.N != want || b.Reserved.N != 0 {
			t.Errorf("budget %s of %s in %s a %s: used %s, reserved %s; the log has %d", b.ID, b.Scope, b.Unit, b.Period, b.Used, b.Reserved, want)
		}
		if b.Scope.All && b.Unit == budget.USD {
			sum, err := spend.Of(p.log, spend.Query{From: from, To: time.Now().Add(time.Hour)})
			if err != nil || int64(sum.Total.CostUSD) != b.Used.N || b.Used.N == 0 {
				t.Errorf("spend has %s, the budget %s; %v", sum.Total.CostUSD, b.Used, err)
			}
		}
	}
}

// TestRace: 32 clients overrun a budget that is nearly spent by at most one
// request's estimate, and the reserves of failed requests are released.
func TestRace(t *testing.T) {
	for _, c := range []struct {
		unit, limit string
		most        int64 // limit and the estimate of one request
	}{
		// 1,000 tokens of output at $10 a million, and 3,500 bytes of prompt (1,000 tokens) at $1.25.
		{budget.USD, "0.1", 100_000_000 + 11_250_000},
		{budget.Tokens, "20000", 20_000 + 2000},
		{budget.Requests, "7", 7},
	} {
		t.Run(c.unit, func(t *testing.T) {
			p := start(t, t.TempDir(), nil)
			p.put(budget.Scope{All: true}, c.limit, c.unit, "day")
			var callers sync.WaitGroup
			var refused atomic.Int64
			for i := range 32 {
				callers.Go(func() {
					for range 8 {
						use, kind := usage.Tokens{Input: 1000, Output: 1000}, pipeline.ErrorKind("")
						if i%4 == 0 && c.unit != budget.Requests {
							use, kind = usage.Tokens{}, pipeline.ProviderError
						}
						err := p.run(t.Context(), p.call(nil, 3500, 1000), to("openai", "gpt-x"), use, kind, func() {
							time.Sleep(time.Millisecond)
							if b := p.list()[0]; b.Used.N+b.Reserved.N > c.most {
								t.Errorf("used %s and reserved %s of %s", b.Used, b.Reserved, b.Limit)
							}
						})
						if f := fault.From(err); err != nil {
							refused.Add(1)
							if f.Code != pipeline.CodeBudgetExceeded || !f.NoRetry || !strings.Contains(f.Next, "hostless budget raise b1") || pipeline.KindOf(err) != pipeline.PolicyBudgetExceeded {
								t.Errorf("refused with %+v", f)
							}
						}
					}
				})
			}
			callers.Wait()
			b := p.list()[0]
			if b.Used.N < b.Limit.N || b.Used.N > c.most || b.Reserved.N != 0 || refused.Load() == 0 {
				t.Errorf("used %s of %s, reserved %s, %d refused", b.Used, b.Limit, b.Reserved, refused.Load())
			}
		})
	}
}

// TestWhatApplies: all budgets that apply must have room, others do not matter; a
// call that costs nothing is not refused by a budget in dollars; unpriced models
// are refused only if the setting says so.
func TestWhatApplies(t *testing.T) {
	who := grants(t)
	refuse := false
	p := start(t, t.TempDir(), func(c *budget.Config) { c.Refuse = func() bool { return refuse } })
	p.put(budget.Scope{App: "shop"}, "0.001", budget.USD, "day")
	p.put(budget.Scope{Provider: "anthropic"}, "0", budget.Requests, "month")
	try := func(name string, grant *token.Grant, at pipeline.Candidate, pass bool) {
		t.Helper()
		err := p.run(t.Context(), p.call(grant, 100, 10), at, usage.Tokens{Input: 100, Output: 1000}, "", nil)
		if (err == nil) != pass {
			t.Errorf("%s: %v", name, err)
		}
		refused := p.room.Refuses(p.call(grant, 100, 10), &at)
		if pass && at.Model != "gpt-x" && refused != nil || !pass && refused == nil {
			t.Errorf("%s, asked about the candidate: %v", name, refused)
		}
	}
	try("the first one", who["shop"], to("openai", "gpt-x"), true)
	try("spent", who["shop"], to("openai", "gpt-x"), false)
	try("what costs nothing", who["shop"], to("openai", "free"), true)
	try("on this machine", who["shop"], to("ollama", "qwen3"), true)
	try("unpriced, spent", who["shop"], to("openai", "nobody-knows"), false)
	try("another app", who["docs"], to("openai", "gpt-x"), true)
	try("no token", nil, to("openai", "gpt-x"), true)
	try("a provider that is shut", who["docs"], to("anthropic", "claude-x"), false)
	p.put(budget.Scope{App: "shop"}, "100", budget.USD, "day")
	try("raised", who["shop"], to("openai", "gpt-x"), true)
	try("unpriced, allowed", who["shop"], to("openai", "nobody-knows"), true)
	refuse = true
	try("unpriced, refused", who["shop"], to("openai", "nobody-knows"), false)
	try("unpriced without a budget", who["docs"], to("openai", "nobody-knows"), true)

	list := p.call(who["docs"], 0, 0)
	list.List = true
	if _, err := p.room.Admit(t.Context(), list, nil); err != nil {
		t.Error(err)
	}
	if err := p.room.Remove(t.Context(), "b9"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removing what is not there: %v", err)
	}
	if err := p.room.Remove(t.Context(), "b2"); err != nil {
		t.Error(err)
	}
	try("removed", who["docs"], to("anthropic", "claude-x"), true)
	if b := p.put(budget.Scope{All: true}, "1", budget.USD, "day"); b.ID != "b3" {
		t.Errorf("an id was used again: %s", b.ID)
	}
}

// TestWaits: if a budget is not spent but reserved by a request in flight, the next
// request waits for that one.
func TestWaits(t *testing.T) {
	p := start(t, t.TempDir(), nil)
	p.put(budget.Scope{All: true}, "0.1", budget.USD, "day")
	inFlight, proceed := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- p.run(t.Context(), p.call(nil, 100, 100_000), to("openai", "gpt-x"), usage.Tokens{Input: 10, Output: 10}, "", func() {
			close(inFlight)
			<-proceed
		})
	}()
	<-inFlight
	if b := p.list()[0]; b.Reserved.N < b.Limit.N {
		t.Fatalf("reserved %s", b.Reserved)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.room.Admit(canceled, p.call(nil, 100, 100), []pipeline.Candidate{to("openai", "gpt-x")}); err != context.Canceled {
		t.Errorf("a canceled call: %v", err)
	}
	second := make(chan error, 1)
	go func() {
		second <- p.run(t.Context(), p.call(nil, 100, 100), to("openai", "gpt-x"), usage.Tokens{Input: 10, Output: 10}, "", nil)
	}()
	close(proceed)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil {
		t.Errorf("the second was refused: %v", err)
	}
}

// TestPeriods: periods end in local time; a row counts in the period in which its
// request arrived; the line at 80 % is logged once.
func TestPeriods(t *testing.T) {
	zone := time.FixedZone("east", 9*3600)
	var clock atomic.Int64
	clock.Store(time.Date(2026, 1, 31, 23, 50, 0, 0, zone).Unix()) // a Saturday
	var lines bytesLog
	home := t.TempDir()
	with := func(c *budget.Config) {
		c.Location, c.Now, c.Logger = zone, func() time.Time { return time.Unix(clock.Load(), 0) }, lines.logger()
	}
	p := start(t, home, with)
	p.clock = &clock
	for _, period := range budget.Periods {
		p.put(budget.Scope{All: true}, "1000", budget.Tokens, period)
	}
	err := p.run(t.Context(), p.call(nil, 0, 10), to("openai", "gpt-x"), usage.Tokens{Input: 500, Output: 350}, "", func() {
		clock.Add(20 * 60) // it ends in the next day and month
	})
	if err != nil {
		t.Fatal(err)
	}
	want := func(day, week, month int64) {
		t.Helper()
		for i, n := range []int64{day, week, month} {
			if b := p.list()[i]; b.Used.N != n {
				t.Errorf("%s: used %d, want %d", b.Period, b.Used.N, n)
			}
		}
	}
	want(0, 850, 0)
	if b := p.list()[0]; !b.ResetsAt.Equal(time.Date(2026, 2, 2, 0, 0, 0, 0, zone)) {
		t.Errorf("resets at %s", b.ResetsAt)
	}
	if n := lines.count("nearly spent"); n != 1 { // of the week's budget, the only one that it counts for
		t.Errorf("%d lines", n)
	}
	if w := p.room.Warnings(); len(w) != 1 || !strings.Contains(w[0], "85 %") {
		t.Errorf("warnings: %q", w)
	}
	p.stop()
	p = start(t, home, with)
	p.clock = &clock
	want(0, 850, 0)
	if err := p.run(t.Context(), p.call(nil, 0, 10), to("openai", "gpt-x"), usage.Tokens{Input: 5}, "", nil); err != nil {
		t.Fatal(err)
	}
	want(5, 855, 5)
	if n := lines.count("nearly spent"); n != 1 {
		t.Errorf("%d lines after a restart", n)
	}
	clock.Add(24 * 3600) // Monday
	want(0, 0, 5)
}

// TestFiles: with an unusable budgets.json calls are refused until it is corrected or
// budgets are set anew, which keeps a copy; unusable totals are computed again.
func TestFiles(t *testing.T) {
	home := t.TempDir()
	p := start(t, home, nil)
	p.put(budget.Scope{All: true}, "5", budget.USD, "day")
	if err := p.run(t.Context(), p.call(nil, 0, 10), to("openai", "gpt-x"), usage.Tokens{Input: 1000}, "", nil); err != nil {
		t.Fatal(err)
	}
	p.stop()
	totals := filepath.Join(home, "requests", "totals.json")
	if _, err := os.Stat(totals); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(totals, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, home, nil)
	if b := p.list()[0]; b.Used.String() != "$0.00125" {
		t.Errorf("used %s", b.Used)
	}
	p.stop()
	path := filepath.Join(home, "budgets.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{`, `{"budgets":[{"id":"b1","scope":{},"unit":"usd","limit":"1","period":"day"}]}`, `{"budgets":[{"id":"b1","scope":{"all":true},"unit":"usd","limit":"-1","period":"day"}]}`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var now atomic.Int64
		now.Store(time.Now().UnixNano())
		p = start(t, home, func(c *budget.Config) { c.Now = func() time.Time { return time.Unix(0, now.Load()) } })
		ask := func() error {
			return p.run(t.Context(), p.call(nil, 0, 10), to("openai", "gpt-x"), usage.Tokens{Input: 1000}, "", nil)
		}
		err := fault.From(ask())
		if err == nil || err.Code != pipeline.CodeBudgetExceeded || !err.NoRetry || !strings.Contains(err.Message, path) || err.Next != "hostless budget set AMOUNT/PERIOD" {
			t.Errorf("%s: a call gets %v", bad, err)
		}
		if w := p.room.Warnings(); len(w) != 1 || !strings.Contains(w[0], path) {
			t.Errorf("%s: %q", bad, w)
		}
		if _, err := p.room.List(t.Context()); !fault.Is(err, fault.Unconfigured) {
			t.Errorf("%s: List: %v", bad, err)
		}
		if err := p.room.Remove(t.Context(), "b1"); !fault.Is(err, fault.Unconfigured) {
			t.Errorf("%s: Remove: %v", bad, err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil { // correct the file
			t.Fatal(err)
		}
		now.Add(int64(2 * time.Second))
		if err := ask(); err != nil || len(p.list()) != 1 || len(p.room.Warnings()) != 0 {
			t.Errorf("%s: corrected: %v, %v", bad, err, p.room.Warnings())
		}
		p.stop()
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, home, nil)
	p.put(budget.Scope{All: true}, "7", budget.USD, "day")
	if err := p.run(t.Context(), p.call(nil, 0, 10), to("openai", "gpt-x"), usage.Tokens{Input: 1000}, "", nil); err != nil {
		t.Error(err)
	}
	kept, _ := filepath.Glob(path + ".corrupt-*")
	if w := p.room.Warnings(); len(kept) != 1 || len(w) != 1 || !strings.Contains(w[0], kept[0]) || len(p.list()) != 1 {
		t.Errorf("set anew: kept %s, %q", kept, w)
	}
}

// TestPutRefuses: the error names the field at fault.
func TestPutRefuses(t *testing.T) {
	p := start(t, t.TempDir(), nil)
	for param, r := range map[string]budget.Request{
		"scope":  {Unit: budget.USD, Limit: "1", Period: "day"},
		"unit":   {Scope: budget.Scope{All: true}, Unit: "eur", Limit: "1", Period: "day"},
		"period": {Scope: budget.Scope{All: true}, Unit: budget.USD, Limit: "1", Period: "year"},
		"limit":  {Scope: budget.Scope{All: true}, Unit: budget.Tokens, Limit: "1.5", Period: "day"},
	} {
		if _, err := p.room.Put(t.Context(), r); fault.From(err) == nil || fault.From(err).Param != param {
			t.Errorf("%s: %v", param, err)
		}
	}
	for _, s := range []budget.Scope{{App: "a", All: true}, {Token: "sk_local_ab"}} {
		if _, err := p.room.Put(t.Context(), budget.Request{Scope: s, Unit: budget.USD, Limit: "1", Period: "day"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if b := p.put(budget.Scope{Token: "sk_local_abcdefghijklmnop"}, "1", budget.USD, "day"); b.Scope.Token != "sk_local_abcdefgh" {
		t.Errorf("a whole token was kept: %s", b.Scope.Token)
	}
	if b := p.put(budget.Scope{Provider: "gemini"}, "1", budget.USD, "day"); b.Scope.Provider != "google" {
		t.Errorf("provider %s", b.Scope.Provider)
	}
	data, _ := json.Marshal(p.list())
	if !strings.Contains(string(data), `"limit":"1"`) || !strings.Contains(string(data), `"reserved":"0"`) {
		t.Errorf("%s", data)
	}
	if b := p.put(budget.Scope{All: true}, "7", budget.Requests, "week"); b.Limit.N != 7 {
		t.Error(b)
	}
	if data, _ = json.Marshal(p.list()[2]); !strings.Contains(string(data), `"limit":7`) || !strings.Contains(string(data), `"scope":{"all":true}`) {
		t.Errorf("%s", data)
	}
}

// TestKill: the traffic stays stopped across restarts, until it is resumed.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "killed")
	s := budget.NewSwitch(path, nil)
	if _, err := s.Admit(t.Context(), &pipeline.Call{}, nil); err != nil || s.Stopped() {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	again := budget.NewSwitch(path, nil)
	_, err := again.Admit(t.Context(), &pipeline.Call{List: true}, nil)
	if f := fault.From(err); f == nil || f.Code != pipeline.CodeKilled || !f.NoRetry || pipeline.KindOf(err) != pipeline.PolicyKilled || f.Next != "hostless unkill" {
		t.Errorf("%+v", f)
	}
	for range 2 {
		if err := again.Unkill(); err != nil || again.Stopped() {
			t.Fatal(err)
		}
	}
	if budget.NewSwitch(path, nil).Stopped() {
		t.Error("it is still stopped")
	}
	if err := budget.NewSwitch(filepath.Join(path, "no", "directory"), nil).Kill(); err == nil || !strings.Contains(err.Error(), "only until the daemon ends") {
		t.Errorf("a file that cannot be written: %v", err)
	}
}

// TestHandover: a successor takes over the reserves of its predecessor's calls. It
// counts them once their rows are in the log, and releases them if the calls end
// without one. The predecessor counts the successor's rows and uses its budgets.
func TestHandover(t *testing.T) {
	home := t.TempDir()
	old := start(t, home, nil)
	old.put(budget.Scope{All: true}, "5", budget.Requests, "day")
	var late []budget.Held
	inFlight := func(p *process) (done func()) {
		started, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			if err := p.run(t.Context(), p.call(nil, 0, 10), to("openai", "gpt-x"), usage.Tokens{Input: 5}, "", func() {
				close(started)
				<-proceed
			}); err != nil {
				t.Error(err)
				close(started)
			}
		}()
		<-started
		return func() { close(proceed); <-ended }
	}
	want := func(what string, p *process, used, reserved int64) {
		t.Helper()
		p.log.Last(0, reqlog.Filter{}) // wait until its rows are written
		if b := p.list()[0]; b.Used.N != used || b.Reserved.N != reserved {
			t.Errorf("%s: used %d, reserved %d, want %d and %d", what, b.Used.N, b.Reserved.N, used, reserved)
		}
	}
	one, two := inFlight(old), inFlight(old)
	old.room.OnHold(func(h budget.Held) { late = append(late, h) })
	data, err := json.Marshal(old.room.Export())
	if err != nil {
		t.Fatal(err)
	}
	var handed []budget.Held
	if err := json.Unmarshal(data, &handed); err != nil || len(handed) != 2 {
		t.Fatalf("%s: %v", data, err)
	}
	one() // its row is written before the successor reads the log
	old.log.Last(0, reqlog.Filter{})
	next := start(t, home, func(c *budget.Config) { c.Held = handed })
	want("handed over", next, 1, 1)
	three := inFlight(old)
	next.room.Import(late...)
	want("taken late", next, 1, 2)
	two()
	old.log.Last(0, reqlog.Filter{})
	want("the old one", old, 2, 1)
	want("counted", next, 2, 1)
	next.room.Import(handed...) // a row that arrived before its reserve
	want("seen", next, 2, 1)
	if err := next.run(t.Context(), next.call(nil, 0, 10), to("openai", "gpt-x"), usage.Tokens{Input: 5}, "", nil); err != nil {
		t.Error(err)
	}
	want("the new one's", next, 3, 1)
	want("the new one's, in the old", old, 3, 1)
	var sent []budget.Held
	next.room.OnHold(func(h budget.Held) { sent = append(sent, h) })
	four := inFlight(next)
	old.room.Import(append(sent, late[0], handed[0])...) // its own ones are not sent back
	want("in flight at the new one, in the old", old, 3, 2)
	if _, err := old.room.Admit(t.Context(), old.call(nil, 0, 10), []pipeline.Candidate{to("openai", "gpt-x")}); err == nil {
		t.Error("the predecessor admits what its successor has reserved")
	}
	four()
	next.log.Last(0, reqlog.Filter{})
	want("counted in the old", old, 4, 1)
	var budgets []byte
	next.room.OnChange(func(data []byte) { budgets = data })
	next.put(budget.Scope{All: true}, "5", budget.Requests, "day")
	if err := old.room.Adopt(budgets); err != nil {
		t.Fatal(err)
	}
	if _, err := old.room.Admit(t.Context(), old.call(nil, 0, 10), []pipeline.Candidate{to("openai", "gpt-x")}); err == nil {
		t.Error("the predecessor does not have the successor's limit")
	}
	three()
	old.log.Last(0, reqlog.Filter{})
	ctx, end := context.WithCancel(t.Context())
	end()
	next.room.Import(budget.Held{ID: "req_gone-1"})
	next.room.Follow(ctx)
	next.room.Forget()
	want("the end", next, 5, 0)
}
