package agents

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
	"github.com/hostless/hostless/test/standin"
)

// TestUnderRun starts the agents with `hostless run`, which passes the base URL and the
// token in their own environment variables.
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

// TestModelUnderRun: `hostless run --model` makes each agent use another provider's model
// for all requests, without a key for its own provider.
func TestModelUnderRun(t *testing.T) {
	for _, c := range []struct {
		name, model string
		args        func() []string
		to          func(*world) *standin.Server
	}{
		{"claude", "gpt-5", func() []string {
			return []string{"node", installed(t, "@anthropic-ai/claude-code/cli-wrapper.cjs"), "-p", prompt, "--allowedTools", "Bash"}
		}, func(w *world) *standin.Server { return w.openai }},
		{"gemini", "claude-sonnet-4-5", func() []string {
			return []string{"node", installed(t, "@google/gemini-cli/bundle/gemini.js"), "-p", prompt, "--approval-mode", "yolo"}
		}, func(w *world) *standin.Server { return w.anthropic }},
		{"codex", "gemini-2.5-flash", func() []string {
			return []string{"node", installed(t, "@openai/codex/bin/codex.js"), "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", prompt}
		}, func(w *world) *standin.Server { return w.gemini }},
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
			out := w.run(t, env, filepath.Join(harness.Bin(t), "hostless"), append([]string{"run", "--model", c.model, "agent", "--"}, args...)...)
			if !strings.Contains(out, w.proof) {
				t.Errorf("the agent's answer is not the tool's result:\n%s", out)
			}
			for _, s := range []*standin.Server{w.openai, w.anthropic, w.gemini} {
				if calls := s.Generations(); (s == c.to(w)) != (len(calls) > 0) {
					t.Errorf("%d requests went to one of the providers: %v", len(calls), s.Requests())
				}
			}
		})
	}
}
