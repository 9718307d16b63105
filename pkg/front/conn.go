package front

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type connKey struct{}

// conn is a connection as this package accepted it: it remembers what was found
// out about its peer, and is known until it is closed, upgraded or not.
type conn struct {
	*net.TCPConn
	server *Server

	judge   sync.Once
	uid     int // of the peer, once judged
	verdict error

	lane  atomic.Int32  // what its lane is doing
	ahead []byte        // read by the lane, and not yet by net/http
	tls   bool          // carries TLS; set with server.mu held
	read  atomic.Bool   // bytes have been read since it was idle last
	half  atomic.Bool   // the client has closed its sending half, and may wait
	over  atomic.Bool   // the deadline for reading is long ago
	kick  chan struct{} // ends the watching of such a client

	once     sync.Once
	closeErr error
}

func newConn(s *Server, c *net.TCPConn) *conn {
	return &conn{TCPConn: c, server: s, kick: make(chan struct{}, 1)}
}

// Read notes that something has arrived.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil // frees the lane's buffer
		}
		c.read.Store(true)
		return n, nil
	}
	n, err := c.TCPConn.Read(p)
	if n > 0 && !c.read.Load() {
		c.read.Store(true)
	}
	if err == io.EOF && len(p) == 1 && !c.tls {
		// net/http watches for the client's leaving with a read of one byte while
		// it makes an answer. A client that only closed its sending half waits for it.
		return n, c.sent()
	}
	return n, err
}

// sent waits until a client that has said its last has left, or the watching is
// ended by SetReadDeadline.
func (c *conn) sent() error {
	select {
	case <-c.kick: // of a watching before
	default:
	}
	c.half.Store(true)
	defer c.half.Store(false)
	if c.over.Load() || !c.leaves(c.kick) {
		return os.ErrDeadlineExceeded
	}
	return io.EOF
}

// longAgo is after all deadlines that are set to end a read at once.
var longAgo = time.Unix(1<<30, 0)

// SetReadDeadline sets the deadline of Read; one long ago ends a watching too.
func (c *conn) SetReadDeadline(t time.Time) error {
	err := c.TCPConn.SetReadDeadline(t)
	over := !t.IsZero() && t.Before(longAgo)
	c.over.Store(over)
	if over && c.half.Load() {
		select {
		case c.kick <- struct{}{}:
		default:
		}
	}
	return err
}

// WriteTo writes what arrives to w.
func (c *conn) WriteTo(w io.Writer) (int64, error) {
	if len(c.ahead) == 0 {
		return c.TCPConn.WriteTo(w)
	}
	n, err := w.Write(c.ahead)
	c.ahead = c.ahead[n:]
	if err != nil {
		return int64(n), err
	}
	more, err := c.TCPConn.WriteTo(w)
	return int64(n) + more, err
}

// pending reports whether something has arrived on an idle connection, read or
// not.
func (c *conn) pending() bool { return c.read.Load() || unread(c.TCPConn) }

// Close closes the connection and forgets it.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.server.mu.Lock()
		delete(c.server.lanes, c)
		delete(c.server.fresh, c)
		delete(c.server.idle, c)
		delete(c.server.upgraded, c)
		c.server.mu.Unlock()
		c.server.open.Add(-1)
		c.closeErr = c.TCPConn.Close()
	})
	return c.closeErr
}

// admitted says whether the connection's peer may speak to us.
func (c *conn) admitted() error {
	c.judge.Do(func() {
		c.uid = UnknownUID
		if c.server.cfg.Peer != nil {
			c.uid, c.verdict = c.server.cfg.Peer(c.TCPConn)
		}
	})
	return c.verdict
}

// UnknownUID is the peer's uid where it cannot be told.
const UnknownUID = -1

// PeerUID tells, within a plane's handler, whose process sent the request, or
// UnknownUID.
func PeerUID(r *http.Request) int {
	c := connOf(r.Context())
	if c == nil || c.admitted() != nil {
		return UnknownUID
	}
	return c.uid
}

// ownConn finds the conn inside what net/http knows, which TLS may wrap.
func ownConn(c net.Conn) *conn {
	for {
		if own, ok := c.(*conn); ok {
			return own
		}
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = w.NetConn()
	}
}

func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// connState notes connections that net/http's Shutdown would not end: those it
// gave away, and those that have not sent anything; and those that wait.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	own := ownConn(c)
	if own == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fresh, own)
	delete(s.idle, own)
	switch state {
	case http.StateNew:
		_, own.tls = c.(*tls.Conn)
		s.fresh[own] = struct{}{}
	case http.StateIdle:
		own.read.Store(false)
		s.idle[own] = struct{}{}
	case http.StateHijacked:
		s.upgraded[own] = struct{}{}
	}
}

// lookAgain is how often a client that has closed its sending half is looked
// after: nothing tells when it leaves.
const lookAgain = 250 * time.Millisecond

// awaitGone waits until the client has left. It is false where that cannot be
// seen, since it has sent more, and after quit is closed and the connection's
// deadline for reading is over.
func (c *conn) awaitGone(quit <-chan struct{}) bool { return hangsUp(c.TCPConn) && c.leaves(quit) }

// leaves waits until a client that has said its last has left as well; it is
// false after quit.
func (c *conn) leaves(quit <-chan struct{}) bool {
	if c.left() {
		return true
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return false
		case <-tick.C:
			if c.left() {
				return true
			}
		}
	}
}

func (c *conn) left() bool { return c.server.cfg.Gone == nil || c.server.cfg.Gone(c.TCPConn) }
