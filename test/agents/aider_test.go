package agents

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestAiderSession has aider write a file turn by turn, in one session that changes
// providers, below `hostless run`, which directs it to the gateway.
func TestAiderSession(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is installed from PyPI in a short run")
	}
	cli := filepath.Join(harness.Python(t, "aider"), "aider")
	w := newWorld(t)
	const file = "notes.txt"
	if err := os.WriteFile(filepath.Join(w.dir, file), []byte("empty\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var lines []string
	turn := 0
	for _, model := range []string{"", "openai/claude-sonnet-4-5", "openai/gemini-2.5-flash", "openai/gpt-5.6"} {
		if model != "" {
			lines = append(lines, "/model "+model)
		}
		for range 3 {
			turn++
			// The stand-ins answer with what they were asked: aider's form of a whole file.
			lines = append(lines, "{", "Write this.", "", file, "```", fmt.Sprintf("turn %d", turn), "```", "}")
		}
	}
	lines = append(lines, "/exit", "")
	var env []string
	for _, kv := range w.Env {
		if strings.HasPrefix(kv, "HOSTLESS_") {
			env = append(env, kv)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(harness.Bin(t), "hostless"), "run", "--model", "gpt-4o-mini", "agent", "--", cli,
		"--no-git", "--yes-always", "--no-pretty", "--no-fancy-input", "--no-stream", "--edit-format", "whole", "--map-tokens", "0", "--no-check-update", "--no-show-release-notes",
		"--no-show-model-warnings", "--analytics-disable", "--no-suggest-shell-commands", file)
	cmd.Dir, cmd.Env = w.dir, append(append([]string{}, w.env...), env...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(w.dir, file))
	if want := fmt.Sprintf("turn %d\n", turn); err != nil || string(data) != want {
		t.Errorf("%v: the file has %q, want %q\n%s", err, data, want, out)
	}
	asked := len(w.openai.Generations()) + len(w.anthropic.Generations()) + len(w.gemini.Generations())
	if asked < turn || len(w.anthropic.Generations()) < 3 || len(w.gemini.Generations()) < 3 {
		t.Errorf("the providers were asked %d times, want %d at least", asked, turn)
	}
	for _, s := range w.servers() {
		for _, refusal := range s.Refused() {
			t.Errorf("a provider refused: %s", refusal)
		}
	}
}
