package front

import (
	"io"
	"net"

	"github.com/hostless/hostless/pkg/sock"
)

// laneBody is the body of a lane's request, of a known length. The lane reads
// nothing while its handler may.
type laneBody struct {
	lane *lane
	left int64
}

// Read reads what was read ahead first. A client that ends or leaves before the
// body's end is io.ErrUnexpectedEOF, or the connection's own error.
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
		l.r += n
	} else if n, err = l.out.conn.Read(p); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.Took(int64(n))
	return n, err
}

// Close leaves what is unread to the lane.
func (b *laneBody) Close() error { return nil }

// Direct gives what was read ahead and the connection that the rest comes from,
// for the kernel to copy. Took reports what was taken from it.
func (b *laneBody) Direct() (ahead []byte, rest *net.TCPConn) {
	l := b.lane
	ahead = l.in[l.r : l.r+int(min(int64(l.w-l.r), b.left))]
	l.r += len(ahead)
	b.Took(int64(len(ahead)))
	return ahead, l.conn.TCPConn
}

// Took notes bytes of the body that were read. From its end on the client is
// watched; until then a failing read shows that it has left.
func (b *laneBody) Took(n int64) {
	if b.left -= n; b.left == 0 && n > 0 {
		b.lane.watch.begin()
	}
}

// Left is how much of the body was not read.
func (b *laneBody) Left() int64 { return b.left }

// Broken reports whether the client has ended its side or left.
func (b *laneBody) Broken() bool {
	c := b.lane.conn.TCPConn
	return !sock.Unread(c) && !sock.Silent(c)
}
