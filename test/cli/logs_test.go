package cli

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// TestLogsFollow: `logs -f` prints what is appended, continues if the log is truncated or
// replaced, and stops on an interrupt. It needs no daemon.
func TestLogsFollow(t *testing.T) {
	home := harness.Home(t)
	if err := os.Mkdir(filepath.Join(home, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(home, "logs", "hostlessd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	write := func(line string) {
		if _, err := log.WriteString(line + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	write("the first line, which is a long one")
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "logs", "-f", "-n", "5")
	cmd.Env = []string{"HOSTLESS_HOME=" + home}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 16)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Errorf("logs -f printed %q, want %q", got, want)
			}
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			t.Fatalf("logs -f did not print %q", want)
		}
	}
	expect("the first line, which is a long one")
	write("appended")
	expect("appended")
	if err := log.Truncate(0); err != nil {
		t.Fatal(err)
	}
	write("again")
	expect("again")
	cmd.Process.Signal(os.Interrupt)
	for range lines {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("logs -f after Ctrl-C: %v", err)
	}
}
