package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hostless/hostless/pkg/fault"
)

// running are the calls in flight, so that all of them can be ended. It is safe for
// concurrent use.
type running struct {
	ends atomic.Uint64 // how often all were ended

	mu    sync.Mutex
	calls map[*exchange]context.CancelCauseFunc
	cause *fault.Error // of the latest end
}

// add takes a call in. One that arrived before the latest end, and was on its way
// through the pipeline then, is ended at once.
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

// End ends every call that has arrived, streams and WebSockets included: their callers
// get the cause as their error. Calls that come later are not concerned: an Admitter refuses those.
func (g *Gateway) End(cause *fault.Error) {
	g.running.mu.Lock()
	defer g.running.mu.Unlock()
	g.running.cause = cause
	g.running.ends.Add(1)
	for _, end := range g.running.calls {
		end(cause)
	}
}
