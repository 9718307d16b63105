package approval_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/approval"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/secret"
	"github.com/hostless/hostless/pkg/token"
)

// screen stands in for a desktop. Dialogs get the answers that are sent on answers.
type screen struct {
	on      atomic.Bool
	asked   chan approval.Question
	answers chan approval.Answer
	closed  atomic.Int32 // dialogs closed by the queue before an answer
}

func newScreen() *screen {
	s := &screen{asked: make(chan approval.Question, 64), answers: make(chan approval.Answer)}
	s.on.Store(true)
	return s
}

func (s *screen) Available(context.Context) bool { return s.on.Load() }

func (s *screen) Ask(ctx context.Context, q approval.Question) approval.Answer {
	s.asked <- q
	select {
	case a := <-s.answers:
		return a
	case <-ctx.Done():
		s.closed.Add(1)
		return approval.NoAnswer
	}
}

// world is a handler on top of a queue.
type world struct {
	*approval.Queue
	h      *approval.Handler
	minted []string
	run    string // the run that the client belongs to, or ""
}

func newWorld(t *testing.T, cfg approval.Config) *world {
	t.Helper()
	ids := 0
	if cfg.NewID == nil {
		cfg.NewID = func() string { ids++; return fmt.Sprintf("id%d", ids) }
	}
	q, warnings, err := approval.New(cfg)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	w := &world{Queue: q}
	w.h = approval.NewHandler(approval.HandlerConfig{
		Queue: q, Port: func() int { return 4711 },
		Caller: func(*http.Request) (string, string) { return "curl (42)", w.run },
		Mint: func(_ context.Context, origin string, terms approval.Terms) (approval.Minted, error) {
			w.minted = append(w.minted, fmt.Sprintf("%s %v %v %d %v", origin, terms.Scope.Providers, terms.Scope.Models, terms.RateLimit, terms.TTL))
			return approval.Minted{Secret: secret.New(fmt.Sprintf("sk_local_%d", len(w.minted))), ExpiresIn: terms.TTL}, nil
		},
	})
	t.Cleanup(q.Close)
	return w
}

type reply struct {
	status   int
	body     string
	location string
	header   http.Header
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return v
}

func (w *world) do(ctx context.Context, method, target, body string, header ...string) reply {
	r := httptest.NewRequest(method, "http://localhost:4711"+target, strings.NewReader(body)).WithContext(ctx)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	return reply{rec.Code, strings.TrimSpace(rec.Body.String()), rec.Header().Get("Location"), rec.Header()}
}

func (w *world) register(t *testing.T, body string, header ...string) reply {
	return w.do(t.Context(), "POST", "/auth/register", body, header...)
}

const plain = `{"origin":"https://app.example"}`

// TestNobodyToAsk: without a desktop a request is refused at once but stays approvable,
// and an identical request after the approval gets the token.
func TestNobodyToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, approval.Config{})
		r := w.register(t, plain)
		v := r.json(t)
		if r.status != 403 || v["approval_id"] != "id1" || !strings.Contains(fmt.Sprint(v["error"]), "hostless approvals") || v["command"] != "hostless approve id1" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if again := w.register(t, plain).json(t); again["approval_id"] != "id1" {
			t.Errorf("the same request again: %v", again)
		}
		list := w.Pending()
		if len(list) != 1 || list[0].Process != "curl (42)" || list[0].Origin != "https://app.example" {
			t.Fatalf("%+v", list)
		}
		if _, _, err := w.Decide("id1", approval.Decision{Approve: true}); err != nil {
			t.Fatal(err)
		}
		if len(w.Pending()) != 0 {
			t.Error("the answered request is still listed")
		}
		// A different request of the same origin does not get the approved token.
		if r := w.register(t, `{"origin":"https://app.example","rate_limit":7}`); r.status != 403 {
			t.Errorf("another request: %d %s", r.status, r.body)
		}
		time.Sleep(4 * time.Minute)
		r = w.register(t, `{"origin":"https://app.example","state":"s1"}`)
		if v := r.json(t); r.status != 200 || v["token"] != "sk_local_1" || v["port"] != 4711.0 || v["local_url"] != "http://localhost:4711" || v["state"] != "s1" || v["expires_in"] != 3600.0 {
			t.Errorf("%d %s", r.status, r.body)
		}
		if r := w.register(t, plain); r.status != 403 {
			t.Errorf("the approval was used twice: %d %s", r.status, r.body)
		}
		id := w.Pending()[0].ID
		time.Sleep(5*time.Minute + time.Second)
		if _, _, err := w.Decide(id, approval.Decision{Approve: true}); !fault.Is(err, fault.NotFound) {
			t.Errorf("approved after it had expired: %v", err)
		}
	})
}

