package mcp

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// bearer is a client that sends a token with each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// overHTTP connects the SDK's client to /mcp.
func overHTTP(t *testing.T, d *harness.Daemon, token string) (*sdk.ClientSession, error) {
	t.Helper()
	transport := &sdk.StreamableClientTransport{Endpoint: d.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)}, MaxRetries: -1}
	s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// mint makes a token by the command line.
func mint(t *testing.T, d *harness.Daemon, args ...string) string {
	t.Helper()
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(d.Must(append([]string{"token", "create", "--json"}, args...)...)), &made); err != nil {
		t.Fatal(err)
	}
	return made.Token
}

// status is the answer to one POST of /mcp.
func status(t *testing.T, d *harness.Daemon, token string, fields ...string) (int, string) {
	t.Helper()
	req, _ := http.NewRequest("POST", d.URL+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// TestOverHTTP: the tools over /mcp are those over standard streams, with the same answers.
func TestOverHTTP(t *testing.T) {
	d := harness.Start(t)
	t.Cleanup(func() { d.CLI("stop") })
	d.Must("run", "worker", "--detach", "--", "sh", "-c", "echo it cannot connect to the database; exec sleep 600")
	ask(t, d)
	if code, text := status(t, d, mint(t, d, "--name", "page")); code != http.StatusNotFound {
		t.Errorf("without a token for it: %d %s", code, text)
	}
	token := mint(t, d, "--mcp", "--name", "agent")
	near, far := connect(t, d), (*sdk.ClientSession)(nil)
	far, err := overHTTP(t, d, token)
	if err != nil {
		t.Fatal(err)
	}
	names := func(s *sdk.ClientSession) (out []string) {
		tools, err := s.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, tool := range tools.Tools {
			schema, _ := json.Marshal(tool.InputSchema)
			out = append(out, tool.Name+" "+tool.Description+string(schema))
			if tool.Annotations == nil || !tool.Annotations.ReadOnlyHint {
				t.Errorf("%s is not marked as read-only", tool.Name)
			}
		}
		return out
	}
	if a, b := names(near), names(far); !slices.Equal(a, b) {
		t.Errorf("over streams %q, over HTTP %q", a, b)
	}
	var list struct{ Requests []struct{ ID string } }
	text, _ := call(t, far, "list_requests", nil)
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Requests) != 1 {
		t.Fatalf("list_requests: %v %s", err, text)
	}
	for tool, args := range map[string]map[string]any{
		"list_apps": nil, "app_output": {"name": "worker"}, "list_requests": {"model": "echo*", "limit": 5}, "get_request": {"id": list.Requests[0].ID}, "budgets": nil,
		"spend": {"since": "2026-01-01T00:00:00Z", "by": "model"},
	} {
		a, aFailed := call(t, near, tool, args)
		b, bFailed := call(t, far, tool, args)
		if tool == "spend" { // it ends now
			a, b = a[strings.Index(a, `"total"`):], b[strings.Index(b, `"total"`):]
		}
		if a != b || aFailed || bFailed {
			t.Errorf("%s: over streams %s, over HTTP %s", tool, a, b)
		}
	}
	if text, failed := call(t, far, "app_output", map[string]any{"name": "none"}); !failed || !strings.Contains(text, "hostless list") {
		t.Errorf("app_output of none: %s", text)
	}
	d.Must("proxy", "restart")
	if text, failed := call(t, far, "status", nil); failed || !strings.HasPrefix(text, "{") {
		t.Errorf("after a restart: %s", text)
	}
	d.Must("token", "revoke", "agent")
	if code, text := status(t, d, token); code != http.StatusNotFound {
		t.Errorf("revoked: %d %s", code, text)
	}
	d.Must("stop", "worker")
}

// TestTokensKeepApart: a token for /mcp reaches no model, and one of an app or page not /mcp.
func TestTokensKeepApart(t *testing.T) {
	d := harness.Start(t)
	own := mint(t, d, "--mcp", "--name", "agent")
	for _, args := range [][]string{{"--mcp", "--origin", "http://a.localhost:1"}, {"--mcp", "--models", "gpt*"}, {"--mcp", "--providers", "openai"}} {
		if r := d.CLI(append([]string{"token", "create"}, args...)...); r.Code != 2 || !strings.Contains(r.Stderr, "/mcp") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if text := d.Must("token", "list"); !strings.Contains(text, "/mcp") {
		t.Errorf("the list does not tell it apart:\n%s", text)
	}
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/api/chat", "/v1beta/models/echo:generateContent"} {
		req, _ := http.NewRequest("POST", d.URL+path, strings.NewReader(`{"model":"echo/text","messages":[{"role":"user","content":"hello"}]}`))
		req.Header.Set("Authorization", "Bearer "+own)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s takes it: %d %s", path, resp.StatusCode, body)
		}
	}
	page := mint(t, d, "--name", "page", "--origin", "http://a.localhost:"+d.Port)
	run := d.CLI("run", "shop", "--", "printenv", "HOSTLESS_TOKEN")
	for name, token := range map[string]string{"a page's": page, "a program's": mint(t, d), "a run's": strings.TrimSpace(run.Stdout)} {
		if code, text := status(t, d, token); code != http.StatusUnauthorized || strings.Contains(text, "tools") {
			t.Errorf("%s token: %d %s", name, code, text)
		}
	}
	if code, text := status(t, d, own, "Origin", "http://a.localhost:"+d.Port); code != http.StatusForbidden {
		t.Errorf("a page with the right token: %d %s", code, text)
	}
	if code, _ := status(t, d, own, "Sec-Fetch-Mode", "cors"); code != http.StatusOK {
		t.Errorf("a client on Node: %d", code)
	}
	req, _ := http.NewRequest("POST", "http://127.0.0.1:"+d.Port+"/mcp", strings.NewReader("{}"))
	req.Host = "shop.localhost:" + d.Port
	req.Header.Set("Authorization", "Bearer "+own)
	if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode == http.StatusOK {
		t.Errorf("at an app's name: %v %v", resp, err)
	}
}

