package requests_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/test/harness"
)

// TestReplay: a day of mixed traffic, with kills, stops and handovers in between. The log
// contains every request whose response the client received completely, exactly once, and
// log, spend and the stand-in's own count agree to the nano-dollar.
//
// The clients pause while the daemon is killed; TestKillUnderLoad does not.
func TestReplay(t *testing.T) {
	total := 10_000
	if testing.Short() {
		total = 2_000
	}
	home := harness.Home(t)
	w := &world{Daemon: harness.StartIn(t, home, "--token-persistence", "file"), t: t}
	s := reporting(t)
	w.provider("anthropic", s.URL)
	w.provider("openai", s.URL+"/v1")
	w.token = w.mint("--name", "replay")
	w.webApp("shop")
	w.Must("budget", "set", "100000usd/month", "--all") // high enough that they only count
	w.Must("budget", "set", "1000000000tokens/month", "--token", "replay")
	w.Must("budget", "set", "1000000requests/month", "--all")
	const phases, clients = 8, 8
	var (
		mu       sync.Mutex
		count    sums
		appCount int
	)
	restarted := false
	for phase := range phases {
		var group sync.WaitGroup
		for c := range clients {
			group.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(phase), uint64(c)))
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for range total / phases / clients {
					one, isApp, err := w.oneRequest(client, rnd)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if isApp {
						appCount++
					} else {
						count.add(one)
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		w.agrees(fmt.Sprintf("phase %d", phase), &count, appCount)
		if t.Failed() {
			return
		}
		switch {
		case restarted: // the last daemon is not a child of this process
		case phase == phases-1:
		case phase == phases-2:
			w.Must("proxy", "restart")
			restarted = true
			defer w.Must("proxy", "stop")
		case phase%2 == 0:
			w.Kill()
			w.Daemon = harness.StartIn(t, home, "--token-persistence", "file")
		default:
			w.Stop()
			w.Daemon = harness.StartIn(t, home, "--token-persistence", "file")
		}
	}
	if asked := s.asked.Load(); asked != count.asked {
		t.Errorf("the provider got %d requests, the clients count %d", asked, count.asked)
	}
}

// sums contains the clients' own counts.
type sums struct {
	requests, errors, asked int64
	tokens                  tokens
	cost                    prices.Nano
}

func (s *sums) add(o sums) {
	s.requests, s.errors, s.asked, s.cost = s.requests+o.requests, s.errors+o.errors, s.asked+o.asked, s.cost+o.cost
	s.tokens.Input += o.tokens.Input
	s.tokens.Cached += o.tokens.Cached
	s.tokens.CacheWrite += o.tokens.CacheWrite
	s.tokens.CacheWrite1h += o.tokens.CacheWrite1h
	s.tokens.Output += o.tokens.Output
}

// oneRequest sends a random request and counts what it must cost, with prices in
// nano-dollars per token that are written here instead of queried from the daemon.
func (w *world) oneRequest(client *http.Client, rnd *rand.Rand) (one sums, isApp bool, err error) {
	in, out := rnd.IntN(5000)+10, rnd.IntN(800)+1
	cached, write, write1h := rnd.IntN(in/2), rnd.IntN(300), rnd.IntN(200)
	stream := rnd.IntN(2) == 0
	path, body, status := "", "", 200
	one.requests, one.asked = 1, 1
	switch kind := rnd.IntN(10); kind {
	case 0, 1, 2: // claude-sonnet-4-5: 3, 0.30, 3.75, 6 and 15 dollars per million
		path, body = "/v1/messages", use("claude-sonnet-4-5", "/v1/messages", stream, in, cached, write, write1h, out)
		one.tokens = tokens{Input: int64(in + cached + write + write1h), Cached: int64(cached), CacheWrite: int64(write + write1h), CacheWrite1h: int64(write1h), Output: int64(out)}
		one.cost = prices.Nano(in*3000 + cached*300 + write*3750 + write1h*6000 + out*15000)
	case 3, 4, 5: // gpt-5: 1.25, 0.125 and 10
		path, body = "/v1/responses", use("gpt-5", "/v1/responses", stream, in, cached, 0, 0, out)
		one.tokens = tokens{Input: int64(in), Cached: int64(cached), Output: int64(out)}
		one.cost = prices.Nano((in-cached)*1250 + cached*125 + out*10000)
	case 6: // gpt-4o-mini: 0.15, 0.075 and 0.60
		path, body = "/v1/chat/completions", use("gpt-4o-mini", "", false, in, cached, 0, 0, out)
		one.tokens = tokens{Input: int64(in), Cached: int64(cached), Output: int64(out)}
		one.cost = prices.Nano((in-cached)*150 + cached*75 + out*600)
	case 7: // the provider refuses
		path, body, status = "/v1/chat/completions", chat("gpt-4o-mini", false), 400
		one.errors = 1
	case 8: // Hostless refuses
		path, body, status = "/v1/chat/completions", chat("mistral/x", false), 400
		one.errors, one.asked = 1, 0
	default:
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+w.Port+"/page?x=1", nil)
		if err != nil {
			return one, true, err
		}
		req.Host = "shop.localhost:" + w.Port
		return one, true, finish(client, req, 200)
	}
	req, err := http.NewRequest("POST", w.URL+path, strings.NewReader(body))
	if err != nil {
		return one, false, err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("anthropic-version", "2023-06-01")
	return one, false, finish(client, req, status)
}

func finish(client *http.Client, req *http.Request, status int) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s: %s %s", req.URL, resp.Status, data)
	}
	return err
}