// TestHeld: with a desktop a request is held until it is answered, in the dialog or in a
// terminal, and for at most two minutes.
func TestHeld(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(w *world, s *screen)
		status int
		want   string
		closed int32
		after  time.Duration
	}{
		{"allowed in the dialog", func(w *world, s *screen) { s.answers <- approval.Allow }, 200, "sk_local_1", 0, time.Second},
		{"denied in the dialog", func(w *world, s *screen) { s.answers <- approval.Deny }, 403, `{"error":"User denied access"}`, 0, time.Second},
		{"allowed in a terminal", func(w *world, s *screen) { w.Decide("id1", approval.Decision{Approve: true}) }, 200, "sk_local_1", 1, time.Second},
		{"denied in a terminal", func(w *world, s *screen) { w.Decide("id1", approval.Decision{}) }, 403, `{"error":"User denied access"}`, 1, time.Second},
		{"dialog closed, then allowed in a terminal", func(w *world, s *screen) {
			s.answers <- approval.NoAnswer
			time.Sleep(time.Minute)
			w.Decide("id1", approval.Decision{Approve: true})
		}, 200, "sk_local_1", 0, 61 * time.Second},
		{"no answer", func(*world, *screen) {}, 403, "hostless approvals", 1, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScreen()
				var dialogs atomic.Int32
				w := newWorld(t, approval.Config{Asker: s, OnDialog: func(a approval.Approval, allowed bool) {
					if dialogs.Add(1); a.Origin != "https://app.example" || allowed != (c.status == 200) {
						t.Errorf("reported %+v, %v", a, allowed)
					}
				}})
				start := time.Now()
				go func() {
					q := <-s.asked
					if !strings.Contains(strings.Join(q.Lines, "\n"), "https://app.example") {
						t.Errorf("the dialog does not name the origin: %v", q)
					}
					time.Sleep(time.Second)
					c.answer(w, s)
				}()
				r := w.register(t, plain)
				if took := time.Since(start); took < c.after || took > c.after+time.Second {
					t.Errorf("answered after %v, want %v", took, c.after)
				}
				if r.status != c.status || !strings.Contains(r.body, c.want) {
					t.Errorf("%d %s, want %d %s", r.status, r.body, c.status, c.want)
				}
				synctest.Wait()
				if got := dialogs.Load() == 1; got != strings.HasSuffix(c.name, "in the dialog") {
					t.Errorf("reported a dialog's answer: %v", got)
				}
				if got := s.closed.Load(); got != c.closed {
					t.Errorf("the queue closed %d dialogs, want %d", got, c.closed)
				}
			})
		})
	}
}

// TestLimits: one open request per origin, sixteen in all, ten requests per origin and
// minute.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen()
		w := newWorld(t, approval.Config{Asker: s})
		ctx, cancel := context.WithCancel(t.Context())
		go w.do(ctx, "POST", "/auth/register", plain)
		<-s.asked
		synctest.Wait()
		if r := w.register(t, plain); r.status != 429 || r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "rate_limit_error") {
			t.Errorf("a second request of an origin while the first one waits: %d %s", r.status, r.body)
		}
		cancel()
		synctest.Wait()
		if s.closed.Load() != 1 {
			t.Error("the dialog stays on the screen after the client has disconnected")
		}
		s.on.Store(false)
		for i := range 15 {
			if r := w.register(t, fmt.Sprintf(`{"origin":"https://a%d.example"}`, i)); r.status != 403 {
				t.Fatalf("request %d: %d %s", i, r.status, r.body)
			}
		}
		if r := w.register(t, `{"origin":"https://one.more.example"}`); r.status != 429 {
			t.Errorf("the seventeenth: %d %s", r.status, r.body)
		}
		time.Sleep(2 * time.Minute)
		for i := range 10 {
			if r := w.register(t, plain); r.status != 403 {
				t.Fatalf("request %d within a minute: %d %s", i, r.status, r.body)
			}
		}
		if r := w.register(t, plain); r.status != 429 || r.header.Get("Retry-After") != "60" {
			t.Errorf("the eleventh within a minute: %d %v", r.status, r.header)
		}
		time.Sleep(time.Minute)
		if r := w.register(t, plain); r.status != 403 {
			t.Errorf("a minute later: %d %s", r.status, r.body)
		}
	})
}

