package sdk

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/standin"
)

// TestRefusedOnce: each SDK reports a spent budget, or `hostless kill`, after one
// request, with the command that helps. None of them retries, and nothing is sent to a
// provider.
//
// The status codes were chosen by measurements with the versions in the lock files: no
// SDK retries 402 and 403. The AI SDK, and google-genai with retries, retry 429 three
// times, whatever x-should-retry says.
func TestRefusedOnce(t *testing.T) {
	dir, bin := node(t), venv(t)
	w := newWorld(t)
	type sdk struct {
		dir, program, script string
		calls                []string
	}
	for _, refusal := range []struct{ set, status, kind, command string }{
		{"budget set 0requests/day", "402", "policy_budget_exceeded", "hostless budget raise b1"},
		{"kill", "403", "policy_killed", "hostless unkill"},
	} {
		w.Must(strings.Fields(refusal.set)...)
		for _, s := range []sdk{
			{dir, "node", "refused.mjs", []string{"openai", "responses", "anthropic", "genai", "genai retrying", "aisdk openai", "aisdk anthropic", "aisdk google", "ollama"}},
			{"python", bin, "refused.py", []string{"openai", "responses", "anthropic", "genai", "genai retrying"}},
		} {
			for _, call := range s.calls {
				t.Run(refusal.kind+"/"+s.script+"/"+call, func(t *testing.T) {
					before := len(w.refusals(t, refusal.kind))
					cmd := exec.CommandContext(t.Context(), s.program, s.script, call)
					cmd.Dir, cmd.Env, cmd.WaitDelay = s.dir, w.env, 5*time.Second
					out, err := cmd.Output()
					status := refusal.status
					if call == "responses" || call == "aisdk openai" {
						status = "400" // in the Responses API, because Codex retries the others
					}
					if err != nil || !strings.HasPrefix(string(out), status+" ") || !strings.Contains(string(out), refusal.command) {
						t.Errorf("%v: %s", err, out)
					}
					if n := len(w.refusals(t, refusal.kind)) - before; n != 1 {
						t.Errorf("it sent %d requests", n)
					}
				})
			}
		}
	}
	for _, s := range []*standin.Server{w.openai, w.mine, w.anthropic, w.gemini} {
		if seen := s.Generations(); len(seen) > 0 {
			t.Errorf("a provider got a request: %s %s", seen[0].Method, seen[0].Path)
		}
	}
}

// refusals returns the ids of the requests that were refused for a kind of reason.
func (w *world) refusals(t *testing.T, kind string) (ids []string) {
	t.Helper()
	var l struct {
		Requests []struct {
			ID   string `json:"id"`
			Kind string `json:"error_kind"`
		}
	}
	if err := json.Unmarshal([]byte(w.Must("log", "-n", "1000", "--json")), &l); err != nil {
		t.Fatal(fmt.Errorf("log: %w", err))
	}
	for _, r := range l.Requests {
		if r.Kind == kind {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
