package procinfo

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
)

func TestSocketHolder(t *testing.T) {
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
	remote, local := client.LocalAddr().(*net.TCPAddr).AddrPort(), l.Addr().(*net.TCPAddr).AddrPort()
	self, _ := os.Executable()
	if pid, program, err := SocketHolder(remote, local); err != nil || pid != os.Getpid() || program != self {
		t.Errorf("SocketHolder = %d, %q, %v; want %d, %q", pid, program, err, os.Getpid(), self)
	}
	client.Close()
	io.ReadAll(server)
	if pid, _, err := SocketHolder(remote, local); !errors.Is(err, ErrGone) {
		t.Errorf("after close: SocketHolder = %d, %v; want ErrGone", pid, err)
	}
}
