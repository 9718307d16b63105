package sock

import "sync"

// BufferSize is the length of the buffers of GetBuffer.
const BufferSize = 4 << 10

var buffers = sync.Pool{New: func() any { return new([BufferSize]byte) }}

// GetBuffer returns a buffer of BufferSize bytes, whose content is undefined. Buffers are
// pooled because most connections are idle most of the time, and then hold none. GetBuffer
// and PutBuffer are safe for concurrent use.
func GetBuffer() []byte { return buffers.Get().(*[BufferSize]byte)[:] }

// PutBuffer takes back a buffer, which must not be used afterwards. A slice with another
// capacity is left to the garbage collector.
func PutBuffer(b []byte) {
	if cap(b) == BufferSize {
		buffers.Put((*[BufferSize]byte)(b[:BufferSize]))
	}
}
