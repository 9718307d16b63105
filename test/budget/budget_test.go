package budget

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/hostless/hostless/test/harness"
)

// refused checks a refusal in OpenAI's dialect.
func refused(t *testing.T, resp *http.Response, body, code, command string) {
	t.Helper()
	var e struct {
		Error struct {
			Message, Code, Type string
		}
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.Code != code || !strings.Contains(e.Error.Message, command) {
		t.Errorf("%d %s, %v", resp.StatusCode, body, err)
	}
	if resp.Header.Get("X-Should-Retry") != "false" || resp.Header.Get("Retry-After") != "" || resp.StatusCode < 400 || resp.StatusCode >= 500 {
		t.Errorf("status %d, headers %v", resp.StatusCode, resp.Header)
	}
}

// TestBudget: 32 concurrent clients with a budget that is nearly spent. Usage before the
// budget was set counts; after it is raised, requests pass; restarts change nothing.
func TestBudget(t *testing.T) {
	w := newWorld(t)
	if resp, body := w.chat(900); resp.StatusCode != 200 { // $0.0091
		t.Fatal(body)
	}
	var set budget
	if status := w.control("PUT", "/budgets", map[string]any{"scope": map[string]any{"all": true}, "unit": "usd", "limit": "0.05", "period": "day"}, &set); status != 200 {
		t.Fatal(status)
	}
	if string(set.Used) != `"0.0091"` || string(set.Limit) != `"0.05"` || set.ID == "" || set.Scope["all"] != true || set.ResetsAt.Before(time.Now()) {
		t.Errorf("%+v", set)
	}
	before := w.up.asked.Load()
	var passed, denied atomic.Int64
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			resp, body := w.chat(900)
			if resp.StatusCode == 200 {
				passed.Add(1)
				return
			}
			denied.Add(1)
			refused(t, resp, body, "budget_exceeded", "hostless budget raise "+set.ID)
		})
	}
	callers.Wait()
	if up := w.up.asked.Load() - before; up != passed.Load() || passed.Load() != 5 || denied.Load() != 27 {
		t.Errorf("%d passed and %d were refused, the provider saw %d", passed.Load(), denied.Load(), up)
	}
	check := func(used string) {
		t.Helper()
		cost, _, _ := w.spent()
		if b := w.budgets(); len(b) != 1 || string(b[0].Used) != `"`+used+`"` || cost != used || string(b[0].Reserved) != `"0"` {
			t.Errorf("%s; spend has %s", b[0].Used, cost)
		}
	}
	check("0.0546")
	if row := w.rows(1)[0]; row["error_kind"] != "policy_budget_exceeded" || row["cost_usd"] != "0" || row["status"] != 402.0 {
		t.Errorf("%v", row)
	}
	if out := w.Must("status"); !strings.Contains(out, "budget "+set.ID) || !strings.Contains(out, "is spent") {
		t.Errorf("status:\n%s", out)
	}
	if n := strings.Count(w.Log(), "a budget is nearly spent"); n != 1 {
		t.Errorf("%d lines:\n%s", n, w.Log())
	}
	w.Stop()
	w.start(w.Home)
	check("0.0546")
	if resp, body := w.chat(1); resp.StatusCode == 200 {
		t.Error(body)
	}
	if out := w.Must("budget", "raise", set.ID, "1usd"); !strings.Contains(out, "$1 a day for all, $0.0546 used") {
		t.Error(out)
	}
	if resp, body := w.chat(900); resp.StatusCode != 200 {
		t.Error(body)
	}
	w.up.fail.Store(true)
	w.chat(900)
	w.up.fail.Store(false)
	w.Kill()
	w.start(w.Home)
	check("0.0637")
	if r := w.CLI("budget", "list"); r.Code != 0 || !strings.Contains(r.Stdout, set.ID) || !strings.Contains(r.Stdout, "$1/day") {
		t.Errorf("%+v", r)
	}
	w.Must("budget", "remove", set.ID)
	if r := w.CLI("budget", "remove", set.ID); r.Code != 1 || !strings.Contains(r.Stderr, "hostless budget list") {
		t.Errorf("%+v", r)
	}
}

