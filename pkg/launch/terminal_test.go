package launch

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/procinfo"
	"github.com/hostless/hostless/test/harness"
)

// screen is the output of a terminal.
type screen struct {
	t    *testing.T
	tty  *os.File
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newScreen(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	// A descriptor whose Close unblocks a reader, unlike pty's own.
	fd, err := unix.Dup(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	tty.Close()
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	tty = os.NewFile(uintptr(fd), "terminal")
	s := &screen{t: t, tty: tty, more: make(chan struct{}, 1)}
	go func() {
		in := bufio.NewReader(tty)
		for {
			b, err := in.ReadByte()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.text.WriteByte(b)
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() { tty.Close() })
	return s
}

func (s *screen) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until text appears after the first `after` bytes, and returns the number of
// bytes up to its end.
func (s *screen) await(text string, after int) int {
	s.t.Helper()
	limit := time.After(15 * time.Second)
	for {
		shown := s.shown()
		if i := strings.Index(shown[after:], text); i >= 0 {
			return after + i + len(text)
		}
		select {
		case <-s.more:
		case <-limit:
			s.t.Fatalf("the terminal does not show %q but %q", text, shown[after:])
		}
	}
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.tty, keys); err != nil {
		s.t.Fatal(err)
	}
}

func TestTerminalCtrlCReachesTheAppOnce(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "catch", "serve:", "count", "exit:9")})
	s := newScreen(t, cmd)
	d.awaitState(control.StateListening)
	s.press("\x03")
	s.await("interrupt 1", 0)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit %d, want the app's own 9", code)
	}
}

func TestTerminalCtrlCEndsTheTree(t *testing.T) {
	d := newStandIn(t)
	mark := t.TempDir() + "/pid"
	cmd := d.run(Config{Args: app(t, "daemon:pid:"+mark+",wait", "fork:deaf,pid:"+mark+",wait", "pid:"+mark, "serve:", "wait"), Grace: 300 * time.Millisecond})
	s := newScreen(t, cmd)
	d.awaitState(control.StateListening)
	pids := awaitPIDs(t, mark, 3)
	s.press("\x03")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
	awaitGone(t, pids)
}

func TestTerminalIsTheApps(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: []string{"/bin/sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo a tty; read x; echo got $x"}})
	s := newScreen(t, cmd)
	s.await("a tty", 0)
	s.press("hello\n")
	s.await("got hello", 0)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestTerminalCtrlZ runs as a job of a real shell.
func TestTerminalCtrlZ(t *testing.T) {
	bash := harness.Need(t, "bash")
	d := newStandIn(t)
	inner := d.run(Config{Args: []string{"/bin/sh", "-c", "echo ready; while read x; do echo got $x; done"}})
	self := inner.Path
	shell := exec.Command(bash, "--norc", "--noprofile", "-i")
	shell.Env = append(inner.Env, "PS1=prompt> ", "SELF="+self)
	s := newScreen(t, shell)
	at := s.await("prompt> ", 0)
	s.press("\"$SELF\" __run\n")
	at = s.await("ready\r\n", at)
	s.press("one\n")
	at = s.await("got one", at)
	s.press("\x1a")
	at = s.await("Stopped", at)
	at = s.await("prompt> ", at)
	pids := procinfo.Descendants(shell.Process.Pid)
	if len(pids) == 0 {
		t.Fatal("the job is gone")
	}
	s.press("echo still a shell\n")
	at = s.await("still a shell\r\n", at)
	s.press("fg\n")
	at = s.await("__run", at)
	s.press("two\n")
	at = s.await("got two", at)
	// Once more, through the background.
	s.press("\x1a")
	at = s.await("Stopped", at)
	at = s.await("prompt> ", at)
	s.press("bg\n")
	at = s.await("prompt> ", at)
	// It reads in the background, so it is stopped again, and the run with it.
	at = s.awaitStopped(at)
	s.press("fg\n")
	at = s.await("__run", at)
	s.press("three\n")
	at = s.await("got three", at)
	s.press("\x04") // end of file
	at = s.await("prompt> ", at)
	s.press("echo code $?\n")
	s.await("code 0", at)
	s.press("exit\n")
	_ = shell.Wait()
}

