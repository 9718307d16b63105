// Package canary sends unique secrets through the real binaries and looks for them
// everywhere except where they belong.
package canary

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// upstream is a provider that stores what it receives and reveals its key everywhere: in
// bodies, headers, errors and streams.
type upstream struct {
	*httptest.Server
	name, key string

	mu   sync.Mutex
	seen bytes.Buffer
}

func newUpstream(t *testing.T, name, key string) *upstream {
	u := &upstream{name: name, key: key}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		fmt.Fprintf(&u.seen, "%s %s\n", r.Method, r.URL)
		r.Header.Write(&u.seen)
		u.seen.Write(append(body, '\n'))
		u.mu.Unlock()
		switch {
		case strings.Contains(string(body), "hang-up"):
			panic(http.ErrAbortHandler)
		case strings.Contains(string(body), "deny"):
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Request-Id", "req-"+name)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s.","type":"invalid_request_error","code":"invalid_api_key","param":null}}`, key)
		case strings.Contains(string(body), "crash"):
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprintf(w, "<html>Authorization: Bearer %s</html>", key)
		case strings.Contains(string(body), "elsewhere"):
			http.Redirect(w, r, "http://"+r.Host+"/redirected?key="+url.QueryEscape(key), http.StatusTemporaryRedirect)
		case strings.Contains(string(body), `"stream":true`):
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n")
			w.(http.Flusher).Flush()
			if strings.Contains(string(body), "broken") {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, "data: [DONE]\n\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"data":[]}`)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) got() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen.String()
}

// leakScan collects texts by where they were found and searches them for secrets.
type leakScan struct {
	t       *testing.T
	secrets map[string]string // description → secret
}

// look fails the test for each secret that text contains, plain or in a common encoding,
// except those in except.
func (h *leakScan) look(where, text string, except ...string) {
	h.t.Helper()
	for what, secret := range h.secrets {
		skip := false
		for _, e := range except {
			skip = skip || e == what
		}
		if skip {
			continue
		}
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
			if i := strings.Index(text, form); i >= 0 {
				h.t.Errorf("%s contains %s: …%s…", where, what, strings.ReplaceAll(text[max(0, i-60):min(len(text), i+len(form)+20)], form, "<"+what+">"))
				break
			}
		}
	}
}

