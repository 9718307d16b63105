package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hostless/hostless/test/harness"
)

// job is a daemon as launchd runs it: with its sockets, which also stay open in the test.
type job struct {
	t     *testing.T
	cmd   *exec.Cmd
	env   []string
	url   string
	ended chan error // receives one value
}

// startJob passes sockets to a daemon as a predecessor under launchd would, because
// launchd itself does not exist on other systems.
func startJob(t *testing.T) *job {
	t.Helper()
	home := harness.Home(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(home, "control.sock")
	unix, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	unix.(*net.UnixListener).SetUnlinkOnClose(false)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "channel"), os.NewFile(uintptr(pair[1]), "channel")
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	channel, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	httpFile, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	controlFile, err := unix.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	j := &job{t: t, url: "http://" + tcp.Addr().String(), ended: make(chan error, 1)}
	j.env = append(os.Environ(), "HOSTLESS_HOME="+home, "HOSTLESS_SOCKET="+socket)
	j.cmd = exec.Command(filepath.Join(harness.Bin(t), "hostlessd"))
	j.cmd.Env = append(j.env, "HOSTLESS_HANDOVER=launchd:channel,http,control")
	j.cmd.ExtraFiles = []*os.File{theirs, httpFile, controlFile}
	j.cmd.Stdout, j.cmd.Stderr = t.Output(), t.Output()
	// A separate process group, as under launchd, which kills what a job leaves behind.
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := j.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range j.cmd.ExtraFiles {
		f.Close()
	}
	go func() { j.ended <- j.cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-j.cmd.Process.Pid, syscall.SIGKILL)
		tcp.Close()
		unix.Close()
		channel.Close()
	})
	channel.SetDeadline(time.Now().Add(time.Minute))
	messages := json.NewDecoder(channel)
	expect := func(member string) {
		var m map[string]any
		if err := messages.Decode(&m); err != nil || m[member] != true {
			t.Fatalf("the daemon sent %v (%v), want %s", m, err, member)
		}
	}
	expect("prepared")
	fmt.Fprintln(channel, `{"go":true}`)
	expect("serving")
	return j
}

// status queries the serving daemon.
func (j *job) status() (s struct {
	PID        int
	Activation string
}) {
	j.t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(j.t), "hostless"), "status", "--json")
	cmd.Env = j.env
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		j.t.Fatalf("status: %v %s", err, out)
	}
	return s
}

// restart replaces the daemon and returns the pid of the new one.
func (j *job) restart() int {
	j.t.Helper()
	before := j.status()
	cmd := exec.Command(filepath.Join(harness.Bin(j.t), "hostless"), "proxy", "restart")
	cmd.Env = j.env
	if out, err := cmd.CombinedOutput(); err != nil {
		j.t.Fatalf("restart: %v\n%s", err, out)
	}
	s := j.status()
	if s.PID == before.PID || s.Activation != "launchd" {
		j.t.Fatalf("after a restart: %+v, before %+v", s, before)
	}
	resp, err := http.Get(j.url + "/health")
	if err != nil {
		j.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		j.t.Fatalf("health: %s, %v", resp.Status, err)
	}
	return s.PID
}

// end waits for the exit of the process that launchd knows.
func (j *job) end() error {
	j.t.Helper()
	select {
	case err := <-j.ended:
		return err
	case <-time.After(30 * time.Second):
		j.t.Fatal("the job does not end")
		return nil
	}
}

// TestLaunchdJobStays: the process that launchd knows outlives its successors, stops them
// when launchd stops it, and fails if the last of them fails.
func TestLaunchdJobStays(t *testing.T) {
	t.Run("ended by launchd", func(t *testing.T) {
		j := startJob(t)
		if s := j.status(); s.PID != j.cmd.Process.Pid || s.Activation != "launchd" {
			t.Fatalf("status %+v", s)
		}
		pids := []int{j.restart(), j.restart()}
		select {
		case err := <-j.ended:
			t.Fatalf("the job has ended (%v): launchd would start another daemon beside the successor", err)
		default:
		}
		j.cmd.Process.Signal(syscall.SIGTERM)
		if err := j.end(); err != nil {
			t.Errorf("the job failed: %v", err)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("process %d is left: %v", pid, err)
			}
		}
	})
	t.Run("crash", func(t *testing.T) {
		j := startJob(t)
		j.restart()
		syscall.Kill(j.restart(), syscall.SIGKILL)
		var exit *exec.ExitError
		if err := j.end(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("the job ended with %v: launchd would not start it again", err)
		}
	})
}
