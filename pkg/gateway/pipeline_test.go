package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/token"
)

// recorder is an Observer that keeps the outcomes.
type recorder struct {
	mu        sync.Mutex
	attempts  []pipeline.Outcome
	calls     []pipeline.Call
	done      []pipeline.Outcome
	concluded chan struct{}
}

func newRecorder() *recorder { return &recorder{concluded: make(chan struct{}, 64)} }

func (r *recorder) Attempt(call *pipeline.Call, o pipeline.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, o)
}

func (r *recorder) Done(call *pipeline.Call, o pipeline.Outcome) {
	r.mu.Lock()
	r.calls, r.done = append(r.calls, *call), append(r.done, o)
	r.mu.Unlock()
	r.concluded <- struct{}{}
}

// last waits until the next call has ended and returns it.
func (r *recorder) last(t testing.TB) (pipeline.Call, pipeline.Outcome) {
	t.Helper()
	select {
	case <-r.concluded:
	case <-time.After(10 * time.Second):
		t.Fatal("no call has ended")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[len(r.calls)-1], r.done[len(r.done)-1]
}

// pool is a Planner that returns several candidates for each call.
type pool struct {
	own    pipeline.Planner
	models []string
	retry  func(pipeline.Outcome) bool
	usable func(model string) bool
}

func (p *pool) Candidates(ctx context.Context, call *pipeline.Call) ([]pipeline.Candidate, error) {
	var all []pipeline.Candidate
	for _, model := range p.models {
		found, err := p.own.Candidates(ctx, call.As(model))
		if fault.Is(err, fault.Scope) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].Retry = p.retry
			if p.usable != nil {
				found[i].Usable = func() bool { return p.usable(model) }
			}
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Scope, "no target is in scope")
	}
	return all, nil
}

// TestNextCandidate checks that the response of a candidate that was not accepted never
// reaches the caller, and that no other candidate is tried after something was sent.
func TestNextCandidate(t *testing.T) {
	seen := newRecorder()
	p := &pool{retry: func(o pipeline.Outcome) bool { return o.Status == 0 || o.Status == 429 || o.Status >= 500 }}
	w := newWorld(t, func(c *gateway.Config) {
		c.Observers = []pipeline.Observer{seen}
		c.Planner = func(own pipeline.Planner) pipeline.Planner { p.own = own; return p }
	})
	var mu sync.Mutex
	var asked []string
	note := func(name string, r *http.Request) string {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, name)
		return string(body)
	}
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) { // rate-limited, with an early hint
		note("mistral", r)
		rw.Header().Set("Link", "</secret>; rel=preload")
		rw.WriteHeader(103)
		rw.Header().Set("Retry-After", "7")
		rw.Header().Set("X-Limited", "yes")
		rw.WriteHeader(429)
	})
	w.upstream("groq", func(rw http.ResponseWriter, r *http.Request) { // disconnects in the middle of its response
		note("groq", r)
		rw.Header().Set("Content-Length", "1000")
		rw.Header().Set("X-Cut", "yes")
		io.WriteString(rw, "{")
	})
	w.upstream("anthropic", func(rw http.ResponseWriter, r *http.Request) {
		if body := note("anthropic", r); !strings.Contains(body, `"model":"claude-x"`) || !strings.Contains(body, "ping") {
			rw.WriteHeader(400)
		}
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"type":"message","role":"assistant","content":[{"type":"text","text":"pong"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":2}}`)
	})
	w.upstream("xai", func(rw http.ResponseWriter, r *http.Request) { // breaks a stream off after its start
		note("xai", r)
		events(rw)(`data: {"choices":[{"index":0,"delta":{"content":"po"}}]}` + "\n\n")
		panic(http.ErrAbortHandler)
	})
	ask := func(models ...string) answer {
		asked, p.models = nil, models
		var early []int
		req := w.request("POST", "/v1/chat/completions", `{"model":"fast","messages":[{"role":"user","content":"ping"}]}`, "User-Agent", "claude-cli/2")
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			early = append(early, code)
			return nil
		}}))
		resp, err := noRedirects.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		if resp.StatusCode == 200 && len(early) > 0 {
			t.Errorf("the caller got the headers %v of a candidate that was not accepted", early)
		}
		return answer{resp.StatusCode, resp.Header, string(data)}
	}

	a := ask("mistral/a", "groq/b", "anthropic/claude-x")
	a.want(t, 200, "pong")
	if !slices.Equal(asked, []string{"mistral", "groq", "anthropic"}) || a.header.Get("X-Limited")+a.header.Get("X-Cut") != "" || a.header.Get("X-Hostless-Attempts") != "3" || a.header.Get("X-Hostless-Provider") != "anthropic" {
		t.Errorf("asked %v, headers %v", asked, a.header)
	}
	call, o := seen.last(t)
	var kinds []string
	for _, one := range o.Attempts {
		kinds = append(kinds, fmt.Sprintf("%s %s %d %s", one.Provider, one.Model, one.Status, one.Kind))
	}
	if want := []string{"mistral a 429 provider_rate_limited", "groq b 0 provider_incomplete", "anthropic claude-x 200 "}; !slices.Equal(kinds, want) {
		t.Errorf("attempts %q, want %q", kinds, want)
	}
	if call.Model != "fast" || call.Client != "claude-cli/2" || call.Endpoint != "/v1/chat/completions" || call.ID == "" || call.Grant == nil {
		t.Errorf("call %+v", call)
	}
	if o.Candidate.Model != "claude-x" || o.Status != 200 || o.Failed() || o.Usage.Tokens.Input != 8 || o.Usage.Tokens.Cached != 3 || !o.Reported || o.Sent != int64(len(a.body)) || o.FirstByte.IsZero() {
		t.Errorf("outcome %+v", o)
	}
	if n := len(seen.attempts); n != 3 || seen.attempts[0].RetryAfter != 7*time.Second || seen.attempts[1].Committed {
		t.Errorf("%d attempts observed: %+v", n, seen.attempts)
	}

	// The caller gets the response of the last candidate in any case.
	ask("groq/b", "mistral/a").want(t, 429, "")
	if _, o := seen.last(t); o.Status != 429 || o.Kind != pipeline.ProviderRateLimited || len(o.Attempts) != 2 {
		t.Errorf("outcome %+v", o)
	}

	// After a stream has started, nothing else is tried.
	p.models = []string{"xai/a", "anthropic/claude-x"}
	asked = nil
	s := w.do("POST", "/v1/chat/completions", `{"model":"fast","stream":true,"messages":[{"role":"user","content":"ping"}]}`)
	s.want(t, 200, `"error"`)
	if _, o := seen.last(t); !slices.Equal(asked, []string{"xai"}) || o.Status != 200 || o.Kind != pipeline.ProviderIncomplete || !o.Committed || !o.Stream {
		t.Errorf("asked %v, outcome %+v", asked, o)
	}

	// Candidates out of scope or not usable are skipped.
	p.usable = func(model string) bool { return model != "mistral/a" }
	limited := w.mint(token.Request{Scope: token.Scope{Providers: []string{"mistral", "anthropic"}}})
	p.models = []string{"groq/b", "mistral/a", "anthropic/claude-x"}
	asked = nil
	w.do("POST", "/v1/chat/completions", `{"model":"fast","messages":[{"role":"user","content":"ping"}]}`, "Authorization", "Bearer "+limited).want(t, 200, "pong")
	if !slices.Equal(asked, []string{"anthropic"}) {
		t.Errorf("asked %v", asked)
	}
	p.models = []string{"groq/b"}
	w.do("POST", "/v1/chat/completions", `{"model":"fast","messages":[]}`, "Authorization", "Bearer "+limited).want(t, 403, "scope_error")
}

