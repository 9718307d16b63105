package agents

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/standin"
)

// TestCodexSession is a conversation of twenty turns with the Codex CLI: the model
// changes between providers, a tool call is interrupted, and on each provider the context
// overflows and is compacted. Only the overflowing turns may fail.
func TestCodexSession(t *testing.T) {
	script := installed(t, "@openai/codex/bin/codex.js")
	w := newWorld(t)
	// Codex reads the list of models from a file in the format in which the gateway
	// serves it.
	w.file(t, "models.json", w.models(t))
	w.file(t, ".codex/config.toml", fmt.Sprintf("openai_base_url = %q\nmodel_catalog_json = %q\n%s", w.URL+"/v1", w.home+"/models.json", codexQuiet))
	env := []string{"CODEX_API_KEY=" + w.token, "CODEX_HOME=" + w.home + "/.codex"}
	turn := 0
	args := func(model, prompt string, more ...string) []string {
		line := []string{script, "exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access", "-m", model}
		line = append(line, more...)
		if turn++; turn > 1 {
			line = append(line, "resume", "--last")
		}
		return append(line, fmt.Sprintf("Turn %d. %s", turn, prompt))
	}
	works := func(model, prompt, want string, more ...string) {
		t.Helper()
		if out := w.run(t, env, "node", args(model, prompt, more...)...); !strings.Contains(out, want) || !strings.Contains(out, `"turn.completed"`) || strings.Contains(out, "Model metadata") {
			t.Errorf("turn %d on %s does not show %q:\n%s", turn, model, want, out)
		}
	}
	for _, leg := range []struct {
		model string
		to    *standin.Server
	}{{"claude-sonnet-4-5", w.anthropic}, {"gpt-5", w.openai}, {"gemini-2.5-flash", w.gemini}, {"claude-sonnet-4-5", w.anthropic}} {
		works(leg.model, "Please run: `cat proof.txt`", w.proof)
		w.interruptCodex(t, env, args(leg.model, "Please run: `sleep 60`"))
		works(leg.model, "Please run: `cat proof.txt`", w.proof)
		before := len(leg.to.Generations())
		if out := w.attempt(t, env, "node", args(leg.model, standin.Overflow)...); !strings.Contains(out, "context window") {
			t.Errorf("turn %d on %s: the overflow is not recognized:\n%s", turn, leg.model, out)
		}
		works(leg.model, "Please run: `cat proof.txt`", w.proof)
		t.Logf("%s got %d requests after the overflow", leg.model, len(leg.to.Generations())-before)
	}
	compacted := 0
	for _, s := range []*standin.Server{w.anthropic, w.gemini, w.openai} {
		for _, seen := range s.Requests() {
			if strings.Contains(string(seen.Body), "Write a summary") || strings.Contains(string(seen.Body), "compaction_trigger") || strings.HasSuffix(seen.Path, "/compact") {
				compacted++
			}
		}
	}
	if turn != 20 || compacted < 3 {
		t.Errorf("%d turns with %d compactions", turn, compacted)
	}
}

// models returns the gateway's model list for Codex.
func (w *world) models(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.URL+"/v1/models?client_version=0.169.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %s: %v", resp.StatusCode, data, err)
	}
	return string(data)
}

// interruptCodex starts an agent with a long-running tool and interrupts it meanwhile.
func (w *world) interruptCodex(t *testing.T, env []string, args []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir, cmd.Env = w.dir, append(append([]string{}, w.env...), env...)
	cmd.WaitDelay = 5 * time.Second
	// The agent has several processes: interrupt all of them, as a terminal does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), `"command_execution"`) {
		n, err := out.Read(buf)
		if seen.Write(buf[:n]); err != nil {
			t.Errorf("the tool never ran:\n%s", seen.String())
			break
		}
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	stop := time.AfterFunc(20*time.Second, cancel)
	defer stop.Stop()
	io.Copy(io.Discard, out)
	cmd.Wait()
}