// TestDialects: a spent budget is reported in the client's dialect.
func TestDialects(t *testing.T) {
	w := newWorld(t)
	w.Must("budget", "set", "0requests/week")
	before := w.up.asked.Load()
	for _, c := range []struct{ path, body, want string }{
		{"/v1/chat/completions", `{"model":"gpt-x","stream":true,"messages":[]}`, `"code":"budget_exceeded"`},
		{"/v1/responses", `{"model":"gpt-x","input":"hi"}`, `"code":"budget_exceeded"`},
		{"/v1/messages", `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, `"type":"error","error":{"type":"`},
		{"/v1beta/models/gemini-x:generateContent", `{"contents":[{"parts":[{"text":"hi"}]}]}`, `"BUDGET_EXCEEDED"`},
		{"/api/chat", `{"model":"openai/gpt-x","messages":[]}`, `"error":"budget b1`},
	} {
		resp, body := w.post(c.path, c.body)
		status := 402
		if c.path == "/v1/responses" {
			status = 400 // a status that Codex does not retry
		}
		if resp.StatusCode != status || !strings.Contains(body, c.want) || !strings.Contains(body, "hostless budget raise b1") || resp.Header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %d %s", c.path, resp.StatusCode, body)
		}
	}
	if up := w.up.asked.Load(); up != before {
		t.Errorf("the provider saw %d", up-before)
	}
}

// TestCommands: mistakes in arguments are named in the error, with the right exit code.
func TestCommands(t *testing.T) {
	w := newWorld(t)
	for line, want := range map[string]string{
		"budget set 5":                          "has no period",
		"budget set 5eur/day":                   "is not an amount",
		"budget set 1.5tokens/day":              "whole number",
		"budget set 5/day --app x --provider y": "scope must be one of",
		"budget set $5tokens/day":               "is not an amount",
		"budget raise b1":                       "an argument is missing",
	} {
		if r := w.CLI(strings.Fields(line)...); r.Code != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: %+v", line, r)
		}
	}
	for _, line := range []string{"budget set 5/day", "budget set $6/day --all", "budget set 100request/month --token tests", "budget set 200000tokens/week --app shop", "budget raise b1 7"} {
		w.Must(strings.Fields(line)...)
	}
	if r := w.CLI("budget", "raise", "b1", "7tokens"); r.Code != 2 {
		t.Errorf("%+v", r)
	}
	var l struct{ Budgets []budget }
	if err := json.Unmarshal([]byte(w.Must("budget", "list", "--json")), &l); err != nil || len(l.Budgets) != 3 || string(l.Budgets[0].Limit) != `"7"` || string(l.Budgets[1].Limit) != "100" ||
		l.Budgets[1].Scope["token"] != "tests" {
		t.Errorf("%+v, %v", l, err)
	}
	if status := w.control("PUT", "/budgets", map[string]any{"scope": map[string]any{}, "unit": "usd", "limit": "1", "period": "day"}, nil); status != 400 {
		t.Errorf("without a scope: %d", status)
	}
	w.Must("config", "set", "budget-unpriced", "refuse")
	if resp, body := w.post("/v1/chat/completions", `{"model":"openai/nobody-knows","messages":[]}`); resp.StatusCode != 402 || !strings.Contains(body, "hostless config set budget-unpriced allow") {
		t.Errorf("unpriced: %d %s", resp.StatusCode, body)
	}
}

