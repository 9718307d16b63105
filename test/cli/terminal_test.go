package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hostless/hostless/test/harness"
)

// TestKeyIsNotShownOnATerminal types a key at the prompt, and then Ctrl-C.
func TestKeyIsNotShownOnATerminal(t *testing.T) {
	d := harness.Start(t)
	const key = "sk-typed-0123456789abcdef"
	text, code := typeKey(t, d, key+"\r")
	if code != 0 || strings.Contains(text, key) || !strings.Contains(text, "openai: key stored") {
		t.Errorf("keys add exited %d and the terminal shows:\n%s", code, text)
	}
	if list := d.Must("keys", "list"); !strings.Contains(list, "…"+key[len(key)-4:]) {
		t.Errorf("keys list lacks the key's end:\n%s", list)
	}
	if text, code := typeKey(t, d, "half\x03"); code != 130 || strings.Contains(text, "half") {
		t.Errorf("after Ctrl-C keys add exited %d, want 130, and the terminal shows:\n%s", code, text)
	}
}

// typeKey runs `keys add openai` on a terminal and types at its prompt.
func typeKey(t *testing.T, d *harness.Daemon, typed string) (text string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "keys", "add", "openai")
	cmd.Env = append(d.Env, "TERM=xterm", "NO_COLOR=1")
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	shown, prompted := make(chan string, 1), make(chan struct{})
	go func() {
		var all bytes.Buffer
		buf := make([]byte, 1024)
		for asked := false; ; {
			n, err := tty.Read(buf)
			all.Write(buf[:n])
			if !asked && strings.Contains(all.String(), "not shown): ") {
				asked = true
				close(prompted)
			}
			if err != nil { // EIO: the other side is closed
				shown <- all.String()
				return
			}
		}
	}()
	select {
	case <-prompted:
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		t.Fatalf("no prompt came:\n%s", <-shown)
	}
	if _, err := io.WriteString(tty, typed); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	return <-shown, cmd.ProcessState.ExitCode()
}

// onTerminal runs the client on a terminal, without a daemon, and returns what the
// terminal shows.
func onTerminal(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "TERM=xterm"}, env...)
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	text, _ := io.ReadAll(tty) // ends with EIO
	cmd.Wait()
	return string(text)
}

// TestTerminalIsColoured: output is colored on a terminal, unless NO_COLOR is set.
func TestTerminalIsColoured(t *testing.T) {
	for _, tt := range []struct {
		env  string
		want bool
	}{{"NO_COLOR=", true}, {"NO_COLOR=1", false}} {
		text := onTerminal(t, []string{tt.env}, "stauts")
		if got := strings.Contains(text, "\x1b["); got != tt.want || !strings.Contains(text, "no command") {
			t.Errorf("with %s, coloured is %t, want %t:\n%q", tt.env, got, tt.want, text)
		}
	}
}

// TestTerminalIsNotSteered: an error that repeats foreign text contains no control
// characters.
func TestTerminalIsNotSteered(t *testing.T) {
	text := onTerminal(t, []string{"HOSTLESS_SOCKET=/nowhere/\x1b]0;title\x07/s"}, "status")
	if !strings.Contains(text, "/nowhere/") || !strings.Contains(text, "\x1b[") || strings.Contains(text, "\x1b]") {
		t.Errorf("the terminal shows %q", text)
	}
}

// TestTerminalShowsLogs: tabs and line ends in a log, as in a stack trace, are kept.
func TestTerminalShowsLogs(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, "logs", "apps", "shop.log")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("panic:\r\n\tmain.go:1 \x1b]0;title\x07\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := onTerminal(t, []string{"HOSTLESS_HOME=" + home}, "logs", "shop")
	if want := "panic:\r\n\tmain.go:1 \ufffd]0;title\ufffd\r\n"; text != want {
		t.Errorf("the terminal shows %q, want %q", text, want)
	}
}