// TestBelowARunOverHTTP: a program below a run sees that run's app alone over /mcp too, and
// cannot make a token for it.
func TestBelowARunOverHTTP(t *testing.T) {
	harness.Need(t, "curl")
	d := harness.Start(t)
	ask(t, d)
	token := mint(t, d, "--mcp")
	calls := func(tool, args string) string {
		return d.CLI("run", "agent", "--", "curl", "-s", "-H", "Authorization: Bearer "+token, "-H", "Content-Type: application/json", "-H", "Accept: application/json, text/event-stream",
			"-d", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+args+`}}`, d.URL+"/mcp").Stdout
	}
	if text := calls("list_requests", "{}"); !strings.Contains(text, `"id":7`) || strings.Contains(text, "tester") || !strings.Contains(text, "requests") {
		t.Errorf("it sees the requests of others: %s", text)
	}
	if text := calls("app_output", `{"name":"other"}`); !strings.Contains(text, "only the requests of its own app") {
		t.Errorf("it sees the output of others: %s", text)
	}
	if r := d.CLI("run", "sly", "--", filepath.Join(harness.Bin(t), "hostless"), "token", "create", "--mcp"); r.Code == 0 || strings.Contains(r.Stdout, "sk_local_") {
		t.Errorf("a program below a run makes a token for /mcp: %+v", r)
	}
}

// TestNoSecrets calls each tool both ways and looks for what must not be in any answer.
func TestNoSecrets(t *testing.T) {
	d := harness.Start(t)
	const key = "sk-canary-0123456789abcdef0123456789"
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":{"message":"wrong key `+key+`","type":"invalid_request_error"}}`)
	}))
	t.Cleanup(provider.Close)
	d.Must("keys", "add", "openai", key, "--base-url", provider.URL)
	d.Must("config", "set", "log-bodies", "on")
	token, plain := mint(t, d, "--mcp", "--name", "agent"), mint(t, d, "--name", "tester")
	d.Must("run", "worker", "--detach", "--", "sh", "-c", "echo token $HOSTLESS_TOKEN; echo key "+key+"; echo mcp "+token+"; echo end; exec sleep 600")
	req, _ := http.NewRequest("POST", d.URL+"/v1/chat/completions", strings.NewReader(`{"model":"gpt-5","messages":[{"role":"user","content":"a canary prompt"}]}`))
	req.Header.Set("Authorization", "Bearer "+plain)
	req.Header.Set("User-Agent", "agent/"+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	far, err := overHTTP(t, d, token)
	if err != nil {
		t.Fatal(err)
	}
	for way, s := range map[string]*sdk.ClientSession{"streams": connect(t, d), "HTTP": far} {
		text, _ := call(t, s, "list_requests", nil)
		var list struct{ Requests []struct{ ID string } }
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Requests) == 0 {
			t.Fatalf("%v %s", err, text)
		}
		for tool, args := range map[string]map[string]any{
			"status": nil, "list_apps": nil, "app_output": {"name": "worker"}, "list_requests": nil, "get_request": {"id": list.Requests[0].ID}, "budgets": nil, "spend": {"by": "token"},
		} {
			text, failed := call(t, s, tool, args)
			for _, secret := range []string{key, token, plain, "canary prompt"} {
				if strings.Contains(text, secret) {
					t.Errorf("over %s %s shows %.30s…: %s", way, tool, secret, text)
				}
			}
			if failed || tool == "app_output" && !strings.Contains(text, "end") {
				t.Errorf("over %s %s: %s", way, tool, text)
			}
		}
	}
	if log := d.Log(); strings.Contains(log, token) || strings.Contains(log, key) {
		t.Error("the daemon's log has a secret")
	}
	d.Must("stop", "worker")
}

// TestPrintConfig prints lines that can be typed: those of Hostless are, here.
func TestPrintConfig(t *testing.T) {
	d := harness.Start(t)
	text := d.Must("mcp", "--print-config")
	for _, words := range []string{
		"claude mcp add hostless -- hostless mcp", "codex mcp add hostless -- hostless mcp", "gemini mcp add hostless hostless mcp",
		"claude mcp add --transport http hostless " + d.URL + "/mcp", "codex mcp add hostless --url " + d.URL + "/mcp --bearer-token-env-var HOSTLESS_MCP_TOKEN",
		"gemini mcp add --transport http", "Authorization: Bearer",
	} {
		if !strings.Contains(text, words) {
			t.Errorf("it does not say %q:\n%s", words, text)
		}
	}
	_, line, _ := strings.Cut(text, "HOSTLESS_MCP_TOKEN=$(")
	line, _, _ = strings.Cut(line, ")")
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(slices.Clone(d.Env), "PATH="+harness.Bin(t)+":"+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if code, text := status(t, d, strings.TrimSpace(string(out))); code != http.StatusOK {
		t.Errorf("the token of %q: %d %s", line, code, text)
	}
}
