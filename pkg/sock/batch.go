package sock

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Batch is a connection whose writes can be held back for a moment, so that several
// small ones become one call. It is safe for concurrent use as net.Conn is.
//
// Whoever passes messages from one connection to another calls Hold on the one that
// is written to before each message, and has the one that is read from flush it
// before it waits (see FlushBefore): what arrived together leaves together, and
// nothing waits for what has not arrived.
type Batch struct {
	net.Conn
	before func() // called before each Read; set before use

	hold atomic.Bool

	mu      sync.Mutex
	held    []byte
	err     error // of a write of what was held
	bounded bool  // there is a write deadline
}

// maxHeld is how many bytes are held back at most.
const maxHeld = 32 << 10

// NewBatch makes a connection that holds nothing back yet.
func NewBatch(c net.Conn) *Batch { return &Batch{Conn: c} }

// FlushBefore has what other holds back written before each Read of b that goes to
// the system. It must be called before b is read.
func (b *Batch) FlushBefore(other *Batch) { b.before = func() { other.Flush() } }

// NetConn is the connection below.
func (b *Batch) NetConn() net.Conn { return b.Conn }

// Hold holds back what is written from now on, until the next Flush.
func (b *Batch) Hold() {
	b.hold.Store(true)
}

// SetWriteDeadline implements net.Conn. It bounds the calls to the system that
// follow, of what is held back too. Taking away a deadline that is not there costs
// nothing: WebSocket libraries do so for each message.
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

// Write implements net.Conn. An error of an earlier write that was held back is
// returned here.
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

// Flush writes what is held back, and ends Hold.
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
