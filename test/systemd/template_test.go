package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// TestTemplateUnit makes systemd check the unit for the system's service manager.
func TestTemplateUnit(t *testing.T) {
	analyze := harness.Need(t, "systemd-analyze")
	data, err := os.ReadFile(filepath.Join(harness.Root(), "init", "systemd", "hostlessd@.service"))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(text string) string {
		// A program that exists, wherever the daemon is installed.
		text = strings.Replace(text, "ExecStart=/usr/bin/hostlessd\n", "ExecStart=/bin/true\n", 1)
		path := filepath.Join(t.TempDir(), "hostlessd@someone.service")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
		var own []string
		for line := range strings.Lines(string(out)) { // other units are read too
			if strings.Contains(line, "hostlessd@") {
				own = append(own, line)
			}
		}
		if err != nil && len(own) == 0 {
			t.Fatalf("systemd-analyze verify: %v\n%s", err, out)
		}
		return strings.Join(own, "")
	}
	if found := verify(string(data)); found != "" {
		t.Error(found)
	}
	if verify(strings.Replace(string(data), "UMask=", "UMasc=", 1)) == "" {
		t.Error("a misspelt line is not found")
	}
}