// dial opens a realtime session.
func (w *world) dial() *websocket.Conn {
	w.t.Helper()
	c, _, err := websocket.DefaultDialer.Dial("ws://localhost:"+w.Port+"/v1/realtime?model=gpt-x", http.Header{"Authorization": {"Bearer " + w.token}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

func read(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, data, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRealtime: each response in a session is checked against the budgets.
func TestRealtime(t *testing.T) {
	w := newWorld(t)
	w.Must("budget", "set", "250tokens/day")
	c := w.dial()
	before := w.up.asked.Load()
	for range 2 {
		c.WriteMessage(websocket.TextMessage, []byte(`{"type":"response.create"}`))
		if got := read(t, c); !strings.Contains(got, "response.created") {
			t.Fatal(got)
		}
		if got := read(t, c); !strings.Contains(got, "response.done") {
			t.Fatal(got)
		}
	}
	c.WriteMessage(websocket.TextMessage, []byte(`{"type":"response.create","event_id":"e3"}`))
	if got := read(t, c); !strings.Contains(got, "budget_exceeded") || !strings.Contains(got, "hostless budget raise b1") {
		t.Errorf("the third: %s", got)
	}
	if n := w.up.asked.Load() - before; n != 2 {
		t.Errorf("the provider saw %d", n)
	}
	if b := w.budgets()[0]; string(b.Used) != "400" || string(b.Reserved) != "0" {
		t.Errorf("used %s, reserved %s", b.Used, b.Reserved)
	}
}

// TestKill: `hostless kill` ends a stream and a session at once, with the reason. Nothing
// is sent to providers until `hostless unkill`, even after a restart. A program below a
// run can use neither command.
func TestKill(t *testing.T) {
	w := newWorld(t)
	req, _ := http.NewRequest("POST", w.URL+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-x","stream":true,"messages":[]}`))
	req.Header.Set("Authorization", "Bearer "+w.token)
	stream, err := http.DefaultClient.Do(req)
	if err != nil || stream.StatusCode != 200 {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	first := make([]byte, 1)
	if _, err := stream.Body.Read(first); err != nil {
		t.Fatal(err)
	}
	c := w.dial()

	bin := filepath.Join(harness.Bin(t), "hostless")
	for _, line := range []string{"kill", "unkill", "budget set 5/day", "budget remove b1"} {
		args := append([]string{"run", "agent", "--", bin}, strings.Fields(line)...)
		if r := w.CLI(args...); r.Code == 0 || !strings.Contains(r.Stderr, "hostless run") {
			t.Errorf("below a run, %s: %+v", line, r)
		}
	}
	if out := w.Must("kill", "--json"); !strings.Contains(out, `"killed":true`) {
		t.Error(out)
	}
	var rest strings.Builder
	buf := make([]byte, 4096)
	for err == nil {
		var n int
		n, err = stream.Body.Read(buf)
		rest.Write(buf[:n])
	}
	if !strings.Contains(rest.String(), `"code":"killed"`) || !strings.Contains(rest.String(), "hostless unkill") || strings.Contains(rest.String(), "[DONE]") {
		t.Errorf("the stream ended with %s", rest.String())
	}
	if got := read(t, c); !strings.Contains(got, `killed`) {
		t.Errorf("the session ended with %s", got)
	}
	before := w.up.asked.Load()
	check := func() {
		t.Helper()
		resp, body := w.chat(1)
		refused(t, resp, body, "killed", "hostless unkill")
		var status struct{ Killed bool }
		w.control("GET", "/status", nil, &status)
		if !status.Killed || w.up.asked.Load() != before {
			t.Errorf("killed: %t, the provider saw %d", status.Killed, w.up.asked.Load()-before)
		}
		if row := w.rows(1)[0]; row["error_kind"] != "policy_killed" {
			t.Errorf("%v", row["error_kind"])
		}
	}
	check()
	w.Kill()
	w.start(w.Home)
	check()
	if resp, err := http.Get(w.URL + "/api/tags"); err != nil || resp.StatusCode != 200 || w.up.asked.Load() != before {
		t.Errorf("Ollama's list: %v, the provider got %d", err, w.up.asked.Load()-before)
	}
	if out := w.Must("status"); !strings.Contains(out, "hostless unkill") {
		t.Error(out)
	}
	w.Must("unkill")
	if resp, body := w.chat(1); resp.StatusCode != 200 {
		t.Error(body)
	}
	trail := w.Must("audit", "--json")
	for _, want := range []string{`"action":"POST /kill"`, `"action":"POST /unkill"`, `"action":"PUT /budgets"`, `"result":"permission_error"`, `"run":"agent"`} {
		if !strings.Contains(trail, want) {
			t.Errorf("the audit log has no %s", want)
		}
	}
}

// TestCrash: wherever the daemon is killed, the budgets agree with spend and the log.
func TestCrash(t *testing.T) {
	w := newWorld(t)
	w.Must("budget", "set", "1000/month")
	w.Must("budget", "set", "1000000000tokens/month")
	w.Must("budget", "set", "1000000requests/month")
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		var callers sync.WaitGroup
		stop := make(chan struct{})
		for i := range 8 {
			callers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					req, _ := http.NewRequest("POST", w.URL+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(`{"model":"gpt-x","max_tokens":%d,"messages":[]}`, i*7+n%50)))
					req.Header.Set("Authorization", "Bearer "+w.token)
					if resp, err := http.DefaultClient.Do(req); err == nil {
						resp.Body.Close()
					}
				}
			})
		}
		time.Sleep(150 * time.Millisecond) // some traffic; the result does not depend on how much
		switch round % 3 {
		case 0:
			w.Kill()
		case 1:
			w.Must("proxy", "restart")
			time.Sleep(100 * time.Millisecond)
			w.Control().CloseIdleConnections()
			w.CLI("stop")
		default:
			w.Stop()
		}
		close(stop)
		callers.Wait()
		w.start(w.Home)
		cost, tokens, requests := w.spent()
		b := w.budgets()
		if len(b) != 3 || string(b[0].Used) != `"`+cost+`"` || string(b[1].Used) != fmt.Sprint(tokens) || requests == 0 {
			t.Fatalf("round %d: %s and %s used; spend has %s and %d in %d", round, b[0].Used, b[1].Used, cost, tokens, requests)
		}
		for _, one := range b {
			if r := string(one.Reserved); r != "0" && r != `"0"` {
				t.Errorf("round %d: %s reserved", round, r)
			}
		}
	}
}

// TestHandover: during a restart without interruption, a predecessor's requests count,
// their reservations are kept, and `hostless kill` reaches them.
func TestHandover(t *testing.T) {
	w := newWorld(t)
	t.Cleanup(func() { w.CLI("stop") })
	w.Must("budget", "set", "2requests/day")
	release := w.up.wait()
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() {
			if resp, body := w.chat(1); resp.StatusCode != 200 {
				t.Errorf("in flight: %s", body)
			}
		})
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		for limit := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("%s: %+v", what, w.budgets())
			}
		}
	}
	is := func(used, reserved string) func() bool {
		return func() bool { b := w.budgets()[0]; return string(b.Used) == used && string(b.Reserved) == reserved }
	}
	await("in flight", is("0", "2"))
	w.Must("proxy", "restart")
	await("handed over", is("0", "2"))
	resp, body := w.chat(1)
	refused(t, resp, body, "budget_exceeded", "hostless budget raise b1")
	release()
	held.Wait()
	await("counted", is("2", "0"))
	w.Must("budget", "raise", "b1", "10")

	req, _ := http.NewRequest("POST", w.URL+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-x","stream":true,"messages":[]}`))
	req.Header.Set("Authorization", "Bearer "+w.token)
	stream, err := http.DefaultClient.Do(req)
	if err != nil || stream.StatusCode != 200 {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	await("streaming", is("2", "1"))
	w.Must("proxy", "restart")
	await("handed over again", is("2", "1"))
	w.Must("kill")
	rest, _ := io.ReadAll(stream.Body)
	if !strings.Contains(string(rest), `"code":"killed"`) {
		t.Errorf("the predecessor's stream ended with %s", rest)
	}
	await("ended", is("3", "0"))
}

// TestHandoverReserves: a session that a predecessor still serves does not get what the
// successor has reserved for a request in flight.
func TestHandoverReserves(t *testing.T) {
	w := newWorld(t)
	t.Cleanup(func() { w.CLI("stop") })
	w.Must("budget", "set", "100requests/day")
	c := w.dial()
	turn := func() string {
		c.WriteMessage(websocket.TextMessage, []byte(`{"type":"response.create"}`))
		got := read(t, c)
		if strings.Contains(got, "response.created") {
			got = read(t, c)
		}
		return got
	}
	if got := turn(); !strings.Contains(got, "response.done") {
		t.Fatal(got)
	}
	w.Must("proxy", "restart")
	standing := func() (used, reserved int) {
		b := w.budgets()[0]
		used, _ = strconv.Atoi(string(b.Used))
		reserved, _ = strconv.Atoi(string(b.Reserved))
		return used, reserved
	}
	used, before := standing()
	release := w.up.wait()
	var held sync.WaitGroup
	held.Go(func() {
		if resp, body := w.chat(1); resp.StatusCode != 200 {
			t.Errorf("in flight: %s", body)
		}
	})
	for limit := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, reserved := standing(); reserved == before+1 {
			break
		} else if time.Now().After(limit) {
			t.Fatalf("%d reserved, want %d", reserved, before+1)
		}
	}
	w.Must("budget", "raise", "b1", strconv.Itoa(used+before+3)) // one for the request, two turns
	for n := range 2 {
		if got := turn(); !strings.Contains(got, "response.done") {
			t.Errorf("turn %d: %s", n, got)
		}
	}
	if got := turn(); !strings.Contains(got, "budget_exceeded") {
		t.Errorf("the predecessor admits what its successor has reserved: %s", got)
	}
	release()
	held.Wait()
}

