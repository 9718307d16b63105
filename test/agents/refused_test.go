package agents

import (
	"strings"
	"testing"
)

// TestRefusalsAreShown: an agent that is refused says at once what the gateway
// said, the command that mends it included, and does not try again and again.
func TestRefusalsAreShown(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, w *world) string
	}{
		{"claude", func(t *testing.T, w *world) string {
			return w.attempt(t, append([]string{"ANTHROPIC_BASE_URL=" + w.URL, "ANTHROPIC_AUTH_TOKEN=" + w.token, "ANTHROPIC_MODEL=groq/any"}, quiet...),
				"node", installed(t, "@anthropic-ai/claude-code/cli-wrapper.cjs"), "-p", prompt)
		}},
		{"codex", func(t *testing.T, w *world) string {
			w.file(t, ".codex/config.toml", codexConfig(w.URL, "groq/any", false))
			return w.attempt(t, []string{"HOSTLESS_TOKEN=" + w.token, "CODEX_HOME=" + w.home + "/.codex"},
				"node", installed(t, "@openai/codex/bin/codex.js"), "exec", "--skip-git-repo-check", prompt)
		}},
		{"codex socket", func(t *testing.T, w *world) string {
			w.file(t, ".codex/config.toml", codexConfig(w.URL, "groq/any", true))
			return w.attempt(t, []string{"HOSTLESS_TOKEN=" + w.token, "CODEX_HOME=" + w.home + "/.codex"},
				"node", installed(t, "@openai/codex/bin/codex.js"), "exec", "--skip-git-repo-check", prompt)
		}},
		{"gemini", func(t *testing.T, w *world) string {
			w.file(t, ".gemini/settings.json", geminiSettings)
			return w.attempt(t, []string{"GEMINI_API_KEY=" + w.token, "GOOGLE_GEMINI_BASE_URL=" + w.URL, "GEMINI_CLI_NO_RELAUNCH=true"},
				"node", installed(t, "@google/gemini-cli/bundle/gemini.js"), "-p", prompt, "-m", "groq/any", "--approval-mode", "yolo")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			out := c.run(t, w)
			if !strings.Contains(out, "hostless keys add groq") {
				t.Errorf("the agent does not say what to do:\n%s", out)
			}
			if n := strings.Count(w.Log(), "component=gateway"); n > 8 {
				t.Errorf("the agent asked %d times", n)
			}
		})
	}
}
