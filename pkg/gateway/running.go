package gateway

import (
	"context"
	"sync"

	"github.com/hostless/hostless/pkg/fault"
)

// running are the calls in flight, so that all of them can be ended. It is safe for
// concurrent use.
type running struct {
	mu    sync.Mutex
	calls map[*exchange]context.CancelCauseFunc
}

func (r *running) add(c *exchange, end context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
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

// End ends every call in flight, streams and WebSockets included: their callers are
// told the cause. Calls that come later are not concerned: an Admitter refuses those.
func (g *Gateway) End(cause *fault.Error) {
	g.running.mu.Lock()
	defer g.running.mu.Unlock()
	for _, end := range g.running.calls {
		end(cause)
	}
}
