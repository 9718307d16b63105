package launch

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/procinfo"
)

// TestCommandSocketOfADeepHome checks that a run can be reached by name although its
// state directory's path is too long for a socket.
func TestCommandSocketOfADeepHome(t *testing.T) {
	paths := config.Paths{Home: filepath.Join(t.TempDir(), strings.Repeat("d", 90), "home")}
	path := commandSocketPath(paths, "shop")
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(path)) })
	if len(path) > maxSocketPath {
		t.Fatalf("%s has %d bytes", path, len(path))
	}
	if other := commandSocketPath(config.Paths{Home: paths.Home + "2"}, "shop"); filepath.Dir(other) == filepath.Dir(path) {
		t.Errorf("two state directories share %s", filepath.Dir(path))
	}
	d, err := openCommandSocket(paths, "shop")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-d.received()
		d.setExited(7)
	}()
	if code, err := Stop(limited(t), paths, "shop"); code != 7 || err != nil {
		t.Errorf("Stop = %d, %v", code, err)
	}
	d.close()
	if _, err := Stop(limited(t), paths, "shop"); !fault.Is(err, fault.NotFound) {
		t.Errorf("after its end: %v", err)
	}
}

// TestCommandSocketOfAStranger checks that a directory is refused to which others can
// write.
func TestCommandSocketOfAStranger(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "runs"), 0o777); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(filepath.Join(home, "runs"), 0o777)
	d, err := openCommandSocket(config.Paths{Home: home}, "shop")
	if info, _ := os.Stat(filepath.Join(home, "runs")); err == nil && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("a socket in a directory with mode %v", info.Mode())
	}
	d.close()
}

// TestDetachIsInterrupted checks that Ctrl-C ends a start that waits for a hanging daemon.
func TestDetachIsInterrupted(t *testing.T) {
	home, err := os.MkdirTemp("/tmp", "hl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	d := &standIn{t: t, home: home}
	hanging, err := net.Listen("unix", d.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	_ = os.Chmod(d.socket(), 0o600)
	cmd := d.run(Config{Args: app(t, "wait"), Detach: true})
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = hanging.(*net.UnixListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := hanging.Accept() // the worker sends a request and gets no response
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%v; the run printed %s", err, &out)
	}
	defer conn.Close()
	started := procinfo.Descendants(cmd.Process.Pid)
	if len(started) == 0 {
		t.Fatal("no worker")
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	waitWithin(t, cmd, 8*time.Second)
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
	for _, p := range started {
		if procinfo.Alive(p.PID) {
			t.Errorf("the worker %d lives", p.PID)
		}
	}
}