// TestNoSecretLeaves uses every interface, correctly and incorrectly, and then searches
// everything that came out.
func TestNoSecretLeaves(t *testing.T) {
	h := &leakScan{t: t, secrets: map[string]string{
		"key of openai": "sk-canary-openai-" + strings.Repeat("a1B2", 8),
		"key of groq":   "gsk_canary-groq-" + strings.Repeat("c3D4", 8),
		"key of mine":   "canary-mine-" + strings.Repeat("e5F6", 8),
	}}
	home := harness.Home(t)
	d := harness.StartIn(t, home, "--verbose", "--token-persistence", "file")
	openai := newUpstream(t, "openai", h.secrets["key of openai"])
	groq := newUpstream(t, "groq", h.secrets["key of groq"])
	mine := newUpstream(t, "mine", h.secrets["key of mine"])

	// Keys are passed on standard input; no output may contain one.
	cli := func(stdin string, args ...string) harness.Result {
		t.Helper()
		r := d.CLIWith(stdin, args...)
		h.look("output of hostless "+strings.Join(args[:min(2, len(args))], " "), r.Stdout+r.Stderr)
		return r
	}
	must := func(r harness.Result) {
		t.Helper()
		if r.Code != 0 {
			t.Fatalf("exit %d: %s", r.Code, r.Stderr)
		}
	}
	for _, u := range []*upstream{openai, groq, mine} {
		must(cli(u.key+"\n", "keys", "add", u.name, "-", "--base-url", u.URL+"/v1", "--json"))
	}
	cli("two\nlines "+openai.key, "keys", "add", "bad", "-")
	cli(openai.key, "keys", "add", "Bad Name", "-")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := control.NewClient(filepath.Join(home, "control.sock"))
	mint := func(req control.TokenRequest) string {
		t.Helper()
		tok, err := c.CreateToken(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		h.secrets["token "+req.Name] = tok.Token.Reveal()
		return tok.Token.Reveal()
	}
	all := mint(control.TokenRequest{Name: "all"})
	narrow := mint(control.TokenRequest{Name: "narrow", Origin: "https://app.example", Scope: control.Scope{AllowedModels: []string{"gpt-4o"}, RateLimit: 1}})
	gone := mint(control.TokenRequest{Name: "gone"})
	if _, err := c.RevokeToken(ctx, control.NewSecret(gone)); err != nil {
		t.Fatal(err)
	}

	// Requests with every outcome. No response may contain a secret.
	var last string // the last response, headers and body
	ask := func(name, method, path, body string, header ...string) int {
		t.Helper()
		last = ""
		req, err := http.NewRequestWithContext(ctx, method, d.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			h.look("error of "+name, err.Error())
			return 0
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body) // an error is expected for a stream that breaks off
		var head bytes.Buffer
		resp.Header.Write(&head)
		last = head.String() + string(data)
		h.look("answer to "+name, last)
		return resp.StatusCode
	}
	chat := func(model, say string, more ...string) string {
		return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]%s}`, model, say, strings.Join(more, ""))
	}
	bearer := func(tok string) []string {
		return []string{"Authorization", "Bearer " + tok, "Cookie", "session=" + tok}
	}
	for _, model := range []string{"gpt-4o", "groq/llama", "mine/m"} {
		for _, say := range []string{"hello", "deny", "crash", "elsewhere", "hang-up"} {
			ask(model+" "+say, "POST", "/v1/chat/completions", chat(model, say), bearer(all)...)
			ask(model+" "+say+" streamed", "POST", "/v1/chat/completions", chat(model, say, `,"stream":true`), bearer(all)...)
		}
		ask(model+" broken", "POST", "/v1/chat/completions", chat(model, "broken", `,"stream":true`), bearer(all)...)
		ask(model+" embeddings", "POST", "/v1/embeddings", fmt.Sprintf(`{"model":%q,"input":"x"}`, model), bearer(all)...)
		ask(model+" responses", "POST", "/v1/responses", fmt.Sprintf(`{"model":%q,"input":"x"}`, model), bearer(all)...)
		ask(model+" messages", "POST", "/v1/messages", chat(model, "deny", `,"max_tokens":5`), "x-api-key", all, "anthropic-version", "2023-06-01")
	}
	if got := ask("a plain chat", "POST", "/v1/chat/completions", chat("gpt-4o", "hello"), bearer(all)...); got != 200 {
		t.Fatalf("a plain chat answered %d: the test would prove nothing", got)
	}
	if got := ask("a refusal", "POST", "/v1/chat/completions", chat("gpt-4o", "deny"), bearer(all)...); got != 401 || !strings.Contains(last, "[redacted]") || !strings.Contains(last, "req-openai") {
		t.Errorf("a provider's own error came as %d %s, want it complete except for the key", got, last)
	}
	if got := ask("a redirect", "POST", "/v1/chat/completions", chat("gpt-4o", "elsewhere"), bearer(all)...); got != 307 || strings.Contains(openai.got(), "/redirected") {
		t.Errorf("a redirect came as %d, want it passed on and not followed", got)
	}
	ask("token in the query", "POST", "/v1/chat/completions?key="+all, chat("gpt-4o", "hello"))
	ask("gemini with ?key=", "POST", "/v1beta/models/gemini-2.5-pro:generateContent?key="+all, `{"contents":[]}`)
	ask("x-goog-api-key", "GET", "/v1beta/models", "", "x-goog-api-key", all)
	ask("a real key instead of a token", "POST", "/v1/chat/completions", chat("gpt-4o", "hello"), bearer(openai.key)...)
	ask("unknown token", "POST", "/v1/chat/completions", chat("gpt-4o", "hello"), bearer(all+"0")...)
	ask("revoked token", "POST", "/v1/chat/completions", chat("gpt-4o", "hello"), bearer(gone)...)
	ask("wrong origin", "POST", "/v1/chat/completions", chat("gpt-4o", "hello"), "Authorization", "Bearer "+narrow, "Origin", "https://other.example")
	ask("out of scope", "POST", "/v1/chat/completions", chat("groq/x", "hello"), bearer(narrow)...)
	for range 3 {
		ask("rate limited", "POST", "/v1/chat/completions", chat("gpt-4o", "hello"), bearer(narrow)...)
	}
	ask("models", "GET", "/v1/models", "", bearer(all)...)
	ask("no JSON", "POST", "/v1/chat/completions", `{"model":"`+all, bearer(all)...)
	ask("no key", "POST", "/v1/chat/completions", chat("mistral/x", "hello"), bearer(all)...)
	for _, path := range []string{"/auth/token", "/auth/tokens", "/keys", "/keys/openai", "/config", "/metrics", "/debug/vars", "/debug/pprof/"} {
		ask("GET "+path, "GET", path, "", bearer(all)...)
	}
	groq.CloseClientConnections()
	groq.Close()
	ask("an upstream that is down", "POST", "/v1/chat/completions", chat("groq/x", "hello"), bearer(all)...)

	// The control socket, with invalid requests.
	for _, r := range []struct{ method, path, body string }{
		{"PUT", "/keys/x", `{"key":"` + openai.key}, {"PUT", "/keys/x", `{"key":["` + openai.key + `"]}`},
		{"PUT", "/keys/" + openai.key, `{}`}, {"PUT", "/keys/x", `{"key":"` + openai.key + `\u0001"}`},
		{"POST", "/auth/revoke", `{"token":"` + gone + `"}`}, {"POST", "/auth/refresh", `{"token":"x` + all + `"}`},
		{"POST", "/routes/lease", `{"name":"x","token":"` + all + `"}`}, {"GET", "/" + openai.key, ""},
		{"GET", "/status", ""}, {"GET", "/keys", ""}, {"GET", "/auth/tokens", ""}, {"GET", "/config", ""}, {"GET", "/routes", ""},
	} {
		req, err := http.NewRequestWithContext(ctx, r.method, "http://hostless"+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := d.Control().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		h.look(r.method+" on the control socket", string(data))
	}
	for _, args := range [][]string{{"status"}, {"keys", "list"}, {"token", "list"}, {"config", "list"}, {"route", "list"}, {"list"}, {"origins", "list"}} {
		cli("", args...)
		cli("", append(args, "--json")...)
	}
	cli("", "token", "revoke", narrow)
	raw(t, h, d, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+all+"\r\nBad Header\r\n\r\n")
	raw(t, h, d, "GET /"+openai.key+" HTTP/9.9\r\n\r\n")

	// Each upstream got its own key, no other key, and no token.
	for _, u := range []*upstream{openai, groq, mine} {
		got := u.got()
		if !strings.Contains(got, u.key) {
			t.Errorf("%s never got its key: the test proves nothing about it", u.name)
		}
		h.look("what "+u.name+" was sent", got, "key of "+u.name)
	}

	proc(h, d.PID())
	d.Stop()
	h.look("the daemon's output", d.Log())
	files(t, h, home)
}

// raw sends bytes as they are and searches the response.
func raw(t *testing.T, h *leakScan, d *harness.Daemon, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+d.Port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, text)
	data, _ := io.ReadAll(conn)
	h.look("answer to a malformed request", string(data))
}

// proc searches what the system shows of the process, if it does.
func proc(h *leakScan, pid int) {
	for _, name := range []string{"cmdline", "environ"} {
		if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name)); err == nil {
			h.look("the daemon's "+name, string(data))
		}
	}
}

// files searches the home: only keys.env contains keys, and nothing contains a token.
func files(t *testing.T, h *leakScan, home string) {
	t.Helper()
	keysSeen := false
	err := filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if e.Name() == "keys.env" {
			keysSeen = strings.Contains(string(data), h.secrets["key of openai"])
			h.look("keys.env", string(data), "key of openai", "key of groq", "key of mine")
			return nil
		}
		h.look("file "+e.Name(), string(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !keysSeen {
		t.Error("keys.env does not contain the keys: the test proves nothing")
	}
}
