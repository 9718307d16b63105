package harness

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
)

// CheckGoroutines fails the test, with stacks, if goroutines that were started after this
// call are still running ten seconds after the test's later cleanups. Call it first, in a
// test that does not run in parallel with others.
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

// processWide reports whether a goroutine belongs to the runtime or the testing package,
// and is started once per process, no matter by whom.
func processWide(stack string) bool {
	return strings.Contains(stack, "\nos/signal.loop") || strings.Contains(stack, "\nruntime.") && !strings.Contains(stack, "created by ")
}

// goroutines returns the stacks of all goroutines except the caller's, by id.
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
