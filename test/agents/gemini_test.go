package agents

import (
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// geminiSettings turns off Gemini CLI's requests to other services and makes it take its
// key from the environment.
const geminiSettings = `{
  "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false, "checkpointing": {"enabled": false}},
  "privacy": {"usageStatisticsEnabled": false},
  "telemetry": {"enabled": false},
  "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": false}}
}`

// TestGeminiCLI runs the Gemini CLI in headless mode.
func TestGeminiCLI(t *testing.T) {
	script := installed(t, "@google/gemini-cli/bundle/gemini.js")
	for _, c := range []struct {
		model string
		to    func(*world) *standin.Server
	}{
		{"gemini-2.5-flash", func(w *world) *standin.Server { return w.gemini }},
		{"claude-sonnet-4-5", func(w *world) *standin.Server { return w.anthropic }},
		{"gpt-4o-mini", func(w *world) *standin.Server { return w.openai }},
		{"mine/any-model", func(w *world) *standin.Server { return w.mine }},
	} {
		t.Run(c.model, func(t *testing.T) {
			w := newWorld(t)
			w.file(t, ".gemini/settings.json", geminiSettings)
			out := w.run(t, []string{"GEMINI_API_KEY=" + w.token, "GOOGLE_GEMINI_BASE_URL=" + w.URL, "GEMINI_CLI_NO_RELAUNCH=true"},
				"node", script, "-p", prompt, "-m", c.model, "--approval-mode", "yolo", "-o", "json")
			w.check(t, out, c.to(w), 2)
		})
	}
}