// awaitStopped waits until the shell knows that its job, a run, is stopped, since it would
// otherwise bring it to the foreground without continuing it. It returns the number of
// bytes shown.
func (s *screen) awaitStopped(at int) int {
	s.t.Helper()
	for limit, n := time.Now().Add(15*time.Second), 1; time.Now().Before(limit); n++ {
		s.press(fmt.Sprintf("jobs; echo asked $((%d + 1)) times\n", n))
		end := s.await(fmt.Sprintf("asked %d times\r\n", n+1), at)
		if strings.Contains(s.shown()[at:end], "Stopped") {
			return end
		}
		at = end
	}
	s.t.Fatal("the run does not stop")
	return at
}

func TestTerminalStartedInTheBackground(t *testing.T) {
	bash := harness.Need(t, "bash")
	d := newStandIn(t)
	inner := d.run(Config{Args: []string{"/bin/sh", "-c", "while read x; do echo got $x; done"}})
	shell := exec.Command(bash, "--norc", "--noprofile", "-i")
	shell.Env = append(inner.Env, "PS1=prompt> ", "SELF="+inner.Path)
	s := newScreen(t, shell)
	at := s.await("prompt> ", 0)
	s.press("\"$SELF\" __run &\n")
	d.await("lease", func() bool { return d.live == 1 })
	at = s.await("app.localhost", at)
	at = s.awaitStopped(at) // it reads
	s.press("fg\n")
	at = s.await("__run", at)
	s.press("one\n")
	at = s.await("got one", at)
	s.press("\x03")
	at = s.await("prompt> ", at)
	s.press("echo code $?\n")
	s.await("code 130", at)
	s.press("exit\n")
	_ = shell.Wait()
}

// TestTerminalInAPipeline checks that another process of the pipeline can read the
// terminal, and that Ctrl-C ends both.
func TestTerminalInAPipeline(t *testing.T) {
	bash := harness.Need(t, "bash")
	d := newStandIn(t)
	inner := d.run(Config{Args: app(t, "say:up", "serve:", "wait")})
	shell := exec.Command(bash, "--norc", "--noprofile", "-i")
	shell.Env = append(inner.Env, "PS1=prompt> ", "SELF="+inner.Path)
	s := newScreen(t, shell)
	at := s.await("prompt> ", 0)
	s.press("\"$SELF\" __run 2>/dev/null | (read a; while read x </dev/tty; do echo $a and $x; done)\n")
	d.awaitState(control.StateListening)
	s.press("one\n")
	at = s.await("up and one\r\n", at)
	s.press("\x1a")
	at = s.await("Stopped", at)
	at = s.await("prompt> ", at)
	s.press("fg\n")
	at = s.await("__run", at)
	s.press("two\n")
	at = s.await("up and two\r\n", at)
	s.press("\x03")
	s.await("prompt> ", at)
	d.await("end of the lease", func() bool { return d.live == 0 })
	s.press("exit\n")
	_ = shell.Wait()
}

// TestTerminalHangup closes the terminal of a run.
func TestTerminalHangup(t *testing.T) {
	d := newStandIn(t)
	mark := t.TempDir() + "/pid"
	cmd := d.run(Config{Args: app(t, "fork:deaf,pid:"+mark+",wait", "pid:"+mark, "serve:", "wait"), Grace: 300 * time.Millisecond})
	s := newScreen(t, cmd)
	d.awaitState(control.StateListening)
	pids := awaitPIDs(t, mark, 2)
	s.tty.Close()
	_ = cmd.Wait()
	d.await("end of the lease", func() bool { return d.live == 0 })
	awaitGone(t, pids)
}

// TestStdoutIsPure checks that stdout has only the app's bytes if it is a pipe and another
// stream is the terminal.
func TestStdoutIsPure(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "say:only this")})
	cmd.Stderr = nil
	out, err := cmd.Output()
	if err != nil || string(out) != "only this\n" {
		t.Errorf("stdout %q, %v", out, err)
	}
}
