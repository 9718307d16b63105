package sock

import (
	"context"
	"sync"
)

// OnDisconnect holds the function that cancels the current request when the client
// disconnects. A server that processes one request per connection at a time creates one
// for each connection, and the code that serves a request sets how it is canceled.
// context.AfterFunc does the same, but costs as much as all other bookkeeping for a small
// request. The zero value is ready for use. It is safe for concurrent use.
type OnDisconnect struct {
	mu   sync.Mutex
	end  func()
	left bool
}

// Fire calls the function passed to Set. If there is none, the next Set calls its
// function at once.
func (h *OnDisconnect) Fire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	if h.end != nil {
		h.end()
	}
}

// Set registers the function to call when the client disconnects. The function must not
// block.
func (h *OnDisconnect) Set(end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end = end; h.left {
		end()
	}
}

// Clear removes the function passed to Set. It returns false if the function was called.
func (h *OnDisconnect) Clear() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end = nil
	return !h.left
}

type onDisconnectKey struct{}

// WithOnDisconnect returns a context that carries h.
func WithOnDisconnect(ctx context.Context, h *OnDisconnect) context.Context {
	return context.WithValue(ctx, onDisconnectKey{}, h)
}

// OnDisconnectOf returns the OnDisconnect carried by a request's context, or nil if there
// is none.
func OnDisconnectOf(ctx context.Context) *OnDisconnect {
	h, _ := ctx.Value(onDisconnectKey{}).(*OnDisconnect)
	return h
}