// TestPlannerIsNotTrusted checks that a candidate outside the scope of the token is not
// tried, even if the planner returns it.
func TestPlannerIsNotTrusted(t *testing.T) {
	w := newWorld(t, func(c *gateway.Config) {
		c.Planner = func(own pipeline.Planner) pipeline.Planner {
			return pipeline.PlannerFunc(func(ctx context.Context, call *pipeline.Call) ([]pipeline.Candidate, error) {
				free := call.As("mistral/" + strings.TrimPrefix(call.Model, "groq/"))
				free.Allow = func(string, string) error { return nil }
				return own.Candidates(ctx, free)
			})
		}
	})
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) { t.Error("the provider was asked") })
	limited := w.mint(token.Request{Scope: token.Scope{Providers: []string{"groq"}}})
	w.do("POST", "/v1/chat/completions", `{"model":"groq/m","messages":[]}`, "Authorization", "Bearer "+limited).want(t, 403, "provider_not_allowed")
	w.do("POST", "/v1/chat/completions", `{"model":"groq/../m","messages":[]}`).want(t, 400, "model")
}

// TestAdmitters checks that admitters are called after planning and before the provider,
// and settled once with the outcome, and that a refusal is sent in the caller's dialect and
// observed.
func TestAdmitters(t *testing.T) {
	var refusal *fault.Error
	settled := make(chan pipeline.Outcome, 1)
	seen := newRecorder()
	w := newWorld(t, func(c *gateway.Config) {
		c.Observers = []pipeline.Observer{seen}
		c.Admitters = []pipeline.Admitter{pipeline.AdmitterFunc(func(_ context.Context, call *pipeline.Call, to []pipeline.Candidate) (func(pipeline.Outcome), error) {
			if refusal != nil {
				return nil, refusal
			}
			if !call.List && (len(to) != 1 || to[0].Model != "m" || len(call.Body) == 0) {
				t.Errorf("asked about %+v", to)
			}
			return func(o pipeline.Outcome) { settled <- o }, nil
		})}
	})
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		if refusal != nil {
			t.Error("the provider was asked")
		}
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	})
	w.do("POST", "/v1/chat/completions", `{"model":"mistral/m","messages":[]}`).want(t, 200, "usage")
	if o := <-settled; o.Usage.Tokens.Output != 4 || o.Status != 200 {
		t.Errorf("settled with %+v", o)
	}
	seen.last(t)
	refusal = &fault.Error{Kind: fault.RateLimited, Message: "the budget of 5 USD a day is spent", Code: pipeline.CodeBudgetExceeded, Next: "hostless budget raise", NoRetry: true}
	for path, text := range map[string]string{
		"/v1/chat/completions": `"code":"budget_exceeded"`, "/v1/messages": `"type":"error"`, "/v1beta/models/mistral%2Fm:generateContent": `"status"`,
	} {
		a := w.do("POST", path, `{"model":"mistral/m","max_tokens":3,"messages":[{"role":"user","content":"x"}],"contents":[{"parts":[{"text":"x"}]}]}`)
		a.want(t, 429, "hostless budget raise")
		a.want(t, 429, text)
		if a.header.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: headers %v", path, a.header)
		}
		if call, o := seen.last(t); o.Kind != pipeline.PolicyBudgetExceeded || o.Status != 429 || len(o.Attempts) != 0 || call.Model != "mistral/m" {
			t.Errorf("%s: call %+v, outcome %+v", path, call, o)
		}
	}
	// A call that is refused before it is admitted is observed too.
	refusal = nil
	for _, tt := range []struct {
		bearer, body string
		status       int
		kind         pipeline.ErrorKind
	}{
		{"sk_local_x", `{}`, 401, pipeline.CallerUnauthenticated},
		{w.token, `[]`, 400, pipeline.CallerInvalid},
		{w.token, `{"model":"gpt-4o"}`, 400, pipeline.HostlessUnconfigured},
	} {
		w.do("POST", "/v1/chat/completions", tt.body, "Authorization", "Bearer "+tt.bearer).want(t, tt.status, "")
		if _, o := seen.last(t); o.Kind != tt.kind || o.Status != tt.status {
			t.Errorf("%+v: outcome %+v", tt, o)
		}
	}
}

