package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHarden hardens another process, which checks itself.
func TestHarden(t *testing.T) {
	if os.Getenv("HOSTLESS_TEST_HARDEN") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHarden$")
		cmd.Env = append(os.Environ(), "HOSTLESS_TEST_HARDEN=1")
		out, err := cmd.Output()
		if want := "hardened: core 0 0, umask 077, dumpable 0"; err != nil || !strings.Contains(string(out), want) {
			t.Errorf("got %s, %v; want %s", out, err, want)
		}
		return
	}
	syscall.Umask(0)
	if err := Harden(); err != nil {
		t.Fatal(err)
	}
	var core syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); err != nil {
		t.Fatal(err)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("hardened: core %d %d, umask %03o, dumpable %d\n", core.Cur, core.Max, syscall.Umask(0o077), dumpable)
}
