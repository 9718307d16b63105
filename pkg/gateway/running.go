package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hostless/hostless/pkg/fault"
)

// running is the set of calls in flight, for ending all of them. It is safe for concurrent
// use.
type running struct {
	ends atomic.Uint64 // how often End was called

	mu    sync.Mutex
	calls map[*exchange]context.CancelCauseFunc
	cause *fault.Error // of the latest End
}

// add adds a call. If it arrived before the latest End but was not yet in the set then, it
// is ended at once.
func (r *running) add(c *exchange, end context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.ends != r.ends.Load() {
		end(r.cause)
	}
	if r.calls == nil {
		r.calls = map[*exchange]context.CancelCauseFunc{}
	}
	r.calls[c] = end
}

func (r *running) remove(c *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, c)
}

// End ends all calls in flight, including streams and WebSockets; their callers get cause
// as the error. It does not affect later calls, which an Admitter must refuse.
func (g *Gateway) End(cause *fault.Error) {
	g.running.mu.Lock()
	defer g.running.mu.Unlock()
	g.running.cause = cause
	g.running.ends.Add(1)
	for _, end := range g.running.calls {
		end(cause)
	}
}
