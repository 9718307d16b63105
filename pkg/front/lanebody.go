package front

import (
	"io"
	"net"

	"github.com/hostless/hostless/pkg/sock"
)

// laneBody is a request body of known length in a lane. The lane does not read from the
// connection while the handler may.
type laneBody struct {
	lane *lane
	left int64
}

// Read first returns the bytes that the lane has read ahead. If the client disconnects or
// closes its side early, the error is io.ErrUnexpectedEOF or that of the connection.
func (b *laneBody) Read(p []byte) (n int, err error) {
	l := b.lane
	switch {
	case b.left == 0:
		return 0, io.EOF
	case int64(len(p)) > b.left:
		p = p[:b.left]
	}
	if l.r < l.w {
		n = copy(p, l.in[l.r:l.w])
		if l.r += n; l.r == l.w {
			l.release()
		}
	} else if n, err = l.out.conn.Read(p); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.Took(int64(n))
	return n, err
}

// Close does nothing. The lane handles what is unread.
func (b *laneBody) Close() error { return nil }

// Direct returns the bytes that have been read ahead, and the connection with the rest of
// the body, for the kernel to copy. The caller reports the bytes that it read with Took.
func (b *laneBody) Direct() (ahead []byte, rest *net.TCPConn) {
	l := b.lane
	ahead = l.in[l.r : l.r+int(min(int64(l.w-l.r), b.left))]
	l.r += len(ahead)
	b.Took(int64(len(ahead)))
	return ahead, l.conn.TCPConn
}

// Took records that n bytes of the body were read. After the last one, the watch for a
// disconnect starts; before that, a failed read shows a disconnect.
func (b *laneBody) Took(n int64) {
	if b.left -= n; b.left == 0 && n > 0 {
		b.lane.watch.begin()
	}
}

// Buffered returns the number of bytes that Read returns without waiting.
func (b *laneBody) Buffered() int64 { return min(int64(b.lane.w-b.lane.r), b.left) }

// Left returns the number of unread bytes of the body.
func (b *laneBody) Left() int64 { return b.left }

// Broken reports whether the client has disconnected or closed its side.
func (b *laneBody) Broken() bool {
	c := b.lane.conn.TCPConn
	return !sock.Unread(c) && !sock.Silent(c)
}
