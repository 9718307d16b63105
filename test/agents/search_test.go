package agents

import (
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// TestClaudeCodeWebSearch: Claude Code searches the web with other providers' search
// tools, and the results reach the model as the result of its tool.
func TestClaudeCodeWebSearch(t *testing.T) {
	wrapper := installed(t, "@anthropic-ai/claude-code/cli-wrapper.cjs")
	for _, c := range []struct {
		model string
		to    func(*world) *standin.Server
	}{
		{"gemini-2.5-flash", func(w *world) *standin.Server { return w.gemini }},
		{"gpt-5.6", func(w *world) *standin.Server { return w.openai }},
	} {
		t.Run(c.model, func(t *testing.T) {
			w := newWorld(t)
			script := w.script()
			script.Tool = "WebSearch"
			script.Until(1)
			w.run(t, append([]string{
				"ANTHROPIC_BASE_URL=" + w.URL, "ANTHROPIC_AUTH_TOKEN=" + w.token, "ANTHROPIC_MODEL=" + c.model, "ANTHROPIC_DEFAULT_HAIKU_MODEL=" + c.model,
				"ENABLE_TOOL_SEARCH=false", // makes WebSearch available at once
			}, quiet...), "node", wrapper, "-p", "Please search the web.", "--output-format", "json", "--allowedTools", "WebSearch,Bash")
			var last string
			for _, seen := range c.to(w).Generations() {
				last = string(seen.Body)
			}
			if !strings.Contains(last, standin.SearchURL) {
				t.Errorf("the model did not get what was found: …%s", last[max(0, len(last)-1500):])
			}
		})
	}
}
