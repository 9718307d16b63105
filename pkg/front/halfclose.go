package front

import (
	"io"
	"time"

	"github.com/hostless/hostless/pkg/clock"
	"github.com/hostless/hostless/pkg/sock"
)

// halfClosedCheckEvery is how often a client that has ended its side is looked at again.
const halfClosedCheckEvery = 50 * time.Millisecond

// awaitPeerClose answers net/http's watch for a client that leaves. A client that has
// only ended its own side, as `nc -N` does after its request, waits for the
// answer: while a process still holds its end, it has not disconnected. On the
// wire the two look the same; the kernel, asked for the peer, knows them apart.
// err is what the connection's own Read has given.
func (c *conn) awaitPeerClose(p []byte, n int, err error) (int, error) {
	for err == io.EOF && c.peerAlive() {
		passed, _ := clock.NewTimer(c.server.cfg.Clock, halfClosedCheckEvery)
		<-passed
		n, err = c.TCPConn.Read(p) // net/http ends its watch by a deadline
	}
	return n, err
}

// awaitPeerLeft waits until the client of a lane has left. It is false where that
// cannot be seen, since the client has sent more, and after quit is closed and
// the connection's deadline for reading is over.
func (c *conn) awaitPeerLeft(quit <-chan struct{}) bool {
	if !sock.Ends(c.TCPConn) {
		return false
	}
	passed, look := clock.NewTimer(c.server.cfg.Clock, halfClosedCheckEvery)
	defer look.Stop()
	for c.peerAlive() {
		select {
		case <-passed:
			look.Reset(halfClosedCheckEvery)
		case <-quit:
			return false
		}
	}
	return true
}

// peerAlive reports whether a process is known to hold the other end.
func (c *conn) peerAlive() bool {
	if c.server.cfg.Peer == nil {
		return false
	}
	uid, err := c.server.cfg.Peer(c.TCPConn)
	return err == nil && uid != UnknownUID
}

// PeerLeft reports whether it is known that nobody holds the other end, for whoever
// has taken the connection over.
func (c *conn) PeerLeft() bool {
	if c.server.cfg.Peer == nil {
		return false
	}
	_, err := c.server.cfg.Peer(c.TCPConn)
	return err != nil
}
