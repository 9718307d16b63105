package procinfo

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"github.com/hostless/hostless/test/harness"
)

// TestProcOwner uses only /proc, as when a sandbox forbids netlink.
func TestProcOwner(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			harness.Missing(t, err)
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
		near, far := client.LocalAddr().(*net.TCPAddr).AddrPort(), server.LocalAddr().(*net.TCPAddr).AddrPort()
		if uid, err := procOwner(near, far); err != nil || uid != os.Getuid() {
			t.Errorf("%s: procOwner = %d, %v; want %d", address, uid, err, os.Getuid())
		}
		// The closed end stays in the table, as root's, until ours is closed.
		client.Close()
		io.ReadAll(server)
		if uid, err := procOwner(near, far); !errors.Is(err, ErrGone) {
			t.Errorf("%s, after close: procOwner = %d, %v; want ErrGone", address, uid, err)
		}
	}
}
