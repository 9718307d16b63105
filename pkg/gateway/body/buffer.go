package body

import (
	"io"
	"math/bits"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// buffer is the memory of one body. It is reused after its lease has been released and all
// Readers of it are closed.
type buffer struct {
	data  []byte
	users atomic.Int32 // the lease and the open Readers
	keep  atomic.Bool  // something else may still refer to a part of it
}

// The sizes that are pooled. Smaller buffers are cheap to allocate; larger ones are rare
// enough to be left to the garbage collector.
const (
	minPooled = 32 << 10
	maxPooled = 4 << 20
)

// pools holds the free buffers of each size class: 32 KiB, 48 KiB, 64 KiB, 96 KiB and so
// on.
var pools [16]sync.Pool

// class returns the pool for buffers of at least size bytes and the capacity of its
// buffers; pool is -1 if the size is not pooled.
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

// newBuffer returns a buffer of the given length with undefined content.
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

// drop removes one user. The last one returns the buffer to its pool.
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

// Reader reads a body once, without copying it first. It must be used by one goroutine,
// except Close: a transport may close a body while another goroutine reads it. The memory
// is then released when that read returns.
type Reader struct {
	data []byte
	b    *buffer

	mu     sync.Mutex
	busy   bool // a read is in progress
	closed bool
}

// NewReader returns a Reader of data, which must have been read under the lease or be built
// from such bytes. The lease may be nil. Its memory is not reused before the Reader is
// closed.
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

// begin marks a read as in progress, until end, and reports whether the Reader is open.
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

// drop releases the memory, once. The caller holds the mutex.
func (r *Reader) drop() {
	if r.b != nil {
		r.b.drop()
		r.b = nil
	}
}

// Conn wraps a TCP connection so that the bytes of a Reader are written directly, in as few
// system calls as possible; net/http would copy them through a small buffer. It returns
// other connections unchanged.
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
