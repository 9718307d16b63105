package procinfo

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestUnixListeners finds a socket of this process, even if its path contains a space.
func TestUnixListeners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "an app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := UnixListeners([]Process{{PID: os.Getpid()}}); !slices.Contains(got, path) {
		t.Errorf("got %q, want %q among them", got, path)
	}
	for _, line := range []string{"Num RefCount Protocol Flags Type St Inode Path", "0000000000000000: 00000002 00000000 00010000 0001 01 20734 @/tmp/x", "0000000000000000: 00000003 00000000 00000000 0001 03 20735 /tmp/x", "x"} {
		if _, path, ok := parseUnix(line); ok {
			t.Errorf("%q is the listener %q", line, path)
		}
	}
}