// TestReplaced: a request that replaces another one gets a new id, so a person cannot
// approve a request that they have not seen.
func TestReplaced(t *testing.T) {
	w := newWorld(t, approval.Config{})
	w.register(t, `{"origin":"https://app.example","allowed_models":["gpt-4o"]}`)
	w.register(t, `{"origin":"https://app.example"}`)
	if _, _, err := w.Decide("id1", approval.Decision{Approve: true}); !fault.Is(err, fault.NotFound) {
		t.Errorf("the request that was replaced: %v", err)
	}
	if list := w.Pending(); len(list) != 1 || list[0].ID != "id2" {
		t.Errorf("%+v", list)
	}
}

// TestNarrowed: a person may grant less than the app asked for, never more.
func TestNarrowed(t *testing.T) {
	const asks = `{"origin":"https://app.example","allowed_providers":["openai","groq"],"allowed_models":["gpt-*","llama"],"rate_limit":100}`
	for _, c := range []struct {
		name string
		d    approval.Decision
		want string // the minted token, or the parameter that the error names
	}{
		{"as asked", approval.Decision{}, "https://app.example [groq openai] [gpt-* llama] 100 1h0m0s"},
		{"narrower", approval.Decision{Scope: token.Scope{Providers: []string{"openai"}, Models: []string{"gpt-4o*", "llama"}}, RateLimit: 5, TTL: time.Minute}, "https://app.example [openai] [gpt-4o* llama] 5 1m0s"},
		{"longer", approval.Decision{TTL: 48 * time.Hour}, "https://app.example [groq openai] [gpt-* llama] 100 48h0m0s"},
		{"another provider", approval.Decision{Scope: token.Scope{Providers: []string{"anthropic"}}}, "allowed_providers"},
		{"another model", approval.Decision{Scope: token.Scope{Models: []string{"claude"}}}, "allowed_models"},
		{"a wider glob", approval.Decision{Scope: token.Scope{Models: []string{"gp*"}}}, "allowed_models"},
		{"everything", approval.Decision{Scope: token.Scope{Models: []string{"*"}}}, "allowed_models"},
		{"a star in the middle", approval.Decision{Scope: token.Scope{Models: []string{"gpt-*o"}}}, "allowed_models"},
		{"a higher rate", approval.Decision{RateLimit: 101}, "rate_limit"},
		{"a negative rate", approval.Decision{RateLimit: -1}, "rate_limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, approval.Config{})
			w.register(t, asks)
			c.d.Approve = true
			_, _, err := w.Decide("id1", c.d)
			if f := fault.From(err); f != nil {
				if f.Kind != fault.Invalid || f.Param != c.want {
					t.Errorf("%v (param %q), want %s", err, f.Param, c.want)
				}
				if len(w.Pending()) != 1 {
					t.Error("an invalid decision settled the request")
				}
				return
			}
			w.register(t, asks)
			if got := strings.Join(w.minted, ";"); got != c.want {
				t.Errorf("minted %s, want %s", got, c.want)
			}
		})
	}
}

