package agents

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// codexQuiet turns off Codex's requests to other services.
const codexQuiet = `check_for_update_on_startup = false

[analytics]
enabled = false

[feedback]
enabled = false

[features]
plugins = false
remote_plugin = false
plugin_sharing = false

`

// codexConfig returns a config.toml with the gateway as the provider.
func codexConfig(gateway, model string, sockets bool) string {
	return fmt.Sprintf(`model = %q
model_provider = "hostless"
%s[model_providers.hostless]
name = "Hostless"
base_url = "%s/v1"
env_key = "HOSTLESS_TOKEN"
wire_api = "responses"
supports_websockets = %t
`, model, codexQuiet, gateway, sockets)
}

// TestCodex runs the Codex CLI in headless mode.
func TestCodex(t *testing.T) {
	script := installed(t, "@openai/codex/bin/codex.js")
	for _, c := range []struct {
		model   string
		sockets bool
		to      func(*world) *standin.Server
		want    int
	}{
		{"gpt-5", false, func(w *world) *standin.Server { return w.openai }, 2},
		{"gpt-5", true, func(w *world) *standin.Server { return w.openai }, 2},
		{"claude-sonnet-4-5", false, func(w *world) *standin.Server { return w.anthropic }, 2},
		{"claude-sonnet-4-5", true, func(w *world) *standin.Server { return w.anthropic }, 2},
		{"gemini-2.5-flash", false, func(w *world) *standin.Server { return w.gemini }, 2},
		{"gemini-2.5-flash", true, func(w *world) *standin.Server { return w.gemini }, 2},
		// A custom server is probed once for the Responses API.
		{"mine/any-model", false, func(w *world) *standin.Server { return w.mine }, 3},
		{"mine/any-model", true, func(w *world) *standin.Server { return w.mine }, 3},
	} {
		how := "http"
		if c.sockets {
			how = "websocket"
		}
		t.Run(c.model+"/"+how, func(t *testing.T) {
			w := newWorld(t)
			w.file(t, ".codex/config.toml", codexConfig(w.URL, c.model, c.sockets))
			out := w.run(t, []string{"HOSTLESS_TOKEN=" + w.token, "CODEX_HOME=" + w.home + "/.codex"},
				"node", script, "exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access", prompt)
			if posted := strings.Contains(w.Log(), "component=front method=POST"); posted == c.sockets {
				t.Errorf("requests were posted: %t", posted)
			}
			w.check(t, out, c.to(w), c.want)
		})
	}
}
