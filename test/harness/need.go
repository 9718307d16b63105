package harness

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// CI reports whether this is a run of the gate, in which nothing may be skipped.
func CI() bool { return os.Getenv("CI") == "true" }

// Missing skips the test because this machine lacks something; in CI it fails. what is a
// clause, such as "curl is not installed".
func Missing(t testing.TB, what ...any) {
	t.Helper()
	if CI() {
		t.Log(what...)
		t.Fatal("CI skips nothing")
	}
	t.Skip(what...) // not in CI
}

// Need returns the path of a program in PATH. Without it the test is skipped with the
// reason; in CI it fails.
func Need(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, " is not installed")
	}
	return path
}

// NeedRoot makes sure that the test runs as root on Linux, so that it can act as another
// user. Otherwise it is skipped; in CI it fails.
func NeedRoot(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		Missing(t, "it takes root on Linux to act as another user")
	}
}
