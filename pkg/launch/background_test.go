package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/procinfo"
	"github.com/hostless/hostless/test/harness"
)

func (d *standIn) paths() config.Paths { return config.Paths{Home: d.home, Socket: d.socket()} }

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestDetach(t *testing.T) {
	d := newStandIn(t)
	ctx := limited(t)
	mark := filepath.Join(t.TempDir(), "pid")
	cmd := d.run(Config{Args: app(t, "say:hello", "pid:"+mark, "serve:", "wait"), Detach: true})
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = Stop(context.Background(), d.paths(), "app") })
	if !strings.Contains(string(out), "http://app.localhost") {
		t.Errorf("output %q does not name the URL", out)
	}
	got, err := Wait(ctx, d.paths(), "app")
	if err != nil || got.Name != "app" || got.Port != d.awaitState(control.StateListening).Port || got.Log != LogFile(d.paths(), "app") {
		t.Fatalf("Wait: %+v, %v", got, err)
	}
	if log, _ := os.ReadFile(got.Log); !strings.Contains(string(log), "hello\n") {
		t.Errorf("log %q", log)
	}
	if info, _ := os.Stat(got.Log); info.Mode().Perm() != 0o600 {
		t.Errorf("log's mode %v", info.Mode())
	}
	first := awaitPIDs(t, mark, 1)
	again, err := Restart(ctx, d.paths(), "app")
	if err != nil || again.PID != got.PID || again.Port != got.Port {
		t.Errorf("Restart: %+v, %v; want %+v", again, err, got)
	}
	pids := awaitPIDs(t, mark, 2)
	awaitGone(t, first)
	code, err := Stop(ctx, d.paths(), "app")
	if err != nil || code != 143 {
		t.Errorf("Stop: %d, %v; want 143", code, err)
	}
	d.mu.Lock()
	live, last, leases := d.live, d.updates[len(d.updates)-1], len(d.requests)
	d.mu.Unlock()
	if live != 0 || leases != 1 || last.State != control.StateExited || !strings.Contains(strings.Join(last.Log, "\n"), "hello") {
		t.Errorf("after the stop: %d leases live of %d, last update %+v", live, leases, last)
	}
	awaitGone(t, pids)
	if _, err := Stop(ctx, d.paths(), "app"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a second Stop: %v, want not found", err)
	}
}

// TestRestartOfACrash restarts an app in the background that crashed, or was killed
// together with its run. One that was stopped is not restarted.
func TestRestartOfACrash(t *testing.T) {
	d := newStandIn(t)
	ctx := limited(t)
	mark := filepath.Join(t.TempDir(), "pid")
	cmd := d.run(Config{Args: app(t, "pid:"+mark, "serve:", "wait"), Detach: true})
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = Stop(context.Background(), d.paths(), "app") })
	got, err := Wait(ctx, d.paths(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(recordPath(d.paths(), "app")); err != nil || strings.Contains(string(data), "RUN_CONFIG") {
		t.Errorf("the record is %s, %v", data, err)
	}
	first := awaitPIDs(t, mark, 1)
	if err := syscall.Kill(got.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, append(first, got.PID))
	again, err := Restart(ctx, d.paths(), "app")
	if err != nil || again.PID == got.PID || again.Name != "app" {
		t.Fatalf("Restart of a killed run: %+v, %v", again, err)
	}
	for _, pid := range awaitPIDs(t, mark, 2) {
		if pid != first[0] {
			_ = syscall.Kill(pid, syscall.SIGSEGV)
		}
	}
	if _, err := WaitExit(ctx, d.paths(), "app"); err != nil && !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	awaitGone(t, []int{again.PID})
	if again, err = Restart(ctx, d.paths(), "app"); err != nil {
		t.Fatalf("Restart of a crashed app: %v", err)
	}
	if _, err := Stop(ctx, d.paths(), "app"); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, []int{again.PID})
	if _, err := Restart(ctx, d.paths(), "app"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Restart after a stop: %v, want not found", err)
	}
}

func TestDetachTellsWhatIsWrong(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: []string{"no-such-command"}, Detach: true})
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 127 {
		t.Errorf("not found: exit %d, %s", code, out)
	}
	d.stop()
	cmd = d.run(Config{Args: app(t, "wait"), Detach: true})
	out, _ = cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(string(out), "hostless:") {
		t.Errorf("no daemon: exit %d, %s", code, out)
	}
}

func TestWaitForOneThatEnds(t *testing.T) {
	d := newStandIn(t)
	ctx := limited(t)
	go2 := filepath.Join(t.TempDir(), "go")
	cmd := d.run(Config{Args: app(t, "until:"+go2, "exit:4"), Detach: true})
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	if _, err := Wait(short, d.paths(), "app"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait in vain: %v", err)
	}
	cancel()
	waited := make(chan error, 1)
	go func() {
		_, err := Wait(ctx, d.paths(), "app")
		waited <- err
	}()
	ended := make(chan int, 1)
	go func() {
		code, _ := WaitExit(ctx, d.paths(), "app")
		ended <- code
	}()
	time.Sleep(20 * time.Millisecond) // both orders are valid; this one is the usual
	_ = os.WriteFile(go2, nil, 0o600)
	if code := <-ended; code != 4 {
		t.Errorf("WaitExit: %d, want 4", code)
	}
	if err := <-waited; !fault.Is(err, fault.Upstream) && !fault.Is(err, fault.NotFound) {
		t.Errorf("Wait: %v, want that it ended", err)
	}
	if _, err := Wait(ctx, d.paths(), "Bad_Name"); !fault.Is(err, fault.Usage) {
		t.Errorf("a bad name: %v", err)
	}
}

