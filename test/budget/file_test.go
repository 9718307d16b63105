package budget

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnusableFile: while budgets.json cannot be used, nothing is sent to a provider, and
// the error names the file and the command.
func TestUnusableFile(t *testing.T) {
	w := newWorld(t)
	w.Must("budget", "set", "5usd/day")
	w.Stop()
	path := filepath.Join(w.Home, "budgets.json")
	if err := os.WriteFile(path, []byte(`{"budgets":[{"id":"b1",`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(w.Home)
	before := w.up.asked.Load()
	resp, body := w.chat(1)
	refused(t, resp, body, "budget_exceeded", "hostless budget set AMOUNT/PERIOD")
	if !strings.Contains(body, path) || resp.StatusCode != 402 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if r := w.CLI("budget", "list"); r.Code != 1 || !strings.Contains(r.Stderr, path) {
		t.Errorf("%+v", r)
	}
	if out := w.Must("status"); !strings.Contains(out, path+" cannot be used") {
		t.Errorf("status:\n%s", out)
	}
	if up := w.up.asked.Load(); up != before {
		t.Errorf("the provider saw %d requests", up-before)
	}
	w.Must("budget", "set", "5usd/day")
	if resp, body := w.chat(1); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if kept, _ := filepath.Glob(path + ".corrupt-*"); len(kept) != 1 {
		t.Errorf("kept %s", kept)
	}
}