// TestRemembered: while an origin is remembered, and asks for no more than before, it
// gets a token without a question.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, approval.Config{})
		ask := func(models string, rate int) reply {
			time.Sleep(time.Minute) // stay below the rate limit
			return w.register(t, fmt.Sprintf(`{"origin":"https://app.example","allowed_models":[%s],"rate_limit":%d}`, models, rate))
		}
		ask(`"gpt-4o","gpt-5"`, 100)
		if _, _, err := w.Decide("id1", approval.Decision{Approve: true, Scope: token.Scope{Models: []string{"gpt-4o"}}, RateLimit: 10, Remember: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		ask(`"gpt-4o","gpt-5"`, 100) // collects the token
		for _, c := range []struct {
			models string
			rate   int
			status int
			want   string
		}{
			{`"gpt-4o","gpt-5"`, 100, 200, "https://app.example [] [gpt-4o] 10 1h0m0s"},
			{`"gpt-4o"`, 100, 200, "https://app.example [] [gpt-4o] 10 1h0m0s"},
			{`"gpt-4o"`, 5, 200, "https://app.example [] [gpt-4o] 5 1h0m0s"},
			{`"gpt-5"`, 5, 200, "https://app.example [] [gpt-4o] 5 1h0m0s"},
			{`"gpt-6"`, 5, 403, ""},
			{``, 5, 403, ""},
			{`"gpt-4o"`, 0, 403, ""},
			{`"gpt-4o"`, 101, 403, ""},
		} {
			before := len(w.minted)
			if r := ask(c.models, c.rate); r.status != c.status {
				t.Errorf("%s at %d: %d %s, want %d", c.models, c.rate, r.status, r.body, c.status)
			}
			if got := strings.Join(w.minted[before:], ";"); got != c.want {
				t.Errorf("%s at %d: minted %q, want %q", c.models, c.rate, got, c.want)
			}
		}
		// Nothing else is let in by that grant: another scheme, another port, a
		// subdomain, a program below a run.
		for _, origin := range []string{"http://app.example", "https://app.example:8443", "https://evil.app.example"} {
			if r := w.register(t, `{"origin":"`+origin+`","allowed_models":["gpt-4o"],"rate_limit":5}`); r.status != 403 {
				t.Errorf("%s: %d %s", origin, r.status, r.body)
			}
		}
		w.run = "shop.localhost"
		if r := ask(`"gpt-4o"`, 5); r.status != 403 {
			t.Errorf("a program below a run used the origin's grant: %d %s", r.status, r.body)
		}
		w.run = ""
		if g := w.Grants(); len(g) != 1 || g[0].Origin != "https://app.example" || g[0].RateLimit != 10 {
			t.Errorf("%+v", g)
		}
		time.Sleep(24 * time.Hour)
		if r := ask(`"gpt-4o"`, 5); r.status != 403 || len(w.Grants()) != 0 {
			t.Errorf("after the grant expired: %d %s", r.status, r.body)
		}
		w.Decide(w.Pending()[len(w.Pending())-1].ID, approval.Decision{Approve: true, Forever: true})
		time.Sleep(365 * 24 * time.Hour)
		if r := ask(`"gpt-4o"`, 5); r.status != 200 {
			t.Errorf("forever: %d %s", r.status, r.body)
		}
		if found, err := w.Forget("https://app.example"); !found || err != nil {
			t.Error(found, err)
		}
		if r := ask(`"gpt-4o"`, 5); r.status != 403 {
			t.Errorf("forgotten: %d %s", r.status, r.body)
		}
	})
}

// TestRestart: pending and approved requests and grants survive a restart of the daemon;
// held requests are released when the daemon stops.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "approvals.json")
		s := newScreen()
		first := newWorld(t, approval.Config{Path: path, Asker: s})
		held := make(chan reply)
		go func() { held <- first.do(t.Context(), "POST", "/auth/register", plain) }()
		<-s.asked
		first.Close()
		if r := <-held; r.status != 403 || r.json(t)["approval_id"] != "id1" {
			t.Errorf("held when the daemon stopped: %d %s", r.status, r.body)
		}
		if r := first.register(t, `{"origin":"https://late.example"}`); r.status != 429 || r.header.Get("Retry-After") != "1" {
			t.Errorf("asked after Close: %d %s", r.status, r.body)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		second := newWorld(t, approval.Config{Path: path})
		if _, _, err := second.Decide("id1", approval.Decision{Approve: true, Forever: true}); err != nil {
			t.Fatal(err)
		}
		third := newWorld(t, approval.Config{Path: path})
		if r := third.register(t, plain); r.status != 200 {
			t.Errorf("allowed before a restart: %d %s", r.status, r.body)
		}
		if len(third.Grants()) != 1 {
			t.Error("the grant is gone")
		}
		os.WriteFile(path, []byte(`{"version":1,"grants":[{"origin":"javascript://x"}]}`), 0o600)
		if _, warnings, err := approval.New(approval.Config{Path: path}); err != nil || len(warnings) != 1 {
			t.Errorf("a damaged file: %v %v", warnings, err)
		}
		if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) != 1 {
			t.Errorf("a damaged file is kept aside: %v", aside)
		}
	})
}

