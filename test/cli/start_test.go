package cli

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// TestStartsAtOnce: of several simultaneous starts, one starts the daemon, and all print
// the same URL.
func TestStartsAtOnce(t *testing.T) {
	home := harness.Home(t)
	t.Cleanup(func() { endDaemon(home) })
	const starts = 4
	var wait sync.WaitGroup
	var urls, notes [starts]string
	for i := range starts {
		wait.Add(1)
		go func() {
			defer wait.Done()
			cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "proxy", "start", "--port", "0")
			cmd.Env = []string{"HOSTLESS_HOME=" + home, "NO_COLOR=1"}
			var note strings.Builder
			cmd.Stderr = &note
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("start %d: %v\n%s", i, err, note.String())
			}
			urls[i], notes[i] = string(out), note.String()
		}()
	}
	wait.Wait()
	for i := range starts {
		if urls[i] != urls[0] {
			t.Errorf("start %d printed %q, the first %q", i, urls[i], urls[0])
		}
	}
	if n := strings.Count(strings.Join(notes[:], ""), " started (pid"); n != 1 {
		t.Errorf("%d starts say that they started the daemon, want 1:\n%s", n, strings.Join(notes[:], ""))
	}
}
