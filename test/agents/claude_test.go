package agents

import (
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// quiet turns off Claude Code's requests to other services.
var quiet = []string{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1", "DISABLE_TELEMETRY=1", "DISABLE_ERROR_REPORTING=1"}

// TestClaudeCode runs Claude Code in headless mode.
func TestClaudeCode(t *testing.T) {
	wrapper := installed(t, "@anthropic-ai/claude-code/cli-wrapper.cjs")
	for _, c := range []struct {
		model string
		to    func(*world) *standin.Server
	}{
		{"claude-sonnet-4-5", func(w *world) *standin.Server { return w.anthropic }},
		{"gpt-4o-mini", func(w *world) *standin.Server { return w.openai }},
		{"gemini-2.5-flash", func(w *world) *standin.Server { return w.gemini }},
		{"mine/any-model", func(w *world) *standin.Server { return w.mine }},
	} {
		t.Run(c.model, func(t *testing.T) {
			w := newWorld(t)
			out := w.run(t, append([]string{
				"ANTHROPIC_BASE_URL=" + w.URL, "ANTHROPIC_AUTH_TOKEN=" + w.token,
				"ANTHROPIC_MODEL=" + c.model, "ANTHROPIC_DEFAULT_HAIKU_MODEL=" + c.model,
			}, quiet...), "node", wrapper, "-p", prompt, "--output-format", "json", "--allowedTools", "Bash")
			w.check(t, out, c.to(w), 2)
		})
	}
}
