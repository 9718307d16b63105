package sock_test

import (
	"context"
	"sync"
	"testing"

	"github.com/hostless/hostless/pkg/sock"
)

func TestOnDisconnect(t *testing.T) {
	var h sock.OnDisconnect
	ended := 0
	end := func() { ended++ }
	if sock.OnDisconnectOf(sock.WithOnDisconnect(t.Context(), &h)) != &h || sock.OnDisconnectOf(context.Background()) != nil {
		t.Error("a context gives another OnDisconnect than its own")
	}
	h.Set(end)
	if !h.Clear() || ended != 0 {
		t.Errorf("cleared before the client left: ended %d times", ended)
	}
	h.Set(end)
	h.Fire()
	if h.Clear() || ended != 1 {
		t.Errorf("the client left: ended %d times", ended)
	}
	h.Set(end)
	if h.Clear() || ended != 2 {
		t.Errorf("set after the client left: ended %d times", ended)
	}
}

// TestOnDisconnectNeverEndsTheNext: after Clear, the function is not called any more,
// even if the client disconnects at the same time.
func TestOnDisconnectNeverEndsTheNext(t *testing.T) {
	for range 1000 {
		var h sock.OnDisconnect
		var running sync.WaitGroup
		over := false // deliberately without a lock: the race detector is the test
		h.Set(func() { over = true })
		running.Go(h.Fire)
		if h.Clear() && over {
			t.Fatal("ended, and reported as not ended")
		}
		running.Wait()
	}
}
