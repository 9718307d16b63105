// Package pool runs the real daemon and client with several keys per provider and with
// model aliases, with real stand-ins.
package pool

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

func TestMain(m *testing.M) { harness.Main(m) }

// provider is a stand-in whose keys each have a status; with 0 it responds.
type provider struct {
	*httptest.Server
	mu     sync.Mutex
	status map[string]int
	asked  map[string]int
}

func newProvider(t testing.TB, status map[string]int) *provider {
	p := &provider{status: status, asked: map[string]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(key string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status[key] = status
}

func (p *provider) count(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[key]
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.asked[key]++
	status := p.status[key]
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Answered-With", key)
	switch {
	case strings.HasSuffix(r.URL.Path, "/models"):
		io.WriteString(w, `{"object":"list","data":[{"id":"gpt-5"}]}`)
	case status == 429:
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(429)
		io.WriteString(w, `{"error":{"message":"slow down","type":"rate_limit_error"}}`)
	case status != 0:
		w.WriteHeader(status)
		io.WriteString(w, `{"error":{"message":"Incorrect API key provided","type":"invalid_request_error"}}`)
	case strings.Contains(string(body), "hostless-key-test"):
		w.WriteHeader(404)
		io.WriteString(w, `{"error":{"message":"The model does not exist"}}`)
	default:
		io.WriteString(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	}
}

// ask sends a chat completion with the token.
func ask(t testing.TB, d *harness.Daemon, token, model, prompt string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequest("POST", "http://127.0.0.1:"+d.Port+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}]}`, model, prompt)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(data)
}

func token(t testing.TB, d *harness.Daemon, args ...string) string {
	t.Helper()
	var out struct{ Token string }
	if err := json.Unmarshal([]byte(d.Must(append([]string{"token", "create", "--origin", "*", "--json"}, args...)...)), &out); err != nil {
		t.Fatal(err)
	}
	return out.Token
}

// TestPool: a dead, a limited and a good key serve 32 clients without an error. The dead
// key is shown in list and status until it is tested again, also after a restart.
func TestPool(t *testing.T) {
	keys := map[string]string{"dead": "sk-dead-0123456789abcdefghij", "limited": "sk-limited-0123456789abcdefg", "good": "sk-good-0123456789abcdefghij"}
	p := newProvider(t, map[string]int{keys["dead"]: 401, keys["limited"]: 429})
	d := harness.Start(t)
	d.Must("keys", "add", "openai", keys["dead"], "--base-url", p.URL+"/v1")
	d.Must("keys", "add", "openai", keys["limited"], "--label", "limited")
	d.Must("keys", "add", "openai", keys["good"], "--label", "good")
	if out := d.Must("keys", "list", "--json"); strings.Count(out, p.URL) != 3 || !strings.Contains(out, `"label":"good"`) || !strings.Contains(out, `"state":"ok"`) {
		t.Fatalf("keys list: %s", out)
	}
	bearer := token(t, d)
	var wait sync.WaitGroup
	var mu sync.Mutex
	same, all := 0, 0
	for client := range 32 {
		wait.Go(func() {
			last := ""
			for range 10 {
				status, header, body := ask(t, d, bearer, "gpt-5", fmt.Sprint("task ", client))
				if status != 200 || !strings.Contains(body, "pong") {
					t.Errorf("client %d: %d %s", client, status, body)
				}
				key := header.Get("X-Answered-With")
				mu.Lock()
				if last != "" {
					all++
					if key == last {
						same++
					}
				}
				mu.Unlock()
				last = key
			}
		})
	}
	wait.Wait()
	if float64(same) < 0.95*float64(all) {
		t.Errorf("%d of %d turns stayed on their key", same, all)
	}
	if out := d.Must("keys", "list"); !strings.Contains(out, "refused (401)") || !strings.Contains(out, "limited (429)") {
		t.Errorf("keys list:\n%s", out)
	}
	if out := d.Must("status", "--json"); !strings.Contains(out, "openai: the provider refuses the key (401") {
		t.Errorf("status: %s", out)
	}
	log := d.Must("log", "-n", "1000", "--json")
	for _, want := range []string{`"key_label":"good"`, `"attempts":[{"provider":"openai","model":"gpt-5","key_label":"","status":401,"error_kind":"provider_unauthorized"`, `"key_label":"limited","status":429,"error_kind":"provider_rate_limited"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	for _, key := range keys {
		if strings.Contains(log+d.Log(), key) {
			t.Error("a key is in the log")
		}
	}

	// All keys are tested; one that is accepted again is used again.
	r := d.CLI("keys", "test")
	if r.Code != 1 || !strings.Contains(r.Stdout, "openai (good)") || !strings.Contains(r.Stdout, "not accepted (401)") || !strings.Contains(r.Stderr, "1 of 3 keys not accepted: openai") {
		t.Errorf("keys test: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	p.set(keys["dead"], 0)
	p.set(keys["limited"], 0)
	if out := d.Must("keys", "test", "--json"); strings.Count(out, `"ok":true`) != 3 || !strings.Contains(out, `{"keys":[{"provider":"openai",`) {
		t.Errorf("keys test: %s", out)
	}
	if out := d.Must("keys", "list", "--json"); strings.Contains(out, "refused") {
		t.Errorf("keys list: %s", out)
	}
	if out := d.Must("keys", "test", "openai", "--label", "good"); !strings.HasPrefix(out, "openai (good) accepts the key") {
		t.Errorf("keys test: %s", out)
	}
	// Removed one at a time; the others stay.
	d.Must("keys", "remove", "openai", "--label", "good")
	if r := d.CLI("keys", "remove", "openai", "--label", "good"); r.Code != 1 {
		t.Errorf("removed twice: exit %d", r.Code)
	}
	before := p.count(keys["good"])
	for i := range 20 {
		if status, _, body := ask(t, d, bearer, "gpt-5", fmt.Sprint("more ", i)); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	if p.count(keys["good"]) != before {
		t.Error("a removed key was used")
	}
}

// TestAliases uses the control socket and the command line: strict stand-ins with three
// dialects respond through one alias; it is kept across a restart; and a program below a
// run cannot change it.
func TestAliases(t *testing.T) {
	const key = "sk-canary-3f9c1d7e5b2a4860"
	home := harness.Home(t)
	d := harness.StartIn(t, home)
	openai, anthropic := standin.OpenAI(t, key), standin.Anthropic(t, key)
	d.Must("keys", "add", "openai", key, "--base-url", openai.URL+"/v1")
	d.Must("keys", "add", "anthropic", key, "--base-url", anthropic.URL+"/v1")
	if out := d.Must("model", "alias", "fast", "openai/err-503,claude-haiku-4-5", "--json"); out != `{"aliases":[{"name":"fast","targets":["openai/err-503","claude-haiku-4-5"]}]}` {
		t.Errorf("model alias: %s", out)
	}
	d.Must("model", "alias", "claude-haiku*", "gpt-4o-mini")
	d.Must("model", "alias", "claude-haiku*", "gpt-4o-mini") // repeated
	info, err := os.Stat(filepath.Join(home, "config.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("config.json: %v %v", info, err)
	}
	control := func(method, path, body string) (int, string) {
		req, _ := http.NewRequest(method, "http://hostless"+path, strings.NewReader(body))
		resp, err := d.Control().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, strings.TrimSpace(string(data))
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"PUT", "/models/aliases/a%2Fb", `{"targets":["gpt-4o-mini"]}`, 200, `{"name":"a/b","targets":["gpt-4o-mini"]}`},
		{"GET", "/models/aliases/a%2Fb", "", 200, `{"aliases":[{"name":"a/b","targets":["gpt-4o-mini"]}]}`},
		{"DELETE", "/models/aliases/a%2Fb", "", 200, `"aliases":[`},
		{"DELETE", "/models/aliases/a%2Fb", "", 404, "no alias"},
		{"GET", "/models/aliases/none", "", 404, "error"},
		{"PUT", "/models/aliases/x", `{"targets":[]}`, 400, "targets"},
		{"PUT", "/models/aliases/x", `{"targets":["y"]}`, 200, ""},
		{"PUT", "/models/aliases/y", `{"targets":["x"]}`, 409, "cycle"},
		{"PUT", "/models/aliases/z", `{"targets":["z"]}`, 409, "itself"},
		{"DELETE", "/models/aliases/x", "", 200, ""},
		{"GET", "/models/aliases", "", 200, `{"aliases":[{"name":"claude-haiku*","targets":["gpt-4o-mini"]},{"name":"fast",`},
	} {
		if status, body := control(tt.method, tt.path, tt.body); status != tt.status || !strings.Contains(body, tt.text) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, status, body)
		}
	}
	if r := d.CLI("model", "alias", "fast"); r.Code != 2 {
		t.Errorf("without a target: exit %d", r.Code)
	}
	if r := d.CLI("model", "unalias", "none"); r.Code != 1 || !strings.Contains(r.Stderr, "hostless model list") {
		t.Errorf("unalias: exit %d %s", r.Code, r.Stderr)
	}

	check := func() {
		t.Helper()
		// The pattern's target is the fallback of fast: claude-haiku-4-5 is an alias
		// itself.
		status, header, body := ask(t, d, token(t, d), "fast", "ping")
		if status != 200 || header.Get("X-Hostless-Attempts") != "2" || header.Get("X-Hostless-Model") != "gpt-4o-mini" || !strings.Contains(body, "ping") {
			t.Errorf("%d %v %s", status, header, body)
		}
		if status, _, body := ask(t, d, token(t, d, "--models", "gpt-4o-mini"), "fast", "ping"); status != 200 {
			t.Errorf("in scope: %d %s", status, body)
		}
		if status, _, body := ask(t, d, token(t, d, "--models", "fast"), "fast", "ping"); status != 403 || !strings.Contains(body, "scope_error") {
			t.Errorf("out of scope: %d %s", status, body)
		}
	}
	check()
	// A token's own alias takes precedence over the one for all, until it is removed.
	if out := d.Must("model", "alias", "fast", "gpt-4o-mini", "--token", "agent", "--json"); !strings.Contains(out, `{"name":"fast","targets":["gpt-4o-mini"],"token":"agent"}`) {
		t.Errorf("model alias --token: %s", out)
	}
	agent := token(t, d, "--name", "agent")
	if status, header, body := ask(t, d, agent, "fast", "ping"); status != 200 || header.Get("X-Hostless-Attempts") != "" || header.Get("X-Hostless-Model") != "gpt-4o-mini" {
		t.Errorf("the agent's own alias: %d %v %s", status, header, body)
	}
	d.Must("model", "alias", "own", "gpt-4o-mini", "--token", agent) // stored under the token's shown prefix
	if out := d.Must("model", "list"); strings.Contains(out, agent) || !strings.Contains(out, agent[:17]) {
		t.Errorf("model list: %s", out)
	}
	if _, _, body := ask(t, d, token(t, d), "own", "ping"); !strings.Contains(body, `"model":"own"`) {
		t.Errorf("another token's alias is accepted: %s", body)
	}
	if r := d.CLI("model", "unalias", "own"); r.Code != 1 {
		t.Errorf("an alias for one token can be removed as one for all: exit %d", r.Code)
	}
	d.Must("model", "unalias", "own", "--token", agent)
	check()
	d.Must("model", "unalias", "fast", "--token", "agent")
	if _, header, _ := ask(t, d, agent, "fast", "ping"); header.Get("X-Hostless-Attempts") != "2" {
		t.Errorf("without its own alias the agent gets %v", header)
	}
	r := d.CLI("run", "shop", "--", filepath.Join(harness.Bin(t), "hostless"), "model", "alias", "fast", "gpt-5")
	if r.Code != 1 || !strings.Contains(r.Stderr, "may not") {
		t.Errorf("below a run: exit %d %s", r.Code, r.Stderr)
	}
	if out := d.Must("audit", "--json"); !strings.Contains(out, `"action":"PUT /models/aliases/fast","target":"fast","result":"ok"`) || !strings.Contains(out, `"run":"shop","action":"PUT /models/aliases/fast"`) {
		t.Errorf("audit: %s", out)
	}
	d.Stop()
	d = harness.StartIn(t, home)
	check()
	if out := d.Must("log", "--json", "-n", "10", "--model", "fast", "--status", "200"); !strings.Contains(out, `"model":"fast","resolved_model":"gpt-4o-mini","provider":"openai"`) || !strings.Contains(out, `"model":"err-503","key_label":"","status":503,"error_kind":"provider_error"`) {
		t.Errorf("log: %s", out)
	}
	// An invalid manual edit: the other aliases stay in effect, and status reports it.
	data, err := os.ReadFile(filepath.Join(home, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(data), `"fast"`, `"bad name":["x"],"fast"`, 1)
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, body := control("POST", "/reload", ""); status != 200 {
		t.Errorf("reload: %d %s", status, body)
	}
	check()
	if out := d.Must("status", "--json"); !strings.Contains(out, "bad name") {
		t.Errorf("status: %s", out)
	}
}

// TestBudgetFallback: if a provider's budget is spent, an alias uses the next target
// without a request to that provider.
func TestBudgetFallback(t *testing.T) {
	const key = "sk-canary-3f9c1d7e5b2a4860"
	d := harness.Start(t)
	openai, anthropic := standin.OpenAI(t, key), standin.Anthropic(t, key)
	d.Must("keys", "add", "openai", key, "--base-url", openai.URL+"/v1")
	d.Must("keys", "add", "anthropic", key, "--base-url", anthropic.URL+"/v1")
	d.Must("model", "alias", "fast", "gpt-4o-mini,claude-haiku-4-5")
	d.Must("budget", "set", "1requests/day", "--provider", "openai")
	bearer := token(t, d)
	for i, want := range []string{"openai", "anthropic", "anthropic"} {
		status, header, body := ask(t, d, bearer, "fast", "ping")
		if status != 200 || header.Get("X-Hostless-Provider") != want {
			t.Errorf("request %d: %d by %q: %s", i, status, header.Get("X-Hostless-Provider"), body)
		}
	}
	if n := len(openai.Generations()); n != 1 {
		t.Errorf("the provider whose budget is spent got %d requests", n)
	}
	if status, _, body := ask(t, d, bearer, "gpt-4o-mini", "ping"); !strings.Contains(body, "budget_exceeded") {
		t.Errorf("by its own name: %d %s", status, body)
	}
}
