package body

import (
	"io"
	"math/bits"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// buffer is the memory of one body. It is used again for another one when its
// lease has been released and every Reader of it is closed.
type buffer struct {
	data  []byte
	users atomic.Int32 // the lease and the open readers
	keep  atomic.Bool  // something else may still use a part of it
}

// The sizes that are pooled: below, allocation costs next to nothing; above, a
// body is rare enough to be left to the garbage collector.
const (
	minPooled = 32 << 10
	maxPooled = 4 << 20
)

// pools are the free buffers by size: 32 KiB, 48 KiB, 64 KiB, 96 KiB and so on.
var pools [16]sync.Pool

// class gives the pool for a size, and how large its buffers are; -1 for none.
func class(size int) (pool, capacity int) {
	if size < minPooled || size > maxPooled {
		return -1, size
	}
	n := bits.Len(uint(size-1)) - 1 // 2^n < size <= 2^(n+1)
	pool = 2 * (n - 14)
	if capacity = 3 << (n - 1); size > capacity {
		return pool, 2 << n
	}
	return pool - 1, capacity
}

// newBuffer gives a buffer of a length, its content undefined.
func newBuffer(size int) *buffer {
	pool, capacity := class(size)
	if pool >= 0 {
		if b, ok := pools[pool].Get().(*buffer); ok {
			b.data = b.data[:size]
			b.users.Store(1)
			return b
		}
	}
	b := &buffer{data: make([]byte, size, capacity)}
	b.users.Store(1)
	b.keep.Store(true)
	return b
}

// drop ends one use.
func (b *buffer) drop() {
	if b.users.Add(-1) > 0 || b.keep.Load() {
		return
	}
	if pool, capacity := class(cap(b.data)); pool >= 0 && capacity == cap(b.data) {
		b.data = b.data[:0]
		b.keep.Store(true)
		pools[pool].Put(b)
	}
}

// Reader sends a body up: once, from the body's own bytes. It belongs to one
// goroutine, but for Close: transports close a body while another goroutine still
// reads it. Its memory is then given up when that read is over.
type Reader struct {
	data []byte
	b    *buffer

	mu     sync.Mutex
	busy   bool // a read is going on
	closed bool
}

// NewReader reads data, which was read under the lease, or made of it; nil for
// none. The lease's memory is not used again before the reader is closed.
func NewReader(data []byte, lease *Lease) *Reader {
	r := &Reader{data: data}
	if lease != nil && lease.buffer != nil {
		r.b = lease.buffer
		r.b.users.Add(1)
	}
	return r
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (n int, err error) {
	if !r.begin() {
		return 0, os.ErrClosed
	}
	defer r.end()
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n = copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// begin reports whether the memory may be read, until end.
func (r *Reader) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = !r.closed
	return r.busy
}

func (r *Reader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
	if r.closed {
		r.drop()
	}
}

// Close implements io.Closer.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if !r.busy {
		r.drop()
	}
	return nil
}

// drop gives the memory up, once. The caller holds the mutex.
func (r *Reader) drop() {
	if r.b != nil {
		r.b.drop()
		r.b = nil
	}
}

// Conn makes a connection that writes a Reader from its own memory, in as few
// calls as the system takes, where net/http copies it through a small buffer. Other
// connections than TCP's are returned as they are.
func Conn(c net.Conn) net.Conn {
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{tcp}
	}
	return c
}

type conn struct{ *net.TCPConn }

// ReadFrom implements io.ReaderFrom.
func (c *conn) ReadFrom(from io.Reader) (int64, error) {
	if limited, ok := from.(*io.LimitedReader); ok {
		if r, ok := limited.R.(*Reader); ok {
			if !r.begin() {
				return 0, os.ErrClosed
			}
			defer r.end()
			n, err := c.Write(r.data[:min(int64(len(r.data)), limited.N)])
			r.data = r.data[n:]
			limited.N -= int64(n)
			return int64(n), err
		}
	}
	return c.TCPConn.ReadFrom(from)
}
