package gateway_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/token"
)

func TestHealthAndMissingPaths(t *testing.T) {
	w := newWorld(t)
	w.do("GET", "/health", "", "Authorization", "").want(t, 200, `{"status":"ok","version":"test","service":"hostless"}`)
	for _, path := range []string{"/auth/token", "/auth/tokens", "/auth/refresh", "/auth/revoke", "/auth/register", "/callback", "/routes", "/routes/register",
		"/routes/lease", "/keys", "/keys/openai", "/config", "/origins", "/approvals", "/status", "/", "/v1", "/v2/models", "/api/pull", "/metrics"} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			if path == "/" && method == "GET" {
				continue
			}
			a := w.do(method, path, "", "X-Hostless-Control", "1", "X-Forwarded-For", "127.0.0.1")
			if a.status != 404 {
				t.Errorf("%s %s = %d, want 404", method, path, a.status)
			}
			if strings.HasPrefix(path, "/api/") {
				continue
			}
			var e struct {
				Error map[string]any `json:"error"`
			}
			if err := json.Unmarshal([]byte(a.body), &e); err != nil || len(e.Error) != 4 || e.Error["type"] != "invalid_request_error" {
				t.Errorf("%s %s: not OpenAI's envelope: %s", method, path, a.body)
			}
		}
	}
	w.do("PUT", "/v1/chat/completions", "{}").want(t, 405, "invalid_request_error")
	for _, path := range []string{"/v1/files/../chat/completions", "/v1/files/%2e%2e/chat/completions", "/v1/files/..%2Fchat", "/v1/%5c../x"} {
		req := w.request("GET", "/", "")
		req.URL.Opaque = "//" + req.URL.Host + path
		resp, err := noRedirects.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%s = %d, want 400", path, resp.StatusCode)
		}
	}
}

