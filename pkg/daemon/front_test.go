package daemon

import (
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"testing"
)

// TestJudge checks that a connection is accepted by the uid that the kernel reports, and is
// refused if its owner has closed it: the kernel then reports root.
func TestJudge(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the owner of a TCP connection cannot be found here")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	log := slog.New(slog.DiscardHandler)
	uid, err := (&daemon{uid: os.Geteuid()}).peerPolicy(log)(server)
	if err != nil || uid != os.Geteuid() {
		t.Errorf("our own: %d, %v", uid, err)
	}
	if uid, err := (&daemon{uid: os.Geteuid() + 1}).peerPolicy(log)(server); err == nil && os.Geteuid() != 0 {
		t.Errorf("another user's daemon lets %d in", uid)
	}
	client.Close()
	io.ReadAll(server)
	if uid, err := (&daemon{uid: os.Geteuid()}).peerPolicy(log)(server); err == nil {
		t.Errorf("an owner that has left counts as %d", uid)
	}
}
