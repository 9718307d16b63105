package requests_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestEveryDialect: each dialect, whole and streamed, leaves one row with the request,
// its usage and its cost.
func TestEveryDialect(t *testing.T) {
	w := start(t)
	type want struct {
		path, body, dialect, endpoint, model, resolved, provider string
		stream                                                   bool
		in, out                                                  int64
	}
	var cases []want
	for _, stream := range []bool{false, true} {
		cases = append(cases,
			want{"/v1/chat/completions", chat("gpt-4o-mini", stream), "openai", "/v1/chat/completions", "gpt-4o-mini", "gpt-4o-mini", "openai", stream, 9, 4},
			want{"/v1/chat/completions", chat("claude-haiku-4-5", stream), "openai", "/v1/chat/completions", "claude-haiku-4-5", "claude-haiku-4-5", "anthropic", stream, 12, 4},
			want{"/v1/chat/completions", chat("gemini/gemini-2.5-flash", stream), "openai", "/v1/chat/completions", "gemini/gemini-2.5-flash", "gemini-2.5-flash", "google", stream, 9, 6},
			want{"/v1/responses", fmt.Sprintf(`{"model":"gpt-5","input":"hello","stream":%t}`, stream), "responses", "/v1/responses", "gpt-5", "gpt-5", "openai", stream, 9, 4},
			want{"/v1/messages", fmt.Sprintf(`{"model":"claude-haiku-4-5","max_tokens":99,"stream":%t,"messages":[{"role":"user","content":"hello"}]}`, stream), "anthropic", "/v1/messages", "claude-haiku-4-5", "claude-haiku-4-5", "anthropic", stream, 12, 4},
			want{"/v1/messages", fmt.Sprintf(`{"model":"gpt-5","max_tokens":99,"stream":%t,"messages":[{"role":"user","content":"hello"}]}`, stream), "anthropic", "/v1/messages", "gpt-5", "gpt-5", "openai", stream, 9, 4},
			want{"/api/chat", fmt.Sprintf(`{"model":"openai/gpt-4o-mini","stream":%t,"messages":[{"role":"user","content":"hello"}]}`, stream), "ollama", "/api/chat", "openai/gpt-4o-mini", "gpt-4o-mini", "openai", stream, 9, 4},
		)
	}
	cases = append(cases,
		want{"/v1beta/models/gemini-2.5-flash:generateContent", `{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}`, "gemini", "", "gemini-2.5-flash", "gemini-2.5-flash", "google", false, 9, 6},
		want{"/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}`, "gemini", "", "gemini-2.5-flash", "gemini-2.5-flash", "google", true, 9, 6},
	)
	for _, c := range cases {
		name := fmt.Sprintf("%s %s stream=%t", c.path, c.model, c.stream)
		before := time.Now()
		if status, text := w.ask("POST", c.path, c.body); status != 200 {
			t.Errorf("%s: %d %s", name, status, text)
			continue
		}
		r := w.last()
		if r.Dialect != c.dialect || c.endpoint != "" && r.Endpoint != c.endpoint || r.Model != c.model || r.ResolvedModel != c.resolved || r.Provider != c.provider {
			t.Errorf("%s: %s %s %s -> %s/%s", name, r.Dialect, r.Endpoint, r.Model, r.Provider, r.ResolvedModel)
		}
		if r.Status != 200 || r.ErrorKind != "" || r.Stream != c.stream || r.Tokens.Input != c.in || r.Tokens.Output != c.out {
			t.Errorf("%s: status %d %q stream %t tokens %+v", name, r.Status, r.ErrorKind, r.Stream, r.Tokens)
		}
		if !r.Priced || r.Cost == nil || *r.Cost == "0" || r.Price["input"] == "" || r.Price["output"] == "" {
			t.Errorf("%s: cost %v priced %t price %v", name, r.Cost, r.Priced, r.Price)
		}
		if r.Time.Before(before.Add(-time.Second)) || r.Time.After(time.Now()) || r.Time.Location() != time.UTC {
			t.Errorf("%s: time %v", name, r.Time)
		}
		if r.Client != "openai-python" || r.TokenName != "tests" || !strings.HasPrefix(w.token, r.Token) || r.App != "" || r.FirstByte == nil || r.KeyLabel == nil || r.Ignored == nil || len(r.Attempts) != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestSocketTurns: each response on a WebSocket has a row.
func TestSocketTurns(t *testing.T) {
	w := start(t)
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.URL, "http")+"/v1/responses", http.Header{"Authorization": {"Bearer " + w.token}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := 1; n <= 3; n++ {
		if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"response.create","model":"gpt-5","input":"hello"}`)); err != nil {
			t.Fatal(err)
		}
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), `"response.completed"`) {
				break
			}
		}
		eventually(t, fmt.Sprintf("%d rows", n), func() bool { return len(w.rows("")) == n })
		if r := w.last(); r.Dialect != "responses" || r.Endpoint != "/v1/responses" || r.Tokens.Input != 9 || r.Tokens.Output != 4 || r.Status != 200 || !r.Stream || r.FirstByte == nil || r.Cost == nil {
			t.Errorf("turn %d: %+v", n, r)
		}
	}
}

// eventually waits for an effect of a row.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestErrorKinds: a row says who caused an error.
func TestErrorKinds(t *testing.T) {
	w := start(t)
	s := script(t, func(rw http.ResponseWriter, r *http.Request, body []byte) {
		text := string(body)
		for status := 400; status < 600; status++ {
			if strings.Contains(text, fmt.Sprintf("s%d", status)) {
				rw.Header().Set("Retry-After", "0")
				reply(rw, status, `{"error":{"message":"asked to fail","type":"x"}}`)
				return
			}
		}
		if strings.Contains(text, "cut") {
			rw.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(rw, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		if strings.Contains(text, "fail-in-stream") {
			rw.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(rw, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n")
			return
		}
		panic(http.ErrAbortHandler)
	})
	w.provider("groq", s.URL+"/openai/v1")
	whole := w.token
	for _, c := range []struct {
		name, token, path, body string
		status                  int
		kind                    string
		cost                    bool
	}{
		{"400", whole, "/v1/chat/completions", chat("groq/s400", false), 400, "provider_rejected", true},
		{"401", whole, "/v1/chat/completions", chat("groq/s401", false), 401, "provider_unauthorized", true},
		{"429", whole, "/v1/chat/completions", chat("groq/s429", false), 429, "provider_rate_limited", true},
		{"500", whole, "/v1/chat/completions", chat("groq/s500", true), 500, "provider_error", true},
		{"closed", whole, "/v1/chat/completions", chat("groq/x", false), 502, "provider_unreachable", true},
		{"cut stream", whole, "/v1/chat/completions", chat("groq/cut", true), 200, "provider_incomplete", true},
		{"failed stream", whole, "/v1/chat/completions", chat("groq/fail-in-stream", true), 200, "provider_error", true},
		{"no token", "", "/v1/chat/completions", chat("gpt-5", false), 401, "caller_unauthenticated", true},
		{"unknown token", "sk_local_nothing_like_it", "/v1/chat/completions", chat("gpt-5", false), 401, "caller_unauthenticated", true},
		{"bad body", whole, "/v1/chat/completions", `[`, 400, "caller_invalid", true},
		{"no key", whole, "/v1/chat/completions", chat("mistral/x", false), 400, "hostless_unconfigured", true},
		{"scope", w.mint("--name", "narrow", "--models", "gpt-5"), "/v1/chat/completions", chat("gpt-4o-mini", false), 403, "policy_scope", true},
	} {
		w.token = c.token
		status, text := w.ask("POST", c.path, c.body)
		r := w.last()
		if status != c.status || r.Status != c.status || r.ErrorKind != c.kind {
			t.Errorf("%s: %d (%s), row %d %q; want %d %q", c.name, status, text, r.Status, r.ErrorKind, c.status, c.kind)
		}
		if r.Cost == nil || *r.Cost != "0" && !r.Estimated || !r.Priced || r.Price == nil {
			t.Errorf("%s: cost %v priced %t price %v", c.name, r.Cost, r.Priced, r.Price)
		}
	}
	w.token = w.mint("--name", "slow", "--rate-limit", "1")
	w.ask("POST", "/v1/chat/completions", chat("gpt-5", false))
	w.ask("POST", "/v1/chat/completions", chat("gpt-5", false))
	if r := w.last(); r.Status != 429 || r.ErrorKind != "policy_rate_limited" || len(r.Attempts) != 0 {
		t.Errorf("over the rate: %+v", r)
	}
	w.token = whole

	var spent report
	w.get("/spend?period=today", &spent)
	all := w.rows("n=10000")
	failed := int64(0)
	for _, r := range all {
		if r.ErrorKind != "" {
			failed++
		}
	}
	if spent.Total.Requests != int64(len(all)) || spent.Total.Errors != failed {
		t.Errorf("spend has %d requests, %d errors; the log %d and %d", spent.Total.Requests, spent.Total.Errors, len(all), failed)
	}

	// Filters.
	for query, want := range map[string]func(row) bool{
		"status=429":               func(r row) bool { return r.Status == 429 },
		"status=4xx":               func(r row) bool { return r.Status/100 == 4 },
		"model=groq/*":             func(r row) bool { return strings.HasPrefix(r.Model, "groq/") },
		"model=s500":               func(r row) bool { return r.ResolvedModel == "s500" },
		"provider=groq":            func(r row) bool { return r.Provider == "groq" },
		"token=slow":               func(r row) bool { return r.TokenName == "slow" },
		"token=" + w.token[:17]:    func(r row) bool { return r.Token == w.token[:17] },
		"since=1h":                 func(r row) bool { return true },
		"since=0s":                 func(r row) bool { return false },
		"app=nobody":               func(r row) bool { return false },
		"status=5xx&provider=groq": func(r row) bool { return r.Status/100 == 5 && r.Provider == "groq" },
	} {
		got, want2 := w.rows(query+"&n=10000"), 0
		for _, r := range got {
			if !want(r) {
				t.Errorf("%s gives %+v", query, r)
			}
		}
		for _, r := range all {
			if want(r) {
				want2++
			}
		}
		if len(got) != want2 {
			t.Errorf("%s gives %d rows, want %d", query, len(got), want2)
		}
	}
	if r := w.CLI("log", "--token", "slow", "--json", "-n", "1"); r.Code != 0 || !strings.Contains(r.Stdout, `"policy_rate_limited"`) {
		t.Errorf("log --token: %+v", r)
	}
}

// TestAborted: for a client that disconnects, a row has the usage that the provider
// reported before, or an estimate that is marked as such.
func TestAborted(t *testing.T) {
	w := start(t)
	hold := make(chan struct{})
	defer close(hold)
	s := script(t, func(rw http.ResponseWriter, r *http.Request, body []byte) {
		rw.Header().Set("Content-Type", "text/event-stream")
		if strings.HasSuffix(r.URL.Path, "/messages") {
			fmt.Fprint(rw, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-haiku-4-5\",\"content\":[],\"usage\":{\"input_tokens\":1000,\"cache_read_input_tokens\":5000,\"cache_creation_input_tokens\":0,\"output_tokens\":1}}}\n\n")
		} else {
			for range 40 {
				fmt.Fprint(rw, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n")
			}
		}
		rw.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-hold:
		}
	})
	w.provider("openai", s.URL+"/v1")
	w.provider("anthropic", s.URL)
	for _, c := range []struct {
		path, body string
		estimated  bool
	}{
		{"/v1/messages", `{"model":"claude-haiku-4-5","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hello"}]}`, false},
		{"/v1/chat/completions", chat("gpt-4o-mini", true), true},
		{"/v1/messages", `{"model":"gpt-4o-mini","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hello"}]}`, true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		n := len(w.rows(""))
		resp, err := w.send(ctx, "POST", c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(resp.Body, make([]byte, 150))
		cancel()
		resp.Body.Close()
		eventually(t, "row of an aborted stream", func() bool { return len(w.rows("")) > n })
		r := w.last()
		if r.ErrorKind != "caller_disconnected" || r.Status != 200 || !r.Stream || r.Cost == nil || !r.Priced || r.Estimated != c.estimated {
			t.Errorf("%s: %+v", c.path, r)
		}
		t.Logf("%s: %s, %+v", c.path, *r.Cost, r.Tokens)
		if !c.estimated && (r.Tokens.Input != 6000 || r.Tokens.Cached != 5000 || *r.Cost == "0") {
			t.Errorf("%s: tokens %+v cost %s", c.path, r.Tokens, *r.Cost)
		}
	}
}
