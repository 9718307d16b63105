package requests_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// showCurl returns the output of `log show ID --curl`.
func (w *world) showCurl(id string) string { return w.Must("log", "show", id, "--curl") }

// everything returns the contents of all files in the daemon's home.
func (w *world) everything(except ...string) string {
	var b strings.Builder
	filepath.Walk(w.Home, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			for _, name := range except {
				if filepath.Base(path) == name {
					return nil
				}
			}
			data, _ := os.ReadFile(path)
			b.Write(data)
		}
		return nil
	})
	return b.String()
}

// TestBodies: bodies are stored only if enabled, and then limited in size, redacted, and
// apart from the rows; the printed command repeats the request exactly.
func TestBodies(t *testing.T) {
	w := start(t)
	say := func(text string) string {
		return fmt.Sprintf(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"it's %s"}]}`, text)
	}
	w.ask("POST", "/v1/chat/completions", say("canary-off"))
	curl := w.showCurl(w.last().ID)
	if !strings.HasSuffix(curl, "--data-binary @-") || !strings.Contains(curl, "$HOSTLESS_TOKEN") || strings.Contains(w.everything(), "canary-off") {
		t.Errorf("without bodies: %s", curl)
	}

	w.Must("config", "set", "log-bodies", "errors")
	w.ask("POST", "/v1/chat/completions", say("canary-fine"))
	if strings.Contains(w.everything(), "canary-fine") {
		t.Error("with errors, the body of a good request is kept")
	}
	w.ask("POST", "/v1/chat/completions", `{"model":"err-500","messages":[{"role":"user","content":"canary-failed"}]}`)
	if r := w.CLI("log", "show", w.last().ID); !strings.Contains(r.Stdout, "canary-failed") || !strings.Contains(r.Stdout, "asked to fail") {
		t.Errorf("show: %+v", r)
	}

	w.Must("config", "set", "log-bodies", "on")
	w.ask("POST", "/v1/chat/completions", say("canary-on "+key+" "+w.token))
	row := w.last()
	curl = w.showCurl(row.ID)
	if out := w.Must("log", "show", row.ID, "--json"); !strings.Contains(out, "You said: it's canary-on") || strings.Contains(out, key) || strings.Contains(out, w.token) {
		t.Errorf("show --json: %s", out)
	}
	if strings.Contains(curl, "@-") || strings.Contains(curl, w.token) || strings.Contains(curl, key) {
		t.Errorf("curl: %s", curl)
	}
	if all := w.everything("keys.env"); strings.Contains(all, key) || strings.Contains(all, w.token) {
		t.Error("a key or a token is in a file")
	}
	w.ask("POST", "/v1/chat/completions", say("canary-again"))
	curl = w.showCurl(w.last().ID)
	cmd := exec.Command("sh", "-c", curl+" -s")
	cmd.Env = append(os.Environ(), "HOSTLESS_TOKEN="+w.token)
	if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), "You said: it's canary-again") {
		t.Errorf("%s: %v\n%s", curl, err, out)
	}

	// Streams, and bodies that exceed the limit.
	w.ask("POST", "/v1/chat/completions", chat("gpt-4o-mini", true))
	if out := w.Must("log", "show", w.last().ID); !strings.Contains(out, "data: [DONE]") {
		t.Errorf("a stream: %s", out)
	}
	w.ask("POST", "/v1/chat/completions", say(strings.Repeat("é", 600_000)))
	if r := w.last(); !strings.HasSuffix(w.showCurl(r.ID), "@-") {
		t.Error("a command with an incomplete body")
	}

	var files []string
	filepath.Walk(filepath.Join(w.Home, "requests", "bodies"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			files = append(files, path)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v", path, info.Mode())
			}
		}
		return nil
	})
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	// Days later: old bodies are removed, and the rows stay.
	w.Must("config", "set", "log-bodies-days", "2")
	w.Stop()
	old := filepath.Join(filepath.Dir(files[0]), "2026-01-02.jsonl")
	if err := os.Rename(files[0], old); err != nil {
		t.Fatal(err)
	}
	w.Daemon = harness.StartIn(t, w.Home)
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("old bodies were not removed: %v", err)
	}
	if n := len(w.rows("")); n != 8 {
		t.Errorf("%d rows, want 8", n)
	}
}

// TestHeaders: a row has the headers that define the request, but no credentials.
func TestHeaders(t *testing.T) {
	w := start(t)
	w.ask("POST", "/v1/messages", `{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, "anthropic-beta", "context-1m", "Cookie", "canary-cookie", "X-Other", "canary-other")
	resp, err := w.Control().Get("http://hostless/log/" + w.last().ID)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	text := string(data)
	if !strings.Contains(text, `"anthropic-beta":"context-1m"`) || strings.Contains(text, "canary") || strings.Contains(text, w.token) {
		t.Error(text)
	}
	if curl := w.showCurl(w.last().ID); !strings.Contains(curl, `-H 'anthropic-beta: context-1m'`) || !strings.Contains(curl, `-H "x-api-key: $HOSTLESS_TOKEN"`) {
		t.Error(curl)
	}
}
