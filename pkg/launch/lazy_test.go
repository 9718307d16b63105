//go:build unix

package launch

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostless/hostless/pkg/control"
)

// TestUnusedAppEnds checks that a lazy app ends after the time limit without a
// connection, but not before it listens or while it is used.
func TestUnusedAppEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Bool
		used.Store(true)
		u := newUse(func(port int, _ bool) bool { return port == 4000 && used.Load() })
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go u.run(ctx, time.Minute)
		over := func() bool {
			synctest.Wait()
			select {
			case <-u.over():
				return true
			default:
				return false
			}
		}
		time.Sleep(time.Hour)
		if over() {
			t.Fatal("an app that does not listen yet is unused")
		}
		u.on(4000)
		time.Sleep(time.Hour + usePollInterval/2)
		if over() {
			t.Fatal("an app that is used is unused")
		}
		used.Store(false)
		time.Sleep(time.Minute - usePollInterval)
		if over() {
			t.Fatal("the app is unused before its time is over")
		}
		time.Sleep(2 * usePollInterval)
		if !over() {
			t.Error("an app that nobody is connected to goes on")
		}
	})
}

// TestReacquiredTokenKeepsItsExpiry checks that a route that is registered again requests
// only the remaining lifetime of its token.
func TestReacquiredTokenKeepsItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h leaseKeeper
		h.rememberToken(&control.BoundToken{Fixed: true, ExpiresIn: 60})
		for _, tt := range []struct {
			after time.Duration
			left  int64
		}{{0, 60}, {20 * time.Second, 40}, {time.Hour, 1}} {
			time.Sleep(tt.after)
			if req := h.requestAgain(); req.TTL != tt.left {
				t.Errorf("%v later: asks for %d s, want %d", tt.after, req.TTL, tt.left)
			}
		}
	})
}
