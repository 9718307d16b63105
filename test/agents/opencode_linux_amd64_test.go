package agents

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// opencodeQuiet turns off opencode's requests to other services.
var opencodeQuiet = []string{
	"OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_LSP_DOWNLOAD=1", "OPENCODE_DISABLE_SHARE=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1",
	`OPENCODE_PERMISSION={"bash":"allow","edit":"allow"}`,
}

// under returns the environment and the start of a command line for an agent below
// `hostless run` with a model.
func (w *world) under(t *testing.T, model string, env ...string) ([]string, string, []string) {
	t.Helper()
	for _, kv := range w.Env {
		if strings.HasPrefix(kv, "HOSTLESS_") {
			env = append(env, kv)
		}
	}
	return env, filepath.Join(harness.Bin(t), "hostless"), []string{"run", "--model", model, "agent", "--"}
}

// TestOpencodeSession has opencode work through a session that changes providers, below
// `hostless run`, which directs it to the gateway.
func TestOpencodeSession(t *testing.T) {
	cli := installed(t, "opencode-linux-x64/bin/opencode")
	w := newWorld(t)
	script := w.script()
	var out string
	for i, s := range stages {
		script.Until(s.until)
		env, hostless, args := w.under(t, s.model, opencodeQuiet...)
		args = append(args, cli, "run", "Please go on with the steps.")
		if i == 0 {
			w.interrupt(t, fmt.Sprintf("step-%d", s.until), env, hostless, args...)
			continue
		}
		out = w.run(t, env, hostless, append(args, "--continue")...)
	}
	w.checkSteps(t, script, out) // it asks npm for its plugins too, and does without
}
