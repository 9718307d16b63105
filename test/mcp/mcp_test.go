// Package mcp uses `hostless mcp` as an agent does: with the MCP SDK's client, over the
// standard streams of the built binary.
package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestMain also runs an MCP client below a `hostless run`, and the app of a run.
func TestMain(m *testing.M) {
	if bin := os.Getenv("MCP_CLIENT_OF"); bin != "" {
		below(bin)
	}
	if os.Getenv("CHATTY_APP") != "" {
		chatty()
	}
	harness.Main(m)
}

func connect(t *testing.T, d *harness.Daemon) *sdk.ClientSession {
	t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "mcp")
	cmd.Env = d.Env
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &sdk.CommandTransport{Command: cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// call calls a tool and returns its text.
func call(t *testing.T, s *sdk.ClientSession, tool string, args map[string]any) (text string, failed bool) {
	t.Helper()
	r, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	for _, c := range r.Content {
		if c, ok := c.(*sdk.TextContent); ok {
			text += c.Text
		}
	}
	return text, r.IsError
}

func ask(t *testing.T, d *harness.Daemon) {
	t.Helper()
	token := d.Must("token", "create", "--name", "tester", "--json")
	var made struct{ Token string }
	json.Unmarshal([]byte(token), &made)
	req, _ := http.NewRequest("POST", d.URL+"/v1/chat/completions", strings.NewReader(`{"model":"echo/text","messages":[{"role":"user","content":"a secret prompt"}]}`))
	req.Header.Set("Authorization", "Bearer "+made.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// TestTools calls every tool.
func TestTools(t *testing.T) {
	d := harness.Start(t)
	d.Must("run", "worker", "--detach", "--", "sh", "-c", "echo it cannot connect to the database; exec sleep 600")
	ask(t, d)
	s := connect(t, d)
	tools, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
		if tool.Annotations == nil || !tool.Annotations.ReadOnlyHint {
			t.Errorf("%s is not marked as read-only", tool.Name)
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "app_output budgets get_request list_apps list_requests spend status" {
		t.Errorf("the tools are %s", got)
	}

	if text, failed := call(t, s, "list_apps", nil); failed || !strings.Contains(text, `"app_name":"worker"`) {
		t.Errorf("list_apps: %s", text)
	}
	if text, failed := call(t, s, "app_output", map[string]any{"name": "worker"}); failed || !strings.Contains(text, "cannot connect to the database") {
		t.Errorf("app_output: %s", text)
	}
	if text, failed := call(t, s, "app_output", map[string]any{"name": "none"}); !failed || !strings.Contains(text, "hostless list") {
		t.Errorf("app_output of none: %s", text)
	}
	text, failed := call(t, s, "list_requests", map[string]any{"model": "echo*", "limit": 5})
	var list struct {
		Requests []struct {
			ID        string
			TokenName string `json:"token_name"`
		}
	}
	if json.Unmarshal([]byte(text), &list); failed || len(list.Requests) != 1 || list.Requests[0].TokenName != "tester" || strings.Contains(text, "secret prompt") {
		t.Fatalf("list_requests: %s", text)
	}
	if text, failed := call(t, s, "get_request", map[string]any{"id": list.Requests[0].ID}); failed || !strings.Contains(text, `"attempts"`) {
		t.Errorf("get_request: %s", text)
	}
	if text, failed := call(t, s, "list_requests", map[string]any{"status": "9"}); !failed || !strings.Contains(text, "4xx") {
		t.Errorf("a wrong filter: %s", text)
	}
	if text, failed := call(t, s, "spend", map[string]any{"by": "model"}); failed || !strings.Contains(text, `"key":"text"`) {
		t.Errorf("spend: %s", text)
	}
	for _, tool := range []string{"status", "budgets"} {
		if text, failed := call(t, s, tool, nil); failed || !strings.HasPrefix(text, "{") {
			t.Errorf("%s: %s", tool, text)
		}
	}
	d.Must("stop", "worker")
}

// below is the client of TestBelowARun.
func below(bin string) {
	cmd := exec.Command(bin, "mcp")
	cmd.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_requests","arguments":{}}}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"app_output","arguments":{"name":"other"}}}
`)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	cmd.Run()
	os.Stdout.Write(out.Bytes())
	os.Exit(0)
}

// TestBelowARun: an agent below a run sees only that run's app.
func TestBelowARun(t *testing.T) {
	d := harness.Start(t)
	ask(t, d)
	d.Must("run", "other", "--detach", "--", "sh", "-c", "echo of another app; exec sleep 600")
	d.Env = append(d.Env, "MCP_CLIENT_OF="+filepath.Join(harness.Bin(t), "hostless"))
	r := d.CLI("run", "agent", "--", os.Args[0])
	if !strings.Contains(r.Stdout, `"id":2`) || strings.Contains(r.Stdout, "tester") {
		t.Errorf("it sees the requests of others: %s%s", r.Stdout, r.Stderr)
	}
	if !strings.Contains(r.Stdout, `"id":3`) || strings.Contains(r.Stdout, "of another app") || !strings.Contains(r.Stdout, "only the requests of its own app") {
		t.Errorf("it sees the output of others: %s%s", r.Stdout, r.Stderr)
	}
	d.Must("stop", "other")
}

// TestSkill: the page for agents is the same in the terminal and under the dashboard's
// host name.
func TestSkill(t *testing.T) {
	d := harness.Start(t)
	text := d.CLI("skill").Stdout
	if !strings.HasPrefix(text, "---\nname: hostless\ndescription: ") || !strings.Contains(text, "hostless mcp") {
		t.Errorf("the skill is %.200s", text)
	}
	req, _ := http.NewRequest("GET", "http://127.0.0.1:"+d.Port+"/llms.txt", nil)
	req.Host = "hostless.localhost:" + d.Port
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var served bytes.Buffer
	served.ReadFrom(resp.Body)
	if resp.StatusCode != 200 || served.String() != text {
		t.Errorf("/llms.txt: %d %.200s", resp.StatusCode, served.String())
	}
}

// TestOutputOfATerminal: the output of a run after it listens is requested when it is
// needed.
func TestOutputOfATerminal(t *testing.T) {
	d := harness.Start(t)
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "run", "chatty", "--", os.Args[0])
	cmd.Env = append(slices.Clone(d.Env), "CHATTY_APP=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	d.Must("wait", "chatty", "--timeout", "30s")
	req, _ := http.NewRequest("GET", "http://127.0.0.1:"+d.Port+"/", nil)
	req.Host = "chatty.localhost:" + d.Port
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s := connect(t, d)
	if text, failed := call(t, s, "app_output", map[string]any{"name": "chatty"}); failed || !strings.Contains(text, "GET / of a visitor") || !strings.Contains(text, `"state":"listening"`) {
		t.Errorf("app_output: %s", text)
	}
}

// chatty is an app that prints each request.
func chatty() {
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, "of a visitor")
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
