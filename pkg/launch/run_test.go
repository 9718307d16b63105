package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/procinfo"
	"github.com/hostless/hostless/test/harness"
)

// TestMain makes the test binary also the run, its guard and its apps.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case GuardArg:
			os.Exit(Guard())
		case "__run":
			os.Exit(runMain())
		case "__app":
			os.Exit(appMain(os.Args[2:]))
		}
	}
	harness.HearHangups()
	os.Exit(m.Run())
}

// runMain is `hostless run` with a Config as JSON in the environment.
func runMain() int {
	var c Config
	if err := json.Unmarshal([]byte(os.Getenv("RUN_CONFIG")), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	os.Unsetenv("RUN_CONFIG")
	c.Environ = os.Environ()
	if c.Dir == "" {
		c.Dir, _ = os.Getwd()
	}
	if rawValue, ok := os.LookupEnv("RUN_ODD"); ok { // bytes that JSON cannot represent
		c.Args = append(c.Args, rawValue)
	}
	c.Client = control.NewClient(c.Paths.Socket)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	start := Run
	if os.Getenv("RUN_ALL") != "" {
		start = RunAll
	}
	ctx := context.Background()
	if c.Detach {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
	}
	code, err := start(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostless:", err)
	}
	return code
}

// appMain is an app. Each word is an action.
func appMain(words []string) int {
	self, _ := os.Executable()
	sigs := make(chan os.Signal, 8)
	for _, word := range words {
		verb, arg, _ := strings.Cut(word, ":")
		switch verb {
		case "say":
			fmt.Println(arg)
		case "env":
			fmt.Println(arg + "=" + os.Getenv(arg))
		case "pid":
			_ = os.WriteFile(arg+"."+strconv.Itoa(os.Getpid()), nil, 0o600)
		case "serve": // listen on a port, or on PORT
			if arg == "" {
				arg = os.Getenv("PORT")
			}
			if _, err := net.Listen("tcp", "127.0.0.1:"+arg); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		case "fork": // start another app in this process group
			cmd := exec.Command(self, append([]string{"__app"}, strings.Split(arg, ",")...)...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if cmd.Start() != nil {
				return 98
			}
		case "daemon": // start another app in a new session
			cmd := exec.Command(self, append([]string{"__app"}, strings.Split(arg, ",")...)...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if cmd.Start() != nil {
				return 98
			}
		case "deaf":
			signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		case "catch":
			signal.Notify(sigs, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
		case "count": // print each signal for a while after the first
			s := <-sigs
			n := 1
			for quiet := false; !quiet; {
				select {
				case <-sigs:
					n++
				case <-time.After(300 * time.Millisecond):
					quiet = true
				}
			}
			fmt.Println(s, n)
		case "wait":
			time.Sleep(time.Hour) // not select {}, which a runtime without cgo reports as a deadlock
		case "die":
			n, _ := strconv.Atoi(arg)
			_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
			time.Sleep(time.Hour) // not select {}, which a runtime without cgo reports as a deadlock
		case "exit":
			n, _ := strconv.Atoi(arg)
			return n
		case "until": // wait until a file exists
			for {
				if _, err := os.Stat(arg); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	return 0
}

// app returns the command line of an app.
func app(t *testing.T, words ...string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{self, "__app"}, words...)
}

// run starts a run against the stand-in. It ends with the test.
func (d *standIn) run(c Config, env ...string) *exec.Cmd {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	c.Paths = config.Paths{Home: d.home, Socket: d.socket()}
	if c.Name == "" {
		c.Name = "app"
	}
	if c.Grace == 0 {
		c.Grace = time.Second
	}
	text, err := json.Marshal(c)
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(self, "__run")
	cmd.Env = append(append(os.Environ(), "RUN_CONFIG="+string(text)), env...)
	d.t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

func TestRunGivesTheEnvironmentAndTheCode(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "env:PORT", "env:HOST", "env:HOSTLESS_URL", "env:HOSTLESS_API", "env:HOSTLESS_TOKEN",
		"env:OPENAI_BASE_URL", "env:OPENAI_API_KEY", "env:GROQ_API_KEY", "env:MISTRAL_API_KEY", "exit:7")},
		"OPENAI_API_KEY=sk-real", "GROQ_API_KEY=gsk-real", "MISTRAL_API_KEY=mk-real")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit %d, want 7; stderr %s", code, &errs)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{"HOST=127.0.0.1", "HOSTLESS_URL=http://app.localhost:48282", "HOSTLESS_API=http://localhost:48282/v1", "HOSTLESS_TOKEN=sk_local_test",
		"OPENAI_BASE_URL=http://localhost:48282/v1", "OPENAI_API_KEY=sk_local_test", "GROQ_API_KEY=", "MISTRAL_API_KEY=mk-real"}
	if len(lines) != 9 || !slices.Equal(lines[1:], want) {
		t.Errorf("stdout %q, want %q", lines, want)
	}
	if !strings.Contains(errs.String(), "replaced OPENAI_API_KEY; removed GROQ_API_KEY") || strings.Contains(errs.String(), "sk-real") || strings.Contains(errs.String(), "gsk-real") {
		t.Errorf("stderr %q", &errs)
	}
	if last := d.updates[len(d.updates)-1]; last.State != control.StateExited || last.Exit == nil || *last.Exit != 7 {
		t.Errorf("last update %+v, want exited 7", last)
	}
	if d.live != 0 {
		t.Errorf("%d leases are live", d.live)
	}
}

func TestRunExitCodes(t *testing.T) {
	d := newStandIn(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	_ = os.WriteFile(text, []byte("echo"), 0o644)
	script := filepath.Join(dir, "script")
	_ = os.WriteFile(script, []byte("exit 5\n"), 0o755)
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"not found", []string{"no-such-command-of-any-kind"}, 127},
		{"no such file", []string{"./no-such-file"}, 127},
		{"not executable", []string{text}, 126},
		{"a directory", []string{dir}, 126},
		{"no interpreter line", []string{script}, 5},
		{"a signal", app(t, "die:15"), 143},
		{"kill", app(t, "die:9"), 137},
		{"shell syntax", []string{"exit 3"}, 3},
		{"shell pipes", []string{"true | false"}, 1},
		{"arguments are no shell syntax", app(t, "say:$HOME;|", "exit:4"), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := d.run(Config{Args: tt.args})
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tt.want {
				t.Errorf("exit %d, want %d; %s", code, tt.want, out)
			}
		})
	}
}

func TestRunWithoutADaemon(t *testing.T) {
	d := newStandIn(t)
	d.stop()
	marker := filepath.Join(t.TempDir(), "ran")
	cmd := d.run(Config{Args: app(t, "pid:"+marker)})
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit %d, want 3; %s", code, out)
	}
	if ran, _ := filepath.Glob(marker + "*"); len(ran) != 0 {
		t.Error("the command ran")
	}
	unmanaged := d.run(Config{Args: app(t, "env:HOSTLESS_TOKEN", "exit:6")}, "HOSTLESS=0")
	out, _ = unmanaged.Output()
	if code := unmanaged.ProcessState.ExitCode(); code != 6 || string(out) != "HOSTLESS_TOKEN=\n" {
		t.Errorf("bare: exit %d, %q; want 6", code, out)
	}
}

