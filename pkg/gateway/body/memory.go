// Package body reads the bodies of requests: whole where they must be looked into,
// within a limit each and a budget for all of them together.
//
// What a body says, and whether its caller may ask for it, is decided by those who
// read it.
package body

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Memory is a budget in bytes for all bodies that are held at the same time. It is
// safe for concurrent use.
type Memory struct {
	limit int64
	wait  time.Duration

	mu      sync.Mutex
	used    int64
	waiting []*waiter // in the order of their arrival
	freed   int64     // by large bodies since memory was returned last
	due     bool      // a return is scheduled
}

type waiter struct {
	size int64
	done chan struct{} // closed when the memory is its own
}

const (
	largeBody   = 1 << 20
	returnAfter = 16 << 20 // of freed large bodies
	returnDelay = time.Second
)

// NewMemory makes a budget of limit bytes. A body that finds no room waits for as
// long as wait before it is refused.
func NewMemory(limit int64, wait time.Duration) *Memory {
	return &Memory{limit: limit, wait: wait}
}

// Used is how many bytes are taken now.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// take reserves size bytes, waiting in line for them. A single body may be larger
// than the whole budget; it then has all of it to itself. The error is fault.Busy,
// or the context's.
func (m *Memory) take(ctx context.Context, size int64) error {
	if size <= 0 {
		return nil
	}
	m.mu.Lock()
	// Small bodies pass a large one that waits: they would wait for nothing.
	if (len(m.waiting) == 0 || size < largeBody) && m.fits(size) {
		m.used += size
		m.mu.Unlock()
		return nil
	}
	w := &waiter{size: size, done: make(chan struct{})}
	m.waiting = append(m.waiting, w)
	m.mu.Unlock()
	timer := time.NewTimer(m.wait)
	defer timer.Stop()
	select {
	case <-w.done:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, other := range m.waiting {
		if other == w {
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			m.admit() // those behind it may fit
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &fault.Error{
				Kind: fault.Busy, Code: "body_memory_exhausted", RetryAfter: time.Second,
				Message: "too many large requests at the same time: there is no memory left for this one's body",
			}
		}
	}
	return nil // it was given the memory at the last moment
}

// fits reports whether there is room. The caller holds the mutex.
func (m *Memory) fits(size int64) bool { return m.used == 0 || m.used+size <= m.limit }

// admit gives those in line what there is room for. The caller holds the mutex.
func (m *Memory) admit() {
	for len(m.waiting) > 0 && m.fits(m.waiting[0].size) {
		w := m.waiting[0]
		m.waiting = m.waiting[1:]
		m.used += w.size
		close(w.done)
	}
}

// release gives size bytes back. After large bodies the memory goes back to the
// system too: the runtime alone would keep it for minutes, for a process that
// idles nearly always.
func (m *Memory) release(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= size
	m.admit()
	if size < largeBody {
		return
	}
	if m.freed += size; m.freed >= returnAfter && !m.due {
		m.due = true
		time.AfterFunc(returnDelay, m.giveBack)
	}
}

func (m *Memory) giveBack() {
	m.mu.Lock()
	if m.used >= largeBody { // it would be needed again at once
		m.mu.Unlock()
		time.AfterFunc(returnDelay, m.giveBack)
		return
	}
	m.due, m.freed = false, 0
	m.mu.Unlock()
	debug.FreeOSMemory()
}

// Lease is what one request holds of a Memory. It belongs to one goroutine. The zero
// value and nil hold nothing and are bounded by nothing.
type Lease struct {
	memory *Memory
	held   int64
	buffer *buffer // of the body, where it is one that may be used again
	kept   bool    // something keeps a part of what was read
}

// Lease makes an empty lease.
func (m *Memory) Lease() Lease { return Lease{memory: m} }

// Grow takes size bytes more; see Memory for its errors.
func (l *Lease) Grow(ctx context.Context, size int64) error {
	if l == nil || l.memory == nil {
		return nil
	}
	if err := l.memory.take(ctx, size); err != nil {
		return err
	}
	l.held += max(size, 0)
	return nil
}

// Reuse says that nothing but Readers keeps a part of what was read, so that the
// memory may serve another body after Release. Without it, or with Keep, it is left
// to the garbage collector.
func (l *Lease) Reuse() {
	if l != nil && l.buffer != nil && !l.kept {
		l.buffer.keep.Store(false)
	}
}

// Keep says that something may keep a part of what was read for longer, as a
// translation does. It outweighs Reuse, whatever their order.
func (l *Lease) Keep() {
	if l != nil && l.buffer != nil {
		l.kept = true
		l.buffer.keep.Store(true)
	}
}

// Release gives all of it back. What was read under the lease must not be used any
// more, but by readers that are still open. It may be called more than once.
func (l *Lease) Release() {
	if l == nil {
		return
	}
	if l.buffer != nil {
		l.buffer.drop()
		l.buffer = nil
	}
	if l.held > 0 {
		l.memory.release(l.held)
		l.held = 0
	}
}