// TestRefused: malformed or hostile registrations are refused before anybody is asked.
func TestRefused(t *testing.T) {
	long := strings.Repeat("x", 600)
	many := strings.TrimSuffix(strings.Repeat(`"m",`, 33), ",")
	asJSON := []string{"Content-Type", "application/json"}
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		kind       string
	}{
		{"no origin", `{}`, nil, 400, "invalid_request_error"},
		{"any origin", `{"origin":"*"}`, nil, 400, "invalid_request_error"},
		{"any origin, from a page", `{"origin":"*"}`, append(asJSON, "Origin", "https://app.example"), 400, "invalid_request_error"},
		{"null origin", `{"origin":"null"}`, append(asJSON, "Origin", "null"), 400, "invalid_request_error"},
		{"another origin", plain, append(asJSON, "Origin", "https://evil.example"), 403, "origin_mismatch"},
		{"another scheme", plain, append(asJSON, "Origin", "http://app.example"), 403, "origin_mismatch"},
		{"a sandboxed frame", plain, append(asJSON, "Origin", "null"), 403, "origin_mismatch"},
		{"two Origins", plain, append(asJSON, "Origin", "https://app.example", "Origin", "https://app.example"), 403, "origin_mismatch"},
		{"origin with a path", `{"origin":"https://app.example/x"}`, nil, 400, "invalid_request_error"},
		{"origin with a user", `{"origin":"https://app.example@evil.example"}`, nil, 400, "invalid_request_error"},
		{"origin with a line end", `{"origin":"https://app.example\nX"}`, nil, 400, "invalid_request_error"},
		{"origin with bidi", `{"origin":"https://app\u202e.example"}`, nil, 400, "invalid_request_error"},
		{"origin of a script", `{"origin":"javascript://app.example"}`, nil, 400, "invalid_request_error"},
		{"long origin", `{"origin":"https://` + long + `.example"}`, nil, 400, "invalid_request_error"},
		{"callback elsewhere", `{"origin":"https://app.example","callback":"https://evil.example/"}`, nil, 400, "invalid_request_error"},
		{"callback on another port", `{"origin":"https://app.example","callback":"https://app.example:8443/"}`, nil, 400, "invalid_request_error"},
		{"callback with a user", `{"origin":"https://app.example","callback":"https://app.example@evil.example/"}`, nil, 400, "invalid_request_error"},
		{"callback with a backslash", `{"origin":"https://app.example","callback":"https://app.example\\@evil.example/"}`, nil, 400, "invalid_request_error"},
		{"relative callback", `{"origin":"https://app.example","callback":"//evil.example"}`, nil, 400, "invalid_request_error"},
		{"callback of a script", `{"origin":"app://x","callback":"app://x/"}`, nil, 400, "invalid_request_error"},
		{"callback with a line end", `{"origin":"https://app.example","callback":"https://app.example/\r\nSet-Cookie: a=b"}`, nil, 400, "invalid_request_error"},
		{"state with a line end", `{"origin":"https://app.example","state":"a\nb"}`, nil, 400, "invalid_request_error"},
		{"long state", `{"origin":"https://app.example","state":"` + long + `"}`, nil, 400, "invalid_request_error"},
		{"model with bidi", `{"origin":"https://app.example","allowed_models":["\u202egpt"]}`, nil, 400, "invalid_request_error"},
		{"empty model", `{"origin":"https://app.example","allowed_models":[""]}`, nil, 400, "invalid_request_error"},
		{"too many models", `{"origin":"https://app.example","allowed_models":[` + many + `]}`, nil, 400, "invalid_request_error"},
		{"models of a wrong type", `{"origin":"https://app.example","allowed_models":"gpt"}`, nil, 400, "invalid_request_error"},
		{"negative rate", `{"origin":"https://app.example","rate_limit":-1}`, nil, 400, "invalid_request_error"},
		{"a list", `[]`, nil, 400, "invalid_request_error"},
		{"no JSON", `origin=https://app.example`, nil, 400, "invalid_request_error"},
		{"too long", `{"origin":"` + strings.Repeat("x", 70<<10) + `"}`, nil, 413, "invalid_request_error"},
		{"a form of a page", plain, []string{"Origin", "https://app.example", "Content-Type", "text/plain"}, 400, "invalid_request_error"},
		{"a form without Origin", plain, []string{"Sec-Fetch-Site", "cross-site", "Content-Type", "application/x-www-form-urlencoded"}, 400, "invalid_request_error"},
		{"a navigation", plain, append(asJSON, "Sec-Fetch-Mode", "navigate"), 403, "permission_error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, approval.Config{})
			r := w.register(t, c.body, c.header...)
			if r.status != c.status || !strings.Contains(r.body, `"type":"`+c.kind+`"`) {
				t.Errorf("%d %s, want %d %s", r.status, r.body, c.status, c.kind)
			}
			if len(w.Pending()) != 0 {
				t.Error("the request was queued")
			}
		})
	}
	w := newWorld(t, approval.Config{})
	for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
		if r := w.do(t.Context(), method, "/auth/register", ""); r.status != 405 || r.header.Get("Allow") != "POST" {
			t.Errorf("%s: %d", method, r.status)
		}
	}
}