func TestStopWithoutADaemon(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "serve:", "wait")})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.awaitState(control.StateListening)
	d.stop()
	if code, err := Stop(limited(t), d.paths(), "app"); err != nil || code != 143 {
		t.Errorf("Stop: %d, %v", code, err)
	}
	_ = cmd.Wait()
}

func TestLazy(t *testing.T) {
	d := newStandIn(t)
	mark := filepath.Join(t.TempDir(), "pid")
	cmd := d.run(Config{Args: app(t, "pid:"+mark, "serve:", "wait"), Lazy: true, IdleTimeout: 200 * time.Millisecond})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.awaitState(control.StateIdle)
	if started, _ := filepath.Glob(mark + "*"); len(started) != 0 {
		t.Error("it was started without being asked for")
	}
	d.events <- control.LeaseEvent{Event: control.EventStart}
	u := d.awaitState(control.StateListening)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", u.Port))
	if err != nil {
		t.Fatal(err)
	}
	pids := awaitPIDs(t, mark, 1)
	conn.Close()
	d.awaitState(control.StateIdle)
	awaitGone(t, pids)
	d.events <- control.LeaseEvent{Event: control.EventStart}
	d.awaitState(control.StateListening)
	again := awaitPIDs(t, mark, 2)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 {
		t.Errorf("exit %d, want 143", code)
	}
	awaitGone(t, again)
}

func TestLazyIsUsed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if procinfo.Connected(port, true) {
		t.Error("a port without a connection counts as used")
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if !procinfo.Connected(port, true) {
		t.Error("an open connection does not count as use")
	}
}

// TestRunAllCtrlZ checks that Ctrl-Z stops all apps and the run, and fg continues them.
func TestRunAllCtrlZ(t *testing.T) {
	bash := harness.Need(t, "bash")
	d := newStandIn(t)
	dir := t.TempDir()
	gate := filepath.Join(dir, "go")
	mark := filepath.Join(t.TempDir(), "pid")
	one := app(t, "pid:"+mark, "say:I am up", "until:"+gate, "say:I go on", "serve:", "wait")
	file, err := json.Marshal(map[string]any{"name": "shop", "apps": map[string]any{"web": map[string]any{"command": one}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hostless.json"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	inner := d.run(Config{Dir: dir}, "RUN_ALL=1")
	shell := exec.Command(bash, "--norc", "--noprofile", "-i")
	shell.Env = append(inner.Env, "PS1=prompt> ", "SELF="+inner.Path)
	s := newScreen(t, shell)
	at := s.await("prompt> ", 0)
	s.press("\"$SELF\" __run\n")
	at = s.await("I am up", at)
	s.press("\x1a")
	at = s.await("Stopped", at)
	at = s.await("prompt> ", at)
	pid := strconv.Itoa(awaitPIDs(t, mark, 1)[0])
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if out, _ := exec.Command("ps", "-o", "stat=", "-p", pid).Output(); strings.HasPrefix(string(out), "T") {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the app is not stopped")
		}
	}
	_ = os.WriteFile(gate, nil, 0o600)
	s.press("fg\n")
	at = s.await("I go on", at)
	s.press("\x03")
	s.await("prompt> ", at)
	d.await("end of the lease", func() bool { return d.live == 0 })
	s.press("exit\n")
	_ = shell.Wait()
}

// TestRunAllEnds checks that each app's end is reported, since the others keep running.
func TestRunAllEnds(t *testing.T) {
	d := newStandIn(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hostless.json"), []byte(`{"name":"shop","apps":{"bad":{"command":"exit 7"},"web":{"command":"exit 0"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := d.run(Config{Dir: dir}, "RUN_ALL=1").Output()
	for _, want := range []string{"bad │ hostless: ended with exit code 7\n", "web │ hostless: ended with exit code 0\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output %q, want %q in it", out, want)
		}
	}
}

func TestRunAll(t *testing.T) {
	for _, end := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(end.String(), func(t *testing.T) {
			d := newStandIn(t)
			dir := t.TempDir()
			mark := filepath.Join(t.TempDir(), "pid")
			one := app(t, "say:I am one", "pid:"+mark, "serve:", "wait")
			file := fmt.Sprintf(`{"name":"shop","apps":{"web":{"command":[%q,%q,%q,%q,%q,%q]},"api":{"command":[%q,%q,%q,%q,%q]}}}`,
				one[0], one[1], one[2], one[3], one[4], one[5], one[0], one[1], one[3], one[4], one[5])
			if err := os.WriteFile(filepath.Join(dir, "hostless.json"), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd := d.run(Config{Dir: dir}, "RUN_ALL=1")
			cmd.Stdout = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			d.await("two apps that listen", func() bool {
				n := 0
				for _, u := range d.updates {
					if u.State == control.StateListening {
						n++
					}
				}
				return n == 2
			})
			pids := awaitPIDs(t, mark, 2)
			_ = cmd.Process.Signal(end)
			_ = cmd.Wait()
			d.await("end of the leases", func() bool { return d.live == 0 })
			awaitGone(t, pids)
			if end == syscall.SIGINT {
				if code := cmd.ProcessState.ExitCode(); code != 130 {
					t.Errorf("exit %d, want 130", code)
				}
				if !strings.Contains(out.String(), "web │ I am one\n") || !strings.Contains(out.String(), "api │ hostless: http://api.shop.localhost") {
					t.Errorf("output %q", &out)
				}
			}
		})
	}
}
