package sock

import (
	"context"
	"sync"
)

// OnDisconnect ends what is done for a client when the client has left. A server that
// answers one request of a connection after the other makes one for each
// connection, and what a request runs on says how it is ended: a context's
// AfterFunc does the same, but costs as much as the rest of a small request's
// bookkeeping. The zero value is ready. It is safe for concurrent use.
type OnDisconnect struct {
	mu   sync.Mutex
	end  func()
	left bool
}

// Fire calls what was given to Set, now or at once when it is given.
func (h *OnDisconnect) Fire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	if h.end != nil {
		h.end()
	}
}

// Set has end called when the client leaves; it must return at once.
func (h *OnDisconnect) Set(end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end = end; h.left {
		end()
	}
}

// Clear takes back what was given to Set. It is false where that was called.
func (h *OnDisconnect) Clear() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end = nil
	return !h.left
}

type onDisconnectKey struct{}

// WithOnDisconnect gives a context that carries h.
func WithOnDisconnect(ctx context.Context, h *OnDisconnect) context.Context {
	return context.WithValue(ctx, onDisconnectKey{}, h)
}

// OnDisconnectOf gives the OnDisconnect of the client that a request's context is for, or
// nil where it has none.
func OnDisconnectOf(ctx context.Context) *OnDisconnect {
	h, _ := ctx.Value(onDisconnectKey{}).(*OnDisconnect)
	return h
}
