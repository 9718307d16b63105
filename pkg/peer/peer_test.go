package peer_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/hostless/hostless/pkg/peer"
	"github.com/hostless/hostless/test/harness"
)

func pair(t *testing.T, network, address string) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		harness.Missing(t, "no ", address, " on this machine: ", err)
	}
	defer l.Close()
	client, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

func TestUnix(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "hl-peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, _ := pair(t, "unix", filepath.Join(dir, "s"))
	cred, err := peer.Unix(server)
	if err != nil || cred.UID != os.Getuid() || cred.PID != os.Getpid() {
		t.Errorf("Unix = %+v, %v; want uid %d, pid %d", cred, err, os.Getuid(), os.Getpid())
	}
	tcp, _ := pair(t, "tcp", "127.0.0.1:0")
	if _, err := peer.Unix(tcp); err == nil {
		t.Error("Unix of a TCP connection succeeded")
	}
}

func TestTCPOwner(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			server, client := pair(t, "tcp", address)
			uid, err := peer.TCPOwner(server)
			if runtime.GOOS != "linux" {
				if !errors.Is(err, peer.ErrUnsupported) {
					t.Fatalf("TCPOwner = %d, %v; want ErrUnsupported", uid, err)
				}
				return
			}
			if err != nil || uid != os.Getuid() {
				t.Fatalf("TCPOwner = %d, %v; want %d", uid, err, os.Getuid())
			}
			// A closed socket belongs to nobody, not to root.
			client.Close()
			io.ReadAll(server)
			if uid, err := peer.TCPOwner(server); !errors.Is(err, peer.ErrGone) {
				t.Errorf("after close: TCPOwner = %d, %v; want ErrGone", uid, err)
			}
		})
	}
}

// TestTCPOwnerOfAnother connects as another user, which only root can do.
func TestTCPOwnerOfAnother(t *testing.T) {
	harness.NeedRoot(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	cmd := exec.Command("/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port+"; read -r line <&3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		harness.Missing(t, "cannot run as another user here: ", err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	uid, err := peer.TCPOwner(server)
	server.Close()
	cmd.Wait()
	if err != nil || uid != 12345 {
		t.Errorf("TCPOwner = %d, %v; want 12345", uid, err)
	}
}

func TestBelow(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := cmd.Process.Pid
	for _, tt := range []struct {
		what          string
		pid, ancestor int
		want          bool
	}{
		{"itself", os.Getpid(), os.Getpid(), true},
		{"child", child, os.Getpid(), true},
		{"grandparent", child, os.Getppid(), true},
		{"parent is not below its child", os.Getpid(), child, false},
	} {
		if got, err := peer.Below(tt.pid, tt.ancestor); err != nil || got != tt.want {
			t.Errorf("%s: Below = %v, %v; want %v", tt.what, got, err, tt.want)
		}
	}
	in.Close()
	cmd.Wait()
	// Its parents cannot be determined any more, and the answer "no" would let it pass.
	if got, err := peer.Below(child, os.Getpid()); got || !errors.Is(err, peer.ErrGone) {
		t.Errorf("a process that has ended: Below = %v, %v; want %v", got, err, peer.ErrGone)
	}
}

func BenchmarkTCPOwner(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	for b.Loop() {
		if _, err := peer.TCPOwner(server); err != nil && !strings.Contains(err.Error(), "here") {
			b.Fatal(err)
		}
	}
}
