package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hostless/hostless/test/harness"
)

// TestServeShowsItsURL runs the daemon on a terminal: it prints its URL, and Ctrl-C ends it.
func TestServeShowsItsURL(t *testing.T) {
	cmd := exec.Command(filepath.Join(harness.Bin(t), "hostless"), "serve", "--port", "0")
	cmd.Env = append(os.Environ(), "HOSTLESS_HOME="+harness.Home(t), "HOSTLESS_SOCKET=", "HOSTLESS_PORT=0", "DBUS_SESSION_BUS_ADDRESS=disabled:", "TERM=xterm")
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	limit := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	var all bytes.Buffer
	buf := make([]byte, 1024)
	up := regexp.MustCompile(`(?m)^Hostless is up on http://localhost:\d+ `)
	for asked := false; ; {
		n, err := tty.Read(buf)
		all.Write(buf[:n])
		if !asked && up.Match(all.Bytes()) {
			asked = true
			if _, err := io.WriteString(tty, "\x03"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil { // EIO: the other side is closed
			break
		}
	}
	_ = cmd.Wait()
	if !up.Match(all.Bytes()) || cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("exit %d:\n%s", cmd.ProcessState.ExitCode(), all.String())
	}
}
