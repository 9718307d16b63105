//go:build unix

package proctree

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMarkFile checks that only what the command itself wrote counts as its output.
func TestMarkFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, _ = f.WriteString("before\n")
	mark, ok := markFile(int(f.Fd()))
	if !ok || len(mark.last()) != 0 {
		t.Fatalf("%v, %q", ok, mark.last())
	}
	_, _ = f.WriteString("a line " + strings.Repeat("x", fileTail) + "\nafter\n")
	if diff := cmp.Diff([]string{"after"}, mark.last()); diff != "" {
		t.Error(diff)
	}
	_ = f.Truncate(0)
	_, _ = f.Seek(0, io.SeekStart)
	_, _ = f.WriteString("new\n")
	if diff := cmp.Diff([]string{"new"}, mark.last()); diff != "" {
		t.Errorf("emptied: %s", diff)
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if fd := int(raw.Fd()); relayed(fd) {
		t.Error("packets are no stream")
	}
}
