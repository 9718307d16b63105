// Package body reads request bodies into memory where the gateway must inspect them, within
// a limit for each body and a memory budget for all of them.
//
// It does not decide whether a body is valid for its endpoint or allowed for its caller.
package body

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/fault"
)

// Memory is a budget in bytes for all bodies that are held at the same time. It is safe for
// concurrent use.
type Memory struct {
	limit int64
	wait  time.Duration

	mu      sync.Mutex
	used    int64
	waiting []*waiter // in order of arrival
	freed   int64     // bytes freed by large bodies since memory was last returned to the system
	due     bool      // a return is scheduled
}

type waiter struct {
	size int64
	done chan struct{} // closed when the memory has been granted
}

const (
	largeBody   = 1 << 20
	returnAfter = 16 << 20 // bytes of freed large bodies
	returnDelay = time.Second
)

// NewMemory returns a budget of limit bytes. A body for which there is no memory waits for
// at most the given duration before it is refused.
func NewMemory(limit int64, wait time.Duration) *Memory {
	return &Memory{limit: limit, wait: wait}
}

// Used returns the number of bytes in use.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// take reserves size bytes, and queues if there are too few. A body that is larger than the
// whole budget is admitted when no other body is held. The error is fault.Busy, or that of
// the context.
func (m *Memory) take(ctx context.Context, size int64) error {
	if size <= 0 {
		return nil
	}
	m.mu.Lock()
	// A small body overtakes waiting large ones, since it fits in the memory that is free.
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
			m.admit() // the waiters behind it may fit
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &fault.Error{
				Kind: fault.Busy, Code: "body_memory_exhausted", RetryAfter: time.Second,
				Message: "not enough memory for the request body: too many large requests at the same time; try again later",
			}
		}
	}
	return nil // the memory was granted at the last moment
}

// fits reports whether size bytes are free. The caller holds the mutex.
func (m *Memory) fits(size int64) bool { return m.used == 0 || m.used+size <= m.limit }

// admit grants memory to waiters, in order, while it suffices. The caller holds the mutex.
func (m *Memory) admit() {
	for len(m.waiting) > 0 && m.fits(m.waiting[0].size) {
		w := m.waiting[0]
		m.waiting = m.waiting[1:]
		m.used += w.size
		close(w.done)
	}
}

// release returns size bytes to the budget. After large bodies it also returns memory to
// the operating system, which the Go runtime would do only after minutes.
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
	if m.used >= largeBody { // the memory would be needed again at once
		m.mu.Unlock()
		time.AfterFunc(returnDelay, m.giveBack)
		return
	}
	m.due, m.freed = false, 0
	m.mu.Unlock()
	debug.FreeOSMemory()
}

// Lease is the share of a Memory that one request holds. It must be used by one goroutine.
// The zero value and a nil *Lease hold nothing and have no limit.
type Lease struct {
	memory *Memory
	held   int64
	buffer *buffer // the buffer of the body, if it is a reusable one
	kept   bool    // something else refers to a part of the buffer
}

// Lease returns an empty lease.
func (m *Memory) Lease() Lease { return Lease{memory: m} }

// Grow reserves size more bytes. The errors are those of Memory: fault.Busy, or that of
// ctx.
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

// Reuse declares that only Readers refer to what was read, so that the memory may be reused
// after Release. Without Reuse, or with Keep, it is left to the garbage collector.
func (l *Lease) Reuse() {
	if l != nil && l.buffer != nil && !l.kept {
		l.buffer.keep.Store(false)
	}
}

// Keep declares that something else, such as a translation, may refer to a part of what was
// read. It takes precedence over Reuse, whichever is called first.
func (l *Lease) Keep() {
	if l != nil && l.buffer != nil {
		l.kept = true
		l.buffer.keep.Store(true)
	}
}

// Release returns all reserved bytes. After it, only open Readers may use what was read
// under the lease. It may be called more than once.
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