func TestRunFollowsThePort(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "serve:", "wait")})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u := d.awaitState(control.StateListening)
	d.mu.Lock()
	reserved := d.requests[0].Reserve
	d.mu.Unlock()
	if !reserved || u.Port == 0 {
		t.Errorf("reserve %v, listening on %d", reserved, u.Port)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 {
		t.Errorf("exit %d, want 143", code)
	}
}

func TestRunFindsAnUnplannedPort(t *testing.T) {
	d := newStandIn(t)
	port := freePort(t)
	var errs bytes.Buffer
	cmd := d.run(Config{Args: app(t, fmt.Sprintf("fork:serve:%d,wait", port), "wait")})
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if u := d.awaitState(control.StateListening); u.Port != port {
		t.Errorf("port %d, want %d", u.Port, port)
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	if !strings.Contains(errs.String(), fmt.Sprintf("on %d", port)) {
		t.Errorf("stderr %q does not name the port", &errs)
	}
}

func TestRunEndsTheWholeTree(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			d := newStandIn(t)
			mark := filepath.Join(t.TempDir(), "pid")
			cmd := d.run(Config{Args: app(t, "fork:deaf,pid:"+mark+",wait", "daemon:deaf,pid:"+mark+",wait", "pid:"+mark, "serve:", "wait"), Grace: 300 * time.Millisecond})
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			d.awaitState(control.StateListening)
			pids := awaitPIDs(t, mark, 3)
			_ = cmd.Process.Signal(sig)
			_ = cmd.Wait()
			d.await("end of the lease", func() bool { return d.live == 0 })
			awaitGone(t, pids)
		})
	}
}