// TestCallback: the token is returned in the callback's fragment, and the callback's own
// query is kept.
func TestCallback(t *testing.T) {
	for callback, want := range map[string]string{
		"https://app.example/":                                    "https://app.example/?port=4711&local_url=http%3A%2F%2Flocalhost%3A4711&state=a%26b%23c&expires_in=3600#token=sk_local_1",
		"https://app.example/back?x=1&x=2":                        "https://app.example/back?x=1&x=2&port=4711&local_url=http%3A%2F%2Flocalhost%3A4711&state=a%26b%23c&expires_in=3600#token=sk_local_1",
		"https://APP.example:443/b?port=1&local_url=evil#token=x": "https://APP.example:443/b?port=4711&local_url=http%3A%2F%2Flocalhost%3A4711&state=a%26b%23c&expires_in=3600#token=sk_local_1",
	} {
		w := newWorld(t, approval.Config{})
		body, _ := json.Marshal(map[string]string{"origin": "https://app.example", "callback": callback, "state": "a&b#c"})
		w.register(t, string(body))
		w.Decide("id1", approval.Decision{Approve: true})
		if r := w.register(t, string(body)); r.status != 303 || r.location != want {
			t.Errorf("%s:\n%d %s\nwant %s", callback, r.status, r.location, want)
		}
	}
}

// TestPrefer: a client that sends Prefer: wait is held without a desktop too.
func TestPrefer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, approval.Config{})
		go func() {
			time.Sleep(10 * time.Second)
			w.Decide("id1", approval.Decision{Approve: true})
		}()
		if r := w.register(t, plain, "Prefer", "respond-async, wait=30"); r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
		start := time.Now()
		if r := w.register(t, plain, "Prefer", "wait=3000"); r.status != 403 || time.Since(start) != 2*time.Minute {
			t.Errorf("%d after %v", r.status, time.Since(start))
		}
	})
}

const connectQuery = "?origin=https%3A%2F%2Fapp.example&callback=https%3A%2F%2Fapp.example%2Fback&state=s%22%3E%3Cscript%3E&allowed_models=gpt-4o,gpt-5*&rate_limit=9"

var navigation = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "cross-site"}

