package front

import (
	"io"
	"time"

	"github.com/hostless/hostless/pkg/sock"
)

// halfLook is how often a client that has ended its side is looked at again.
const halfLook = 50 * time.Millisecond

// watchEnd answers net/http's watch for a client that leaves. A client that has
// only ended its own side, as `nc -N` does after its request, waits for the
// answer: while a process still holds its end, nothing is to be told. On the
// wire the two look the same; the kernel, asked for the peer, knows them apart.
// err is what the connection's own Read has given.
func (c *conn) watchEnd(p []byte, n int, err error) (int, error) {
	for err == io.EOF && c.held() {
		time.Sleep(halfLook)
		n, err = c.TCPConn.Read(p) // net/http ends its watch by a deadline
	}
	return n, err
}

// awaitGone waits until the client of a lane has left. It is false where that
// cannot be seen, since the client has sent more, and after quit is closed and
// the connection's deadline for reading is over.
func (c *conn) awaitGone(quit <-chan struct{}) bool {
	if !sock.Ends(c.TCPConn) {
		return false
	}
	look := time.NewTicker(halfLook)
	defer look.Stop()
	for c.held() {
		select {
		case <-look.C:
		case <-quit:
			return false
		}
	}
	return true
}

// held reports whether a process is known to hold the other end.
func (c *conn) held() bool {
	if c.server.cfg.Peer == nil {
		return false
	}
	uid, err := c.server.cfg.Peer(c.TCPConn)
	return err == nil && uid != UnknownUID
}

// Gone reports whether it is known that nobody holds the other end, for whoever
// has taken the connection over.
func (c *conn) Gone() bool {
	if c.server.cfg.Peer == nil {
		return false
	}
	_, err := c.server.cfg.Peer(c.TCPConn)
	return err != nil
}
