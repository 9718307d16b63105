package agents

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/test/standin"
)

// steps is the number of commands that a session runs, each in its own turn.
const steps = 20

// stage is one run of an agent in a session: with a model, up to a step.
type stage struct {
	model string
	until int
}

// stages changes the provider twice during the session. The first stage is interrupted
// during its last step, and in the second one the context is full.
var stages = []stage{{"gemini-2.5-flash", 7}, {"gpt-5.6", 14}, {"claude-sonnet-4-5", steps}}

// fullBefore is the step before which the context is full.
const fullBefore = 11

// script returns the task of a session: each step leaves a file, and the last step of the
// first stage never finishes.
func (w *world) script() *standin.Script {
	script := &standin.Script{Command: func(n int) string {
		if n == stages[0].until {
			return fmt.Sprintf("touch step-%d; sleep 60", n)
		}
		return fmt.Sprintf("touch step-%d", n)
	}}
	for _, s := range []*standin.Server{w.openai, w.mine, w.anthropic, w.gemini} {
		s.Follow(script)
	}
	return script
}

// interrupt starts an agent and interrupts it once a file exists.
func (w *world) interrupt(t *testing.T, file string, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = w.dir, append(append([]string{}, w.env...), env...)
	cmd.WaitDelay = 5 * time.Second
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			t.Fatalf("the agent ended before it was interrupted: %v\n%s", err, out.String())
		case <-tick.C:
		}
		if _, err := os.Stat(filepath.Join(w.dir, file)); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	cmd.Process.Signal(os.Interrupt)
	<-ended
}

// checkSession verifies a session: each step was done, the context was full once and was
// summarized, and no provider refused anything else.
func (w *world) checkSession(t *testing.T, script *standin.Script, out string) {
	t.Helper()
	if _, summed := script.Progress(); summed == 0 {
		t.Error("the conversation was not summarized")
	}
	w.checkSteps(t, script, out)
}

// checkSteps verifies a session without regard to summaries.
func (w *world) checkSteps(t *testing.T, script *standin.Script, out string) {
	t.Helper()
	if did, _ := script.Progress(); did != steps {
		t.Errorf("%d steps were started, want %d", did, steps)
	}
	for n := 1; n <= steps; n++ {
		if _, err := os.Stat(filepath.Join(w.dir, fmt.Sprintf("step-%d", n))); err != nil {
			t.Errorf("step %d was not done", n)
		}
	}
	if want := fmt.Sprintf("The steps up to %d are done.", steps); !strings.Contains(out, want) {
		t.Errorf("the agent does not say %q:\n%s", want, out)
	}
	for _, s := range w.servers() {
		for _, refusal := range s.Refused() {
			// The script causes the full context. Google's refusals of Gemini CLI's
			// requests were repaired.
			if !strings.Contains(refusal, "context_length_exceeded") && s != w.gemini {
				t.Errorf("a provider refused: %s", refusal)
			}
		}
	}
}

// TestClaudeCodeSession: Claude Code works through a session that changes providers.
func TestClaudeCodeSession(t *testing.T) {
	wrapper := installed(t, "@anthropic-ai/claude-code/cli-wrapper.cjs")
	w := newWorld(t)
	script := w.script()
	script.OverflowBefore(fullBefore)
	var out string
	for i, s := range stages {
		script.Until(s.until)
		env := append([]string{
			"ANTHROPIC_BASE_URL=" + w.URL, "ANTHROPIC_AUTH_TOKEN=" + w.token, "ANTHROPIC_MODEL=" + s.model, "ANTHROPIC_DEFAULT_HAIKU_MODEL=" + s.model,
		}, quiet...)
		args := []string{wrapper, "-p", "Please go on with the steps.", "--output-format", "json", "--allowedTools", "Bash"}
		if i == 0 {
			w.interrupt(t, fmt.Sprintf("step-%d", s.until), env, "node", args...)
			continue
		}
		out = w.run(t, env, "node", append(args, "--continue")...)
	}
	w.checkSession(t, script, out)
}

// TestGeminiCLISession: the Gemini CLI works through a session that changes providers.
func TestGeminiCLISession(t *testing.T) {
	cli := installed(t, "@google/gemini-cli/bundle/gemini.js")
	w := newWorld(t)
	w.file(t, ".gemini/settings.json", geminiSettings)
	script := w.script()
	script.LargeBehind(fullBefore - 1) // it counts tokens and compacts before the context is full
	var out string
	for i, s := range stages {
		script.Until(s.until)
		env := []string{"GEMINI_API_KEY=" + w.token, "GOOGLE_GEMINI_BASE_URL=" + w.URL, "GEMINI_CLI_NO_RELAUNCH=true"}
		args := []string{cli, "-p", "Please go on with the steps.", "-m", s.model, "--approval-mode", "yolo", "-o", "json"}
		if i == 0 {
			w.interrupt(t, fmt.Sprintf("step-%d", s.until), env, "node", args...)
			continue
		}
		out = w.run(t, env, "node", append(args, "--resume", "latest")...)
	}
	w.checkSession(t, script, out)
}
