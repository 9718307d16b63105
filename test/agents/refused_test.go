package agents

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/standin"
)

// refusedAgent runs an agent on a model and returns its output.
type refusedAgent struct {
	name string
	run  func(t *testing.T, w *world, model string) string
}

func refusedAgents() []refusedAgent {
	return []refusedAgent{
		{"claude", func(t *testing.T, w *world, model string) string {
			return w.attempt(t, append([]string{"ANTHROPIC_BASE_URL=" + w.URL, "ANTHROPIC_AUTH_TOKEN=" + w.token, "ANTHROPIC_MODEL=" + model}, quiet...),
				"node", installed(t, "@anthropic-ai/claude-code/cli-wrapper.cjs"), "-p", prompt)
		}},
		{"codex", func(t *testing.T, w *world, model string) string {
			w.file(t, ".codex/config.toml", codexConfig(w.URL, model, false))
			return w.attempt(t, []string{"HOSTLESS_TOKEN=" + w.token, "CODEX_HOME=" + w.home + "/.codex"},
				"node", installed(t, "@openai/codex/bin/codex.js"), "exec", "--skip-git-repo-check", prompt)
		}},
		{"codex socket", func(t *testing.T, w *world, model string) string {
			w.file(t, ".codex/config.toml", codexConfig(w.URL, model, true))
			return w.attempt(t, []string{"HOSTLESS_TOKEN=" + w.token, "CODEX_HOME=" + w.home + "/.codex"},
				"node", installed(t, "@openai/codex/bin/codex.js"), "exec", "--skip-git-repo-check", prompt)
		}},
		{"gemini", func(t *testing.T, w *world, model string) string {
			w.file(t, ".gemini/settings.json", geminiSettings)
			return w.attempt(t, []string{"GEMINI_API_KEY=" + w.token, "GOOGLE_GEMINI_BASE_URL=" + w.URL, "GEMINI_CLI_NO_RELAUNCH=true"},
				"node", installed(t, "@google/gemini-cli/bundle/gemini.js"), "-p", prompt, "-m", model, "--approval-mode", "yolo")
		}},
	}
}

// TestRefusalsAreShown: an agent whose request is refused shows the gateway's message at
// once, including the command that fixes it, and does not retry.
func TestRefusalsAreShown(t *testing.T) {
	for _, c := range refusedAgents() {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			out := c.run(t, w, "groq/any")
			if !strings.Contains(out, "hostless keys add groq") {
				t.Errorf("the agent does not say what to do:\n%s", out)
			}
			if n := strings.Count(w.Log(), "component=gateway"); n > 8 {
				t.Errorf("the agent sent %d requests", n)
			}
		})
	}
}

// TestRefusedOnce: a spent budget, and `hostless kill`, end an agent's turn at the first
// refusal by its model, and the agent shows the command that helps.
func TestRefusedOnce(t *testing.T) {
	for _, c := range refusedAgents() {
		for _, refusal := range []struct{ set, kind, command string }{
			{"budget set 0requests/day", "policy_budget_exceeded", "hostless budget raise b1"},
			{"kill", "policy_killed", "hostless unkill"},
		} {
			t.Run(c.name+"/"+refusal.kind, func(t *testing.T) {
				w := newWorld(t)
				w.Must(strings.Fields(refusal.set)...)
				model := map[string]string{"claude": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}[c.name]
				if model == "" {
					model = "gpt-5"
				}
				out := c.run(t, w, model)
				if !strings.Contains(strings.Join(strings.Fields(out), " "), refusal.command) {
					t.Errorf("the agent does not say what to do:\n%s", out)
				}
				asked := map[string]int{} // by endpoint and model: an agent may use more than one per turn
				var l struct {
					Requests []struct {
						Method   string `json:"method"`
						Path     string `json:"path"`
						Endpoint string `json:"endpoint"`
						Model    string `json:"model"`
						Kind     string `json:"error_kind"`
					}
				}
				if err := json.Unmarshal([]byte(w.Must("log", "-n", "1000", "--json")), &l); err != nil {
					t.Fatal(err)
				}
				for _, r := range l.Requests {
					if r.Kind == refusal.kind && r.Method == "POST" && !strings.HasSuffix(r.Path, "count_tokens") {
						asked[r.Endpoint+" "+r.Model]++
					}
				}
				most := 1
				if c.name == "codex socket" {
					most = 2 // the warm-up, and the turn over HTTP
				}
				for what, n := range asked {
					if n > most {
						t.Errorf("%s got %d requests", what, n)
					}
				}
				if len(asked) == 0 {
					t.Error("nothing was refused")
				}
				for _, s := range []*standin.Server{w.openai, w.mine, w.anthropic, w.gemini} {
					if seen := s.Generations(); len(seen) > 0 {
						t.Errorf("a provider got a request: %s %s", seen[0].Method, seen[0].Path)
					}
				}
			})
		}
	}
}
