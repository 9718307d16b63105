package harness

import (
	"strings"
	"testing"
	"time"
)

// recorded is a testing.TB that records failures.
type recorded struct {
	testing.TB
	cleanups []func()
	failures []string
}

func (r *recorded) Helper()          {}
func (r *recorded) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorded) Errorf(format string, args ...any) {
	r.failures = append(r.failures, format)
}

// TestCheckGoroutines: a goroutine that is left running fails the test, one that ends
// does not.
func TestCheckGoroutines(t *testing.T) {
	for _, ends := range []bool{true, false} {
		r := &recorded{TB: t}
		wait := 20 * time.Second
		if !ends {
			wait = time.Millisecond
		}
		checkGoroutines(r, wait)
		stop := make(chan struct{})
		running := make(chan struct{})
		go func() { close(running); <-stop }()
		<-running
		if ends {
			close(stop)
		}
		r.cleanups[0]()
		if failed := len(r.failures) > 0; failed == ends {
			t.Errorf("ends %v: %s", ends, strings.Join(r.failures, "; "))
		}
		if !ends {
			close(stop)
		}
	}
}
