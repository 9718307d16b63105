package harness

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
)

// CheckGoroutines fails the test, with their stacks, where goroutines that were
// started after this call still run ten seconds after everything the test has
// registered with t.Cleanup since is done. It is called first, in a test that
// runs beside no other.
func CheckGoroutines(t testing.TB) {
	t.Helper()
	checkGoroutines(t, 10*time.Second)
}

func checkGoroutines(t testing.TB, wait time.Duration) {
	before := goroutines()
	t.Cleanup(func() {
		limit := time.Now().Add(wait)
		for {
			var left []string
			for id, stack := range goroutines() {
				if _, ok := before[id]; !ok && !processWide(stack) {
					left = append(left, stack)
				}
			}
			if len(left) == 0 {
				return
			}
			if time.Now().After(limit) {
				t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// processWide reports whether a goroutine is the runtime's or the test's own,
// once for the process, whoever had it started.
func processWide(stack string) bool {
	return strings.Contains(stack, "\nos/signal.loop") || strings.Contains(stack, "\nruntime.") && !strings.Contains(stack, "created by ")
}

// goroutines gives the stacks of all goroutines but the caller's, by their ids.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := map[string]string{}
	for i, stack := range bytes.Split(buf[:n], []byte("\n\n")) {
		if i > 0 { // the first is the caller's
			id, _, _ := strings.Cut(string(stack), " [")
			all[id] = string(stack)
		}
	}
	return all
}
