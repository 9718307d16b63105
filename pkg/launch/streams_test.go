//go:build unix

package launch

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hostless/hostless/pkg/control"
)

// lastLog returns the last lines that the run reported when it ended.
func (d *standIn) lastLog() []string { return d.awaitState(control.StateExited).Log }

// waitWithin fails the test when a command has not ended in time.
func waitWithin(t *testing.T, cmd *exec.Cmd, limit time.Duration) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("the run has not ended after %v", limit)
	}
}

// TestOutputIsKept checks for all kinds of streams that the bytes are forwarded unchanged
// and the last lines are reported.
func TestOutputIsKept(t *testing.T) {
	const script = `echo one; printf 'two\377\n' >&2; printf end; exit 3`
	const want = "one\ntwo\xff\nend"
	kept := []string{"one", "two\uFFFD", "end"}
	args := []string{"/bin/sh", "-c", script}
	file := func(t *testing.T, flags int) *os.File {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), flags|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		_, _ = f.WriteString(strings.Repeat("of before\n", 3))
		return f
	}
	for _, tt := range []struct {
		name string
		file func(t *testing.T) (*os.File, func() []byte)
	}{
		{"a pipe", func(t *testing.T) (*os.File, func() []byte) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			return w, func() []byte { w.Close(); text, _ := io.ReadAll(r); r.Close(); return text }
		}},
		{"a socket", func(t *testing.T) (*os.File, func() []byte) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			unix.CloseOnExec(fds[0])
			unix.CloseOnExec(fds[1])
			w, r := os.NewFile(uintptr(fds[0]), "w"), os.NewFile(uintptr(fds[1]), "r")
			return w, func() []byte { w.Close(); text, _ := io.ReadAll(r); r.Close(); return text }
		}},
		{"a file", func(t *testing.T) (*os.File, func() []byte) {
			f := file(t, os.O_WRONLY)
			return f, func() []byte { text, _ := os.ReadFile(f.Name()); return text }
		}},
		{"a log", func(t *testing.T) (*os.File, func() []byte) {
			f := file(t, os.O_WRONLY|os.O_APPEND)
			return f, func() []byte { text, _ := os.ReadFile(f.Name()); return text }
		}},
		{"nowhere", func(t *testing.T) (*os.File, func() []byte) {
			f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			return f, func() []byte { f.Close(); return []byte(want) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newStandIn(t)
			cmd := d.run(Config{Args: args})
			f, read := tt.file(t)
			cmd.Stdout, cmd.Stderr = f, f
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitWithin(t, cmd, 20*time.Second)
			if code := cmd.ProcessState.ExitCode(); code != 3 {
				t.Errorf("exit %d, want 3", code)
			}
			if text := read(); !bytes.HasSuffix(text, []byte(want)) {
				t.Errorf("%q, want it to end with %q", text, want)
			}
			if diff := cmp.Diff(kept, d.lastLog()); diff != "" {
				t.Error(diff)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.requests[0].Output != "" {
				t.Errorf("output in %q", d.requests[0].Output)
			}
		})
	}
}

func TestOutputIsPassedOnWhole(t *testing.T) {
	data := make([]byte, 5<<20)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	d := newStandIn(t)
	cmd := d.run(Config{Args: []string{"cat", file}})
	if out, err := cmd.Output(); err != nil || !bytes.Equal(out, data) {
		t.Errorf("%d bytes, %v; want %d, the same", len(out), err, len(data))
	}
}

// TestOutputEndsWithItsReader checks that a command whose output has lost its reader ends
// as it does without a run.
func TestOutputEndsWithItsReader(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: []string{"yes"}})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	out.Close()
	waitWithin(t, cmd, 20*time.Second)
	if code := cmd.ProcessState.ExitCode(); code != 141 {
		t.Errorf("exit %d, want 141", code)
	}
}

// TestOutputWaitsForItsReader checks that a slow reader gets everything that a command
// wrote before it ended, but does not delay a requested end.
func TestOutputWaitsForItsReader(t *testing.T) {
	const lines = 20000 // more than a pipe holds
	for _, requested := range []bool{false, true} {
		t.Run(strconv.FormatBool(requested), func(t *testing.T) {
			d := newStandIn(t)
			mark := filepath.Join(t.TempDir(), "written")
			cmd := d.run(Config{Args: []string{"/bin/sh", "-c", "seq " + strconv.Itoa(lines) + "; touch " + mark + "; exit 3"}})
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd.Stdout = w
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			for range 2000 {
				if _, err := os.Stat(mark); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if requested {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				waitWithin(t, cmd, 20*time.Second)
				return
			}
			text, _ := io.ReadAll(r)
			waitWithin(t, cmd, 20*time.Second)
			if !bytes.HasSuffix(text, []byte("\n"+strconv.Itoa(lines)+"\n")) || cmd.ProcessState.ExitCode() != 3 {
				t.Errorf("%d bytes, exit %d", len(text), cmd.ProcessState.ExitCode())
			}
		})
	}
}

// TestOutputHeldFromOutside checks that the run ends although a process outside its tree
// holds the pipe open.
func TestOutputHeldFromOutside(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	d := newStandIn(t)
	dir := t.TempDir()
	cmd := d.run(Config{Args: app(t, "pid:"+dir+"/pid", "until:"+dir+"/go", "say:bye")})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := awaitPIDs(t, dir+"/pid", 1)[0]
	held, err := os.OpenFile("/proc/"+strconv.Itoa(pid)+"/fd/1", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_ = os.WriteFile(dir+"/go", nil, 0o600)
	text, _ := io.ReadAll(out)
	waitWithin(t, cmd, 20*time.Second)
	if string(text) != "bye\n" {
		t.Errorf("%q", text)
	}
}

// TestOutputOutlivesTheRun checks that the output of a tree that ends because its run was
// killed still arrives.
func TestOutputOutlivesTheRun(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "catch", "say:up", "count")})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	_ = cmd.Process.Kill()
	lines.Scan()
	if lines.Text() != "terminated 1" {
		t.Errorf("%q", lines.Text())
	}
	waitWithin(t, cmd, 20*time.Second)
}

// TestOutputWhileStarting checks that the last lines of an app that does not listen yet
// are reported.
func TestOutputWhileStarting(t *testing.T) {
	d := newStandIn(t)
	gate := filepath.Join(t.TempDir(), "go")
	cmd := d.run(Config{Args: app(t, "say:no database yet", "until:"+gate, "serve:", "wait")})
	cmd.Stdout, cmd.Stderr = nil, nil // /dev/null
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.await("last lines", func() bool {
		last := d.updates[max(0, len(d.updates)-1):]
		return len(last) == 1 && last[0].State == control.StateStarting && cmp.Equal(last[0].Log, []string{"no database yet"})
	})
	_ = os.WriteFile(gate, nil, 0o600)
	if u := d.awaitState(control.StateListening); len(u.Log) != 0 {
		t.Errorf("it listens, and still reports %q", u.Log)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	waitWithin(t, cmd, 20*time.Second)
	if diff := cmp.Diff([]string{"no database yet"}, d.lastLog()); diff != "" {
		t.Error(diff)
	}
}