func TestBodyGoesUpByteForByte(t *testing.T) {
	w := newWorld(t)
	var got string
	var path, query string
	var header http.Header
	h := func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, path, query, header = string(b), r.URL.Path, r.URL.RawQuery, r.Header
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("X-Request-Id", "req_1")
		rw.Header().Set("Set-Cookie", "a=b")
		rw.Header().Set("Access-Control-Allow-Origin", "*")
		rw.Header().Set("X-Hostless-Error", "spoofed")
		io.WriteString(rw, `{"ok":true, "usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	}
	w.upstream("openai", h)
	w.upstream("groq", h)
	body := " {\"model\" : \"gpt-4o\",\n \"messages\":[{\"content\":\"é\\u00e9\"}], \"seed\":1.50 } "
	a := w.do("POST", "/v1/chat/completions?a=1&b=%20", body,
		"Cookie", "s=1", "Origin", "http://localhost:3000", "Referer", "http://x/", "Sec-Fetch-Mode", "cors", "X-Api-Key", w.token, "X-Goog-Api-Key", w.token, "Api-Key", w.token,
		"Proxy-Authorization", "Basic x", "X-Hostless-Foo", "1", "X-Forwarded-For", "1.2.3.4", "Forwarded", "for=1.2.3.4", "Connection", "x-drop-me", "X-Drop-Me", "1", "X-Mine", "k "+w.token,
		"OpenAI-Organization", "org", "OpenAI-Beta", "b", "anthropic-beta", "ab", "Idempotency-Key", "i", "User-Agent", "sdk/1", "x-stainless-lang", "js", "Accept-Encoding", "gzip, br")
	a.want(t, 200, `{"ok":true, "usage"`)
	if got != body || path != "/v1/chat/completions" || query != "a=1&b=%20" {
		t.Errorf("upstream saw %q %q\n%s", path, query, cmp.Diff(body, got))
	}
	header.Del("Content-Length")
	want := http.Header{
		"Authorization": {"Bearer " + canary}, "Content-Type": {"application/json"}, "Openai-Organization": {"org"}, "Openai-Beta": {"b"}, "Anthropic-Beta": {"ab"},
		"Idempotency-Key": {"i"}, "User-Agent": {"sdk/1"}, "X-Stainless-Lang": {"js"}, "Accept-Encoding": {"identity"},
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("headers that were sent upstream: %s", diff)
	}
	if a.header.Get("X-Request-Id") != "req_1" || a.header.Get("Set-Cookie") != "" || a.header.Get("X-Hostless-Error") != "" || a.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" ||
		a.header.Get("X-Hostless-Provider") != "openai" || a.header.Get("X-Hostless-Model") != "gpt-4o" {
		t.Errorf("headers that were sent to the caller: %v", a.header)
	}
	w.do("POST", "/v1/chat/completions", `{"model":"groq/llama-3","x":1}`).want(t, 200, "ok")
	if got != `{"model":"llama-3","x":1}` {
		t.Errorf("groq saw %s", got)
	}
	if header.Get("Accept-Encoding") != "" {
		t.Errorf("Accept-Encoding was added: %v", header)
	}
	want2 := []gateway.Usage{
		{Provider: "groq", Model: "llama-3", Requests: 1, InputTokens: 3, OutputTokens: 4},
		{Provider: "openai", Model: "gpt-4o", Requests: 1, InputTokens: 3, OutputTokens: 4},
	}
	if diff := cmp.Diff(want2, w.gw.Usage(), cmpopts.IgnoreFields(gateway.Usage{}, "LastUsed")); diff != "" {
		t.Errorf("usage: %s", diff)
	}
}

func TestBaseURLsWithoutTheirVersion(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Path", r.URL.Path)
		io.WriteString(rw, "{}")
	})
	for _, path := range []string{"/chat/completions", "/completions", "/responses", "/embeddings", "/responses/compact", "/chat/unknown"} {
		a := w.do("POST", path, `{"model":"openai/gpt-4o"}`)
		if got := a.header.Get("X-Path"); a.status != 200 || got != "/v1"+path {
			t.Errorf("%s became %s: %d %s", path, got, a.status, a.body)
		}
	}
	w.do("GET", "/models/echo/text", "").want(t, 200, `"id":"echo/text"`)
	w.do("GET", "/chats", "").want(t, 404, "no such path")
}

func TestAuthentication(t *testing.T) {
	w := newWorld(t)
	chat := `{"model":"echo/text","messages":[{"role":"user","content":"hi there"}]}`
	for name, headers := range map[string][]string{
		"bearer": {"Authorization", "bEaReR  " + w.token}, "x-api-key": {"Authorization", "", "x-api-key", w.token},
		"x-goog-api-key": {"Authorization", "", "x-goog-api-key", w.token}, "beside another": {"Authorization", "Bearer x", "x-api-key", w.token},
	} {
		if a := w.do("POST", "/v1/chat/completions", chat, headers...); a.status != 200 || !strings.Contains(a.body, "hi there") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	w.do("POST", "/v1/chat/completions", chat, "Authorization", "").want(t, 401, "Invalid or unknown bridge token")
	w.do("POST", "/v1/chat/completions", chat, "Authorization", "Bearer sk_local_nope").want(t, 401, `"type":"authentication_error"`)
	w.do("POST", "/v1/chat/completions?key="+w.token, chat, "Authorization", "").want(t, 401, "Invalid")
	w.do("POST", "/v1/messages", "{}", "Authorization", "").want(t, 401, `{"type":"error","error":{"type":"authentication_error","message":"Invalid or unknown bridge token`)
	bound := w.mint(token.Request{Origin: "http://app.localhost:48282"})
	w.do("POST", "/v1/chat/completions", chat, "Authorization", "Bearer "+bound, "Origin", "https://evil.example").want(t, 403, "origin_mismatch")
	w.do("POST", "/v1/chat/completions", chat, "Authorization", "Bearer "+bound, "Origin", "http://app.localhost:48282").want(t, 200, "hi there")
}

func TestScope(t *testing.T) {
	w := newWorld(t)
	called := 0
	h := func(rw http.ResponseWriter, r *http.Request) { called++; io.WriteString(rw, "{}") }
	for _, name := range []string{"openai", "groq", "anthropic"} {
		w.upstream(name, h)
	}
	limited := "Bearer " + w.mint(token.Request{Scope: token.Scope{Models: []string{"gpt-4o-mini", "groq/llama*"}}})
	form := func(parts ...string) (string, string) {
		var b strings.Builder
		for i := 0; i < len(parts); i += 2 {
			b.WriteString("--XX\r\nContent-Disposition: form-data; name=\"" + parts[i] + "\"\r\n\r\n" + parts[i+1] + "\r\n")
		}
		return b.String() + "--XX--\r\n", "multipart/form-data; boundary=XX"
	}
	okForm, formType := form("file", "abc", "model", "gpt-4o-mini")
	badForm, _ := form("model", "whisper-1", "file", "abc")
	twoForm, _ := form("model", "gpt-4o-mini", "file", "abc", "model", "whisper-1")
	noForm, _ := form("file", "abc")
	for _, tt := range []struct {
		method, path, body, contentType string
		status                          int
	}{
		{"POST", "/v1/chat/completions", `{"model":"gpt-4o-mini"}`, "", 200},
		{"POST", "/v1/chat/completions", `{"model":"openai/gpt-4o-mini"}`, "", 200},
		{"POST", "/v1/chat/completions", `{"model":"groq/llama-3"}`, "", 200},
		{"POST", "/v1/chat/completions", `{"model":"gpt-4o"}`, "", 403},
		{"POST", "/v1/chat/completions", `{"model":"gpt-4o-mini","model":"gpt-4o"}`, "", 400},
		{"POST", "/v1/chat/completions", `{"model":"gpt-4o-mini","MODEL":"gpt-4o"}`, "", 400},
		{"POST", "/v1/chat/completions", `{"model":"gpt-4o-mini","models":["gpt-4o"]}`, "", 403},
		{"POST", "/v1/chat/completions", `{}`, "", 400},
		{"POST", "/v1/embeddings", `{"model":"text-embedding-3-small"}`, "", 403},
		{"POST", "/v1/moderations", `{"input":"x"}`, "", 400},
		{"POST", "/v1/images/generations", `{"prompt":"x"}`, "", 400},
		{"POST", "/v1/responses", `{"model":"gpt-4o"}`, "", 403},
		{"POST", "/v1/responses", `{"prompt":{"id":"x"}}`, "", 400},
		{"POST", "/v1/audio/transcriptions", okForm, formType, 200},
		{"POST", "/v1/audio/transcriptions", badForm, formType, 403},
		{"POST", "/v1/audio/transcriptions", twoForm, formType, 400},
		{"POST", "/v1/audio/transcriptions", noForm, formType, 400},
		{"POST", "/v1/images/edits", noForm, formType, 400},
		{"POST", "/v1/batches", `{"input_file_id":"f"}`, "", 403},
		{"POST", "/v1/messages/batches", `{"requests":[]}`, "", 403},
		{"POST", "/v1/realtime/client_secrets", `{}`, "", 403},
		{"POST", "/v1/threads/t/runs", `{"assistant_id":"a"}`, "", 400},
		{"POST", "/v1/fine_tuning/jobs", `{"model":"gpt-4o"}`, "", 403},
		{"POST", "/v1/evals", `{}`, "", 403},
		{"POST", "/v1/something/new", `{"model":"gpt-4o-mini"}`, "", 403},
		{"GET", "/v1/organization/costs", "", "", 403},
		{"GET", "/v1/files", "", "", 200},
		{"GET", "/v1/files/f1/content", "", "", 200},
		{"GET", "/v1/responses/r1", "", "", 200},
	} {
		before := called
		headers := []string{"Authorization", limited}
		if tt.contentType != "" {
			headers = append(headers, "Content-Type", tt.contentType)
		}
		a := w.do(tt.method, tt.path, tt.body, headers...)
		if a.status != tt.status || (a.status == 200) != (called > before) {
			t.Errorf("%s %s %.60q = %d %s, want %d; upstream called: %v", tt.method, tt.path, tt.body, a.status, a.body, tt.status, called > before)
		}
	}
	provider := "Bearer " + w.mint(token.Request{Scope: token.Scope{Providers: []string{"groq"}}})
	w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`, "Authorization", provider).want(t, 403, "scope_error")
	w.do("GET", "/v1/files", "", "Authorization", provider).want(t, 403, "scope_error")
	w.do("GET", "/v1/files", "", "Authorization", provider, "X-Hostless-Provider", "groq").want(t, 200, "{}")
	w.do("GET", "/v1/organization/users", "").want(t, 403, "scope_error")
}

func TestMissingKeyAndOrder(t *testing.T) {
	w := newWorld(t)
	w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 400, `"type":"configuration_error"`)
	w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 400, `hostless keys add openai`)
	w.do("POST", "/v1/chat/completions", `[]`).want(t, 400, "not a JSON object")
	w.do("POST", "/v1/chat/completions", `[]`).want(t, 400, `"param":"model"`)
	w.do("POST", "/v1/chat/completions", `{"messages":[]}`).want(t, 400, `"param":"model"`)
	limited := "Bearer " + w.mint(token.Request{RateLimit: 1})
	for range 3 {
		w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`, "Authorization", limited).want(t, 400, "configuration_error") // not charged
	}
	ok := `{"model":"echo/text","messages":[{"role":"user","content":"x"}]}`
	w.do("POST", "/v1/chat/completions", ok, "Authorization", limited).want(t, 200, "x")
	a := w.do("POST", "/v1/chat/completions", ok, "Authorization", limited)
	if a.want(t, 429, "rate_limit_error"); a.header.Get("Retry-After") == "" || a.header.Get("X-Hostless-Error") != "local" {
		t.Errorf("headers: %v", a.header)
	}
	w.keys.err = &fault.Error{Kind: fault.Locked, Message: "the keychain is locked", Next: "hostless unlock"}
	w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`).want(t, 503, "hostless unlock")
}

// TestRoutingFailsClosed checks that a name with a prefix is not sent anywhere if the
// stored providers are unknown, since it could belong to one of them.
func TestRoutingFailsClosed(t *testing.T) {
	w := newWorld(t)
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was sent to another provider", r.Method, r.URL)
	}))
	defer up.Close()
	w.keys.put("openai", up.URL)
	w.keys.listErr = &fault.Error{Kind: fault.Locked, Message: "the keychain is locked", Next: "hostless unlock"}
	a := w.do("POST", "/v1/chat/completions", `{"model":"mine/secret-model","messages":[]}`)
	if a.status < 400 {
		t.Errorf("status %d, want a refusal: %s", a.status, a.body)
	}
}

func TestEchoStreams(t *testing.T) {
	w := newWorld(t)
	body := `{"model":"echo/text","stream":true,"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"ein Wort é"}]}]%s}`
	a := w.do("POST", "/v1/chat/completions", strings.Replace(body, "%s", "", 1))
	if !strings.Contains(a.header.Get("Content-Type"), "text/event-stream") || !strings.HasSuffix(a.body, "data: [DONE]\n\n") || strings.Contains(a.body, "usage") || strings.Count(a.body, `"content":"`) != 4 {
		t.Errorf("stream: %v\n%s", a.header, a.body)
	}
	a = w.do("POST", "/v1/chat/completions", strings.Replace(body, "%s", `,"stream_options":{"include_usage":true}`, 1))
	if !strings.Contains(a.body, `"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7}`) {
		t.Errorf("usage asked for is missing: %s", a.body)
	}
	usage := w.gw.Usage()
	if len(usage) != 1 || usage[0].Requests != 2 || usage[0].OutputTokens != 6 {
		t.Errorf("usage: %+v", usage)
	}
	w.do("POST", "/v1/chat/completions", `{"model":"echo/none","messages":[{}]}`).want(t, 404, "echo has no model")
	w.settings.EchoOff = true
	w.do("POST", "/v1/chat/completions", `{"model":"echo/text","messages":[{}]}`).want(t, 400, "configuration_error")
}

func TestEchoSlowComesWordByWord(t *testing.T) {
	w := newWorld(t)
	resp, err := noRedirects.Do(w.request("POST", "/v1/chat/completions", `{"model":"echo/slow","stream":true,"messages":[{"role":"user","content":"a b c d"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var at []time.Time
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"content":"`) {
			at = append(at, time.Now())
		}
	}
	if len(at) != 5 || at[4].Sub(at[1]) < 200*time.Millisecond {
		t.Errorf("events came at %v", at)
	}
}

func TestProviderErrorsPass(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Retry-After", "7")
		rw.Header().Set("X-Ratelimit-Remaining-Requests", "0")
		rw.Header().Set("X-Echo", "saw "+canary)
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(429)
		io.WriteString(rw, `{"error":{"message":"Incorrect API key `+canary+`", "type":"x"}}`)
	})
	a := w.do("POST", "/v1/chat/completions", `{"model":"gpt-4o"}`)
	a.want(t, 429, `{"error":{"message":"Incorrect API key [redacted]", "type":"x"}}`)
	if a.header.Get("Retry-After") != "7" || a.header.Get("X-Ratelimit-Remaining-Requests") != "0" || a.header.Get("X-Echo") != "saw [redacted]" || a.header.Get("X-Hostless-Error") != "upstream" {
		t.Errorf("headers: %v", a.header)
	}
}

func TestModels(t *testing.T) {
	w := newWorld(t)
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"object":"list","data":[{"id":"gpt-4o","created":5,"owned_by":"system"},{"id":"claude-like"}]}`)
	})
	w.upstream("anthropic", func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != canary || r.Header.Get("Anthropic-Version") == "" || r.URL.Path != "/v1/models" {
			t.Errorf("anthropic was asked %s with %v", r.URL, r.Header)
		}
		io.WriteString(rw, `{"data":[{"type":"model","id":"claude-opus-4-5","display_name":"Claude Opus 4.5","created_at":"2025-11-01T00:00:00Z"}],"has_more":false}`)
	})
	w.upstream("google", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, `{"models":[{"name":"models/gemini-2.5-flash","displayName":"Flash","inputTokenLimit":9,"x":1}]}`)
	})
	w.upstream("mine", func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, `{"data":[{"id":"org/m1"}]}`) })
	down := w.upstream("mistral", func(rw http.ResponseWriter, r *http.Request) {})
	down.Close()
	w.keys.put("perplexity", "")
	w.settings.Models = map[string][]string{"mistral": {"mistral-small"}}
	ids := func(a answer) []string {
		t.Helper()
		var list struct {
			Data []struct{ ID string } `json:"data"`
		}
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		var out []string
		for _, m := range list.Data {
			out = append(out, m.ID)
		}
		return out
	}
	want := []string{"gpt-4o", "openai/claude-like", "claude-opus-4-5", "gemini-2.5-flash", "mistral/mistral-small", "perplexity/sonar", "perplexity/sonar-pro", "perplexity/sonar-reasoning-pro", "perplexity/sonar-deep-research", "echo/text", "echo/slow", "mine/org/m1"}
	if diff := cmp.Diff(want, ids(w.do("GET", "/v1/models", ""))); diff != "" {
		t.Errorf("models: %s", diff)
	}
	scoped := "Bearer " + w.mint(token.Request{Scope: token.Scope{Models: []string{"gpt-*", "mine/*"}}})
	if diff := cmp.Diff([]string{"gpt-4o", "mine/org/m1"}, ids(w.do("GET", "/v1/models", "", "Authorization", scoped))); diff != "" {
		t.Errorf("scoped models: %s", diff)
	}
	w.do("GET", "/v1/models", "", "anthropic-version", "2023-06-01").want(t, 200, `{"type":"model","id":"claude-opus-4-5","display_name":"Claude Opus 4.5","created_at":"2025-11-01T00:00:00Z"}`)
	w.do("GET", "/v1/models/mine/org/m1", "").want(t, 200, `{"created":0,"id":"mine/org/m1","object":"model","owned_by":"mine"}`)
	w.do("GET", "/v1/models/mine%2Forg%2Fm1", "").want(t, 200, `"id":"mine/org/m1"`)
	w.do("GET", "/v1/models/gpt-9", "").want(t, 404, "model_not_found")
	w.do("GET", "/v1/models/claude-opus-4-5", "", "Authorization", scoped).want(t, 403, "scope_error")
	w.do("GET", "/v1beta/models?key="+w.token, "", "Authorization", "").want(t, 200, `{"name":"models/gemini-2.5-flash","displayName":"Flash","inputTokenLimit":9,"x":1}`)
	w.do("GET", "/v1/models", "", "Authorization", "").want(t, 401, "Invalid")
}

// TestDeleteModel checks that a model is deleted by its whole name, including colons, and
// that this name is checked against the scope of the token.
func TestDeleteModel(t *testing.T) {
	w := newWorld(t)
	var asked string
	w.upstream("openai", func(rw http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path
		io.WriteString(rw, `{"deleted":true}`)
	})
	for name, up := range map[string]string{
		"plain": "plain", "openai/plain": "plain", "ft:gpt-4o:acme::id1": "ft:gpt-4o:acme::id1", "ft:gpt-4o:acme:name:id:generateContent": "ft:gpt-4o:acme:name:id:generateContent",
	} {
		asked = ""
		w.do("DELETE", "/v1/models/"+name, "").want(t, 200, "deleted")
		if want := "DELETE /v1/models/" + up; asked != want {
			t.Errorf("%s: the provider was asked %q; want %q", name, asked, want)
		}
	}
	asked = ""
	w.token = w.mint(token.Request{Scope: token.Scope{Models: []string{"ft:gpt-4o:acme:"}}})
	w.do("DELETE", "/v1/models/ft:gpt-4o:acme::id1", "").want(t, 403, "model_not_allowed")
	w.token = w.mint(token.Request{Scope: token.Scope{Models: []string{"ft:gpt-4o:acme::id1"}}})
	w.do("DELETE", "/v1/models/ft:gpt-4o:acme::id2", "").want(t, 403, "model_not_allowed")
	if asked != "" {
		t.Errorf("a request for a model out of scope reached the provider: %s", asked)
	}
	w.do("DELETE", "/v1/models/ft:gpt-4o:acme::id1", "").want(t, 200, "deleted")
	w.do("DELETE", "/v1/models/", "").want(t, 404, "has no model")
}