// TestConnect: the page waits, cannot answer its own request, and redirects with the
// token.
func TestConnect(t *testing.T) {
	w := newWorld(t, approval.Config{})
	get := func() reply { return w.do(t.Context(), "GET", "/connect"+connectQuery, "", navigation...) }
	r := get()
	if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || !strings.Contains(r.body, "hostless approve id1") || !strings.Contains(r.body, "<code>gpt-5*</code>") {
		t.Fatalf("%d %s", r.status, r.body)
	}
	csp := r.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'", "script-src 'nonce-"} {
		if !strings.Contains(csp, want) {
			t.Errorf("CSP lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(r.body, "<script>") || strings.Contains(csp, "unsafe") || get().header.Get("Content-Security-Policy") == csp {
		t.Error("the state is reflected, or the nonce is used twice")
	}
	if len(w.Pending()) != 1 {
		t.Error("reloading the page made a second request")
	}
	waited := make(chan reply)
	go func() {
		waited <- w.do(t.Context(), "GET", "/connect/wait?id=id1", "", "Sec-Fetch-Site", "same-origin")
	}()
	w.Decide("id1", approval.Decision{Approve: true})
	if r := <-waited; r.body != `{"status":"approved"}` {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := get(); r.status != 303 || !strings.HasPrefix(r.location, "https://app.example/back?port=4711&") || !strings.HasSuffix(r.location, "#token=sk_local_1") {
		t.Errorf("%d %s", r.status, r.location)
	}
	get()
	w.Decide("id2", approval.Decision{})
	if r := get(); r.status != 303 || r.location != "https://app.example/back#error=denied&state=s%22%3E%3Cscript%3E" {
		t.Errorf("%d %s", r.status, r.location)
	}
	if r := w.do(t.Context(), "GET", "/connect/wait?id=id1", ""); r.body != `{"status":"unknown"}` {
		t.Errorf("%s", r.body)
	}
}

// TestConnectRefused: frames, fetches and invalid queries queue no request.
func TestConnectRefused(t *testing.T) {
	good := func(change ...string) string {
		v := url.Values{"origin": {"https://app.example"}, "callback": {"https://app.example/"}}
		for i := 0; i+1 < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		return "?" + v.Encode()
	}
	for _, c := range []struct {
		name, query string
		header      []string
		status      int
	}{
		{"a frame", good(), []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"an object", good(), []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object"}, 403},
		{"a fetch", good(), []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", "https://app.example"}, 403},
		{"an image", good(), []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		{"a WebSocket", good(), []string{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", "https://app.example"}, 403},
		{"loaded ahead", good(), append([]string{"Sec-Purpose", "prefetch;prerender"}, navigation...), 403},
		{"no origin", good("origin", ""), navigation, 400},
		{"any origin", good("origin", "*"), navigation, 400},
		{"no callback", good("callback", ""), navigation, 400},
		{"callback elsewhere", good("callback", "https://evil.example/"), navigation, 400},
		{"callback of a script", good("origin", "javascript://x", "callback", "javascript://x/%0aalert(1)"), navigation, 400},
		{"two origins", good() + "&origin=https://evil.example", navigation, 400},
		{"a rate that is no number", good("rate_limit", "<b>"), navigation, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, approval.Config{})
			r := w.do(t.Context(), "GET", "/connect"+c.query, "", c.header...)
			if r.status != c.status || r.location != "" || !strings.Contains(r.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("%d %s", r.status, r.body)
			}
			if len(w.Pending()) != 0 {
				t.Error("the request was queued")
			}
		})
	}
	w := newWorld(t, approval.Config{})
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://app.example"}} {
		if r := w.do(t.Context(), "GET", "/connect/wait?id=id1", "", header...); r.status != 403 {
			t.Errorf("%v: %d %s", header, r.status, r.body)
		}
	}
}

func TestProcessName(t *testing.T) {
	for _, c := range [][2]string{
		{"/usr/bin/chromium", "chromium (7)"}, {"/opt/a\x1b[31m\u202e<b>", "a?[31m???b? (7)"}, {"", "a program (7)"}, {"/tmp/x (deleted)", "x (7)"},
	} {
		if got := approval.ProcessName(c[0], 7); strings.ContainsAny(got, "\x1b<>\u202e") || c[0] != "/opt/a\x1b[31m\u202e<b>" && got != c[1] {
			t.Errorf("ProcessName(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

// FuzzRegister: no unchecked part of a request is stored or sent back.
func FuzzRegister(f *testing.F) {
	f.Add(`{"origin":"https://app.example","callback":"https://app.example/?a=b","state":"x","allowed_models":["gpt*"],"rate_limit":3}`, "")
	f.Add(``, "?origin=https://app.example&callback=https://app.example/%0d%0a&state=%22")
	f.Fuzz(func(t *testing.T, body, query string) {
		w := newWorld(t, approval.Config{})
		r := httptest.NewRequest("POST", "http://localhost/auth/register", strings.NewReader(body))
		rec := httptest.NewRecorder()
		w.h.ServeHTTP(rec, r)
		io.Copy(io.Discard, rec.Body)
		if u, err := url.ParseRequestURI("/connect" + query); err == nil {
			r := httptest.NewRequest("GET", "http://localhost/connect", nil)
			r.URL.RawQuery = u.RawQuery
			w.h.ServeHTTP(httptest.NewRecorder(), r)
		}
		for _, a := range w.Pending() {
			for _, s := range append(append([]string{a.Origin, a.Callback}, a.Scope.Models...), a.Scope.Providers...) {
				if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
					t.Errorf("%q was stored", s)
				}
			}
			if a.Callback != "" {
				u, err := url.Parse(a.Callback)
				if err != nil || u.User != nil || !strings.EqualFold(a.Origin[:strings.Index(a.Origin, "://")], u.Scheme) {
					t.Errorf("callback %q of %q", a.Callback, a.Origin)
				}
			}
		}
	})
}
