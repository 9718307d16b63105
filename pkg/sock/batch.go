package sock

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Batch is a connection that can buffer small writes, so that several of them need only
// one system call. It is as safe for concurrent use as net.Conn.
//
// A relay between two connections calls Hold on the destination before it forwards each
// message. FlushBefore makes the source flush the destination before it waits for more
// data. So messages that arrive together are forwarded together, and none is delayed.
type Batch struct {
	net.Conn
	before func() // called before each Read; must be set before use

	hold atomic.Bool

	mu      sync.Mutex
	held    []byte
	err     error // error of a flush
	bounded bool  // a write deadline is set
}

// maxHeld is the maximum number of buffered bytes.
const maxHeld = 32 << 10

// NewBatch returns a Batch that does not buffer yet.
func NewBatch(c net.Conn) *Batch { return &Batch{Conn: c} }

// FlushBefore makes b flush other before each Read. It must be called before the first
// Read.
func (b *Batch) FlushBefore(other *Batch) { b.before = func() { other.Flush() } }

// NetConn returns the underlying connection.
func (b *Batch) NetConn() net.Conn { return b.Conn }

// Hold makes the following writes be buffered until the next Flush.
func (b *Batch) Hold() {
	b.hold.Store(true)
}

// SetWriteDeadline implements net.Conn. The deadline also applies to buffered writes when
// they are flushed. Removing a deadline that is not set costs nothing: WebSocket
// libraries do so for each message.
func (b *Batch) SetWriteDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.IsZero() && !b.bounded {
		return nil
	}
	b.bounded = !t.IsZero()
	return b.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (b *Batch) SetDeadline(t time.Time) error {
	return errors.Join(b.SetReadDeadline(t), b.SetWriteDeadline(t))
}

// Read implements net.Conn.
func (b *Batch) Read(p []byte) (int, error) {
	if b.before != nil {
		b.before()
	}
	return b.Conn.Read(p)
}

// Write implements net.Conn. It also returns the error of an earlier buffered write.
func (b *Batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	hold := b.hold.Load()
	if !hold && len(b.held) == 0 {
		return b.Conn.Write(p)
	}
	if b.held = append(b.held, p...); hold && len(b.held) < maxHeld {
		return len(p), nil
	}
	return len(p), b.flush()
}

// Flush writes the buffered data and ends buffering.
func (b *Batch) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold.Store(false)
	return b.flush()
}

func (b *Batch) flush() error {
	if len(b.held) == 0 || b.err != nil {
		return b.err
	}
	_, b.err = b.Conn.Write(b.held)
	if cap(b.held) > 2*maxHeld {
		b.held = nil
	}
	b.held = b.held[:0]
	return b.err
}
