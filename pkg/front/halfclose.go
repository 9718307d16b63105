package front

import (
	"io"
	"time"

	"github.com/hostless/hostless/pkg/clock"
	"github.com/hostless/hostless/pkg/sock"
)

// halfClosedCheckEvery is how often the peer of a half-closed connection is checked.
const halfClosedCheckEvery = 50 * time.Millisecond

// awaitPeerClose is called when net/http's watch for a disconnect has read io.EOF. A client
// that has closed only its sending side, as `nc -N` does after its request, still waits for
// the response. On the wire this looks like a disconnect, but the kernel knows whether a
// process still holds the other end. awaitPeerClose therefore waits until none does. n and
// err are the result of the connection's Read.
func (c *conn) awaitPeerClose(p []byte, n int, err error) (int, error) {
	for err == io.EOF && c.peerAlive() {
		passed, _ := clock.NewTimer(c.server.cfg.Clock, halfClosedCheckEvery)
		<-passed
		n, err = c.TCPConn.Read(p) // net/http interrupts its watch with a deadline
	}
	return n, err
}

// awaitDisconnect waits until the client of a lane has disconnected. It returns false if that
// cannot be detected because the client has sent more data, and after quit is closed and
// the read deadline has passed.
func (c *conn) awaitDisconnect(quit <-chan struct{}) bool {
	if !sock.Ends(c.TCPConn) {
		return false
	}
	passed, timer := clock.NewTimer(c.server.cfg.Clock, halfClosedCheckEvery)
	defer timer.Stop()
	for c.peerAlive() {
		select {
		case <-passed:
			timer.Reset(halfClosedCheckEvery)
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

// PeerLeft reports whether it is known that no process holds the other end. It is for code
// that has hijacked the connection.
func (c *conn) PeerLeft() bool {
	if c.server.cfg.Peer == nil {
		return false
	}
	_, err := c.server.cfg.Peer(c.TCPConn)
	return err != nil
}