// TestEnd checks that every call in flight ends with the cause, for its caller and the
// observers.
func TestEnd(t *testing.T) {
	seen := newRecorder()
	w := newWorld(t, func(c *gateway.Config) { c.Observers = []pipeline.Observer{seen} })
	sent := make(chan struct{}, 1)
	w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "true") {
			events(rw)(`data: {"choices":[{"index":0,"delta":{"content":"po"}}]}` + "\n\n")
		}
		sent <- struct{}{}
		<-r.Context().Done()
	})
	killed := &fault.Error{Kind: fault.Forbidden, Message: "all AI traffic is stopped", Code: pipeline.CodeKilled, Next: "hostless unkill", NoRetry: true}
	for _, tt := range []struct {
		path, stream string
		status       int
	}{
		{"/v1/chat/completions", "true", 200}, {"/v1/messages", "true", 200}, {"/v1/chat/completions", "false", 403}, {"/v1/messages", "false", 403},
	} {
		started, done := make(chan struct{}), make(chan answer, 1)
		go func() {
			resp, err := noRedirects.Do(w.request("POST", tt.path, `{"model":"mistral/m","max_tokens":9,"stream":`+tt.stream+`,"messages":[{"role":"user","content":"x"}]}`))
			if err != nil {
				t.Error(err)
				done <- answer{}
				return
			}
			defer resp.Body.Close()
			if tt.stream == "true" {
				resp.Body.Read(make([]byte, 1)) // the first event has arrived
				close(started)
			}
			data, _ := io.ReadAll(resp.Body)
			done <- answer{resp.StatusCode, resp.Header, string(data)}
		}()
		if <-sent; tt.stream == "true" {
			<-started
		}
		w.gw.End(killed)
		a := <-done
		a.want(t, tt.status, "hostless unkill")
		if strings.Contains(a.body, "[DONE]") || strings.Contains(a.body, "message_stop") {
			t.Errorf("%+v: a false end: %s", tt, a.body)
		}
		if _, o := seen.last(t); o.Kind != pipeline.PolicyKilled {
			t.Errorf("%+v: outcome %+v", tt, o)
		}
	}
	c, _, err := w.dial("/v1/responses?model=mistral/m")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(t, c, `{"type":"response.create","input":"x"}`)
	<-sent
	w.gw.End(killed)
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			break
		}
	}
}