// agrees compares spend, and the log if all rows are available, with the clients' count.
func (w *world) agrees(when string, want *sums, apps int) {
	t := w.t
	t.Helper()
	var got report
	w.get("/spend?since=24h&by=model", &got)
	if got.Total.Requests != want.requests || got.Total.Errors != want.errors || got.Total.Cost != want.cost.String() || got.Total.Tokens != want.tokens || got.Total.UnpricedRequests != 0 {
		t.Errorf("%s: spend is %+v, want %+v with cost %s", when, got.Total, *want, want.cost)
	}
	var logged sums
	seen := map[string]bool{}
	for _, r := range w.rows("n=10000") {
		if seen[r.ID] {
			t.Errorf("%s: %s is there twice", when, r.ID)
		}
		seen[r.ID] = true
		one := sums{requests: 1, tokens: r.Tokens}
		if r.ErrorKind != "" {
			one.errors = 1
		}
		n, err := prices.ParseNano(*r.Cost)
		if err != nil {
			t.Error(err)
		}
		one.cost = n
		one.tokens.Reasoning = 0
		logged.add(one)
	}
	logged.asked = want.asked
	if logged != *want {
		t.Errorf("%s: the log adds up to %+v, want %+v", when, logged, *want)
	}
	w.budgetsAgree(when, want)
	if n := len(w.appRows("n=10000")); n != apps {
		t.Errorf("%s: %d requests to the app, want %d", when, n, apps)
	}
}

// budgetsAgree compares the budgets with the clients' count.
func (w *world) budgetsAgree(when string, want *sums) {
	t := w.t
	t.Helper()
	var list struct {
		Budgets []struct {
			Unit     string
			Used     json.RawMessage
			Reserved json.RawMessage
		}
	}
	w.get("/budgets", &list)
	used := map[string]string{
		"usd": strconv.Quote(want.cost.String()), "tokens": strconv.FormatInt(want.tokens.Input+want.tokens.Output, 10), "requests": strconv.FormatInt(want.asked, 10),
	}
	if len(list.Budgets) != len(used) {
		t.Fatalf("%s: budgets %+v", when, list.Budgets)
	}
	for _, b := range list.Budgets {
		if reserved := strings.Trim(string(b.Reserved), `"0.`); string(b.Used) != used[b.Unit] || reserved != "" {
			t.Errorf("%s: the budget in %s has used %s and reserved %s, want %s", when, b.Unit, b.Used, b.Reserved, used[b.Unit])
		}
	}
}