// TestFallback: if a budget for the first target's provider is spent, an alias uses the
// next target; if a budget for all is spent, the request is refused.
func TestFallback(t *testing.T) {
	w := newWorld(t)
	if status := w.control("PUT", "/models/aliases/fast", map[string]any{"targets": []string{"openai/gpt-x", "groq/gpt-y"}}, nil); status != 200 {
		t.Fatal(status)
	}
	if r := w.CLIWith("gsk_canary000000000000000000000000", "keys", "add", "groq", "-", "--base-url", w.up.URL); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	ask := func() (*http.Response, string) {
		return w.post("/v1/chat/completions", `{"model":"fast","max_tokens":9,"messages":[{"role":"user","content":"hello"}]}`)
	}
	for _, step := range []struct{ set, provider string }{
		{"budget set 1requests/day --provider openai", "openai"}, {"status", "groq"}, {"budget set 2requests/day", ""},
	} {
		w.Must(strings.Fields(step.set)...)
		resp, body := ask()
		row := w.rows(1)[0]
		if step.provider == "" {
			refused(t, resp, body, "budget_exceeded", "hostless budget raise b1")
		} else if resp.StatusCode != 200 || row["provider"] != step.provider {
			t.Errorf("after %s: %d %s, by %v", step.set, resp.StatusCode, body, row["provider"])
		}
	}
}
