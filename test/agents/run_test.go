package agents

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

// TestUnderRun starts the agents with `hostless run`, which tells them of base
// URL and token by their own variables.
func TestUnderRun(t *testing.T) {
	for _, c := range []struct {
		name string
		args func() []string
		to   func(*world) *standin.Server
	}{
		{"claude", func() []string {
			return []string{"node", installed(t, "@anthropic-ai/claude-code/cli-wrapper.cjs"), "-p", prompt, "--allowedTools", "Bash"}
		}, func(w *world) *standin.Server { return w.anthropic }},
		{"gemini", func() []string {
			return []string{"node", installed(t, "@google/gemini-cli/bundle/gemini.js"), "-p", prompt, "-m", "gemini-2.5-flash", "--approval-mode", "yolo"}
		}, func(w *world) *standin.Server { return w.gemini }},
		{"codex", func() []string {
			return []string{"node", installed(t, "@openai/codex/bin/codex.js"), "exec", "-m", "gpt-5", "--skip-git-repo-check", "--sandbox", "danger-full-access", prompt}
		}, func(w *world) *standin.Server { return w.openai }},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args()
			w := newWorld(t)
			w.file(t, ".gemini/settings.json", geminiSettings)
			w.file(t, ".codex/config.toml", codexQuiet)
			env := append([]string{"GEMINI_CLI_NO_RELAUNCH=true"}, quiet...)
			for _, kv := range w.Env {
				if strings.HasPrefix(kv, "HOSTLESS_") {
					env = append(env, kv)
				}
			}
			out := w.run(t, env, filepath.Join(harness.Bin(t), "hostless"), append([]string{"run", "agent", "--"}, args...)...)
			w.check(t, out, c.to(w), 2)
		})
	}
}