func TestRunEndsTheTreeWhenItsGuardIsKilled(t *testing.T) {
	d := newStandIn(t)
	mark := filepath.Join(t.TempDir(), "pid")
	cmd := d.run(Config{Args: app(t, "daemon:deaf,pid:"+mark+",wait", "pid:"+mark, "serve:", "wait")})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.awaitState(control.StateListening)
	pids := awaitPIDs(t, mark, 2)
	for _, p := range procinfo.Descendants(cmd.Process.Pid) {
		if p.Depth == 1 {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 137 {
		t.Errorf("exit %d, want 137", code)
	}
	awaitGone(t, pids)
}

func TestRunStaysForAServerThatTurnsIntoADaemon(t *testing.T) {
	d := newStandIn(t)
	mark := filepath.Join(t.TempDir(), "pid")
	port := freePort(t)
	cmd := d.run(Config{Args: app(t, fmt.Sprintf("daemon:serve:%d,pid:%s,wait", port, mark)), AppPort: port})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.awaitState(control.StateListening)
	pids := awaitPIDs(t, mark, 1)
	_ = syscall.Kill(pids[0], syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the run ended with %v, want 0", err)
	}
}

func TestRunTakesItsRouteUpAgain(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "serve:", "wait")})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u := d.awaitState(control.StateListening)
	d.stop()
	d.await("end of the lease", func() bool { return d.live == 0 })
	d.start()
	d.await("second lease", func() bool { return len(d.requests) == 2 && d.live == 1 })
	d.mu.Lock()
	again := d.requests[1]
	d.updates = nil
	d.mu.Unlock()
	if again.Port != u.Port || again.Reserve || again.Token.Reveal() != "sk_local_test" || again.Name != "app" {
		t.Errorf("registered again with %+v", again)
	}
	// It got less than it requested, as within another run, and for a limited time.
	if len(again.AllowedProviders) != 1 || again.RateLimit != 7 || again.TTL < 1 || again.TTL > 60 {
		t.Errorf("requests more than it got: %+v, for %d seconds", again.Scope, again.TTL)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
}

func TestRunEndsWhenEvicted(t *testing.T) {
	d := newStandIn(t)
	mark := filepath.Join(t.TempDir(), "pid")
	cmd := d.run(Config{Args: app(t, "deaf", "pid:"+mark, "serve:", "wait"), Grace: 200 * time.Millisecond})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.awaitState(control.StateListening)
	pids := awaitPIDs(t, mark, 1)
	d.events <- control.LeaseEvent{Event: control.EventEvicted}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 137 {
		t.Errorf("exit %d, want 137", code)
	}
	awaitGone(t, pids)
}

func TestRunPassesOneSignalOnce(t *testing.T) {
	d := newStandIn(t)
	cmd := d.run(Config{Args: app(t, "catch", "serve:", "count"), Grace: 5 * time.Second})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.awaitState(control.StateListening)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	text, _ := io.ReadAll(out)
	_ = cmd.Wait()
	if string(text) != "terminated 1\n" {
		t.Errorf("the app saw %q, want one", text)
	}
}

// awaitPIDs waits until n apps have written their pid to a file beside mark.
func awaitPIDs(t *testing.T, mark string, n int) (pids []int) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		files, _ := filepath.Glob(mark + ".*")
		if len(files) >= n {
			for _, f := range files {
				pid, _ := strconv.Atoi(strings.TrimPrefix(filepath.Ext(f), "."))
				pids = append(pids, pid)
			}
			return pids
		}
		if time.Now().After(limit) {
			t.Fatalf("%d apps of %d run", len(files), n)
		}
	}
}

// awaitGone waits until processes have ended.
func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	limit := time.Now().Add(5 * time.Second)
	for {
		var left []int
		for _, p := range procinfo.All() {
			if !p.Dead && slices.Contains(pids, p.PID) {
				left = append(left, p.PID)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(limit) {
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			t.Fatalf("orphans: %v", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestRunIsExactToTheByte checks that arguments, environment and directory need not be
// UTF-8.
func TestRunIsExactToTheByte(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d\xff")
	if err := os.Mkdir(dir, 0o700); err != nil {
		harness.Missing(t, "the file system takes no such name: ", err)
	}
	args := []string{"/bin/sh", "-c", `printf '%s %s %s' "$1" "$RUN_ODD" "${PWD##*/}"`, "sh"}
	d := newStandIn(t)
	cmd := d.run(Config{Args: args}, "RUN_ODD=a\xfe") // the argument is not UTF-8 either
	cmd.Dir = dir
	if out, err := cmd.Output(); err != nil || string(out) != "a\xfe a\xfe d\xff" {
		t.Errorf("%q, %v", out, err)
	}
	args = append(args, "a\xfe")
	if got := specOf(Config{Args: args, Dir: dir}, "").config(); !slices.Equal(got.Args, args) || got.Dir != dir {
		t.Errorf("a worker runs %q in %q", got.Args, got.Dir)
	}
}
