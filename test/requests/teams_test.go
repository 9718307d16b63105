package requests_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

// TestAttributes: a team's gateway receives the name of the app that sends a request, and no app can
// pretend to be another; other providers do not receive it.
func TestAttributes(t *testing.T) {
	w := start(t)
	team, other := standin.OpenAI(t, key), standin.OpenAI(t, key)
	w.Must("keys", "add", "team", key, "--base-url", team.URL+"/v1", "--attribute", "app=x-litellm-tags", "--attribute", "request=X-Request-Source")
	w.provider("openai", other.URL+"/v1")
	w.token = w.mint("--name", "shop frontend")
	w.ask("POST", "/v1/chat/completions", chat("team/gpt-5", false), "x-litellm-tags", "somebody-else")
	seen := team.Last(t).Header
	if got := seen["X-Litellm-Tags"]; len(got) != 1 || got[0] != "shop frontend" {
		t.Errorf("the team's gateway gets %q", got)
	}
	if got := seen.Get("X-Request-Source"); got != w.last().ID {
		t.Errorf("request %q, want %q", got, w.last().ID)
	}
	w.ask("POST", "/v1/messages", `{"model":"team/gpt-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`)
	if got := team.Last(t).Header.Get("X-Litellm-Tags"); got != "shop frontend" {
		t.Errorf("translated: %q", got)
	}
	w.ask("POST", "/v1/chat/completions", chat("openai/gpt-5", false))
	if got := other.Last(t).Header.Get("X-Litellm-Tags"); got != "" {
		t.Errorf("another provider gets %q", got)
	}
	// The app of a run is its NAME.
	script := filepath.Join(t.TempDir(), "ask")
	text := `curl -s -o /dev/null "$HOSTLESS_API/chat/completions" -H "Authorization: Bearer $HOSTLESS_TOKEN" -H 'Content-Type: application/json' -d '` + chat("team/gpt-5", false) + `'`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Need(t, "curl")
	w.Must("run", "blog", "--", "sh", script)
	if got := team.Last(t).Header.Get("X-Litellm-Tags"); got != "blog" {
		t.Errorf("for a run the gateway gets %q", got)
	}
	// WebSockets, too.
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.URL, "http")+"/v1/realtime?model=team/gpt-4o-realtime-preview", http.Header{"Authorization": {"Bearer " + w.token}, "X-Litellm-Tags": {"x"}})
	if err != nil {
		t.Fatal(err)
	}
	c.ReadMessage()
	c.Close()
	if got := team.Last(t).Header.Get("X-Litellm-Tags"); got != "shop frontend" {
		t.Errorf("a WebSocket: %q", got)
	}

	if out := w.Must("keys", "list", "--json"); !strings.Contains(out, `"attributes":{"app":"x-litellm-tags"`) {
		t.Errorf("keys list: %s", out)
	}
	for _, bad := range []string{"app=Authorization", "app=x-hostless-app", "mood=x-mood", "app=a b", "app"} {
		if r := w.CLI("keys", "add", "team", "--keep-key", "--attribute", bad); r.Code == 0 {
			t.Errorf("--attribute %s is accepted", bad)
		}
	}
	w.Must("keys", "add", "team", "--keep-key", "--attribute", "app=")
	w.ask("POST", "/v1/chat/completions", chat("team/gpt-5", false))
	if got := team.Last(t).Header; got.Get("X-Litellm-Tags") != "" || got.Get("X-Request-Source") == "" {
		t.Errorf("after removing one: %v", got)
	}
	w.Must("keys", "remove", "team")
	if data, _ := os.ReadFile(filepath.Join(w.Home, "config.json")); strings.Contains(string(data), "X-Request-Source") {
		t.Errorf("config.json after remove: %s", data)
	}
}
