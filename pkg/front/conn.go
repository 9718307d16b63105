package front

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/peer"
	"github.com/hostless/hostless/pkg/sock"
)

type connKey struct{}

// conn is a connection as this package accepted it: it remembers what was found
// out about its peer, and is known until it is closed, upgraded or not.
type conn struct {
	*net.TCPConn
	server *Server

	peerCheck sync.Once
	uid       int // of the peer, once judged
	peerErr   error

	lane         atomic.Int32    // what its lane is doing
	waking       sync.Mutex      // held to wake the lane, and where it may not be woken any more
	ctx          context.Context // of its lane's requests
	cancel       context.CancelFunc
	onDisconnect sock.OnDisconnect // fires when ctx ends
	ahead        []byte            // read by the lane, and not yet by net/http
	tls          bool              // carries TLS; set with server.mu held
	read         atomic.Bool       // bytes have been read since it was idle last
	handled      atomic.Bool       // a request has come to its handler since then

	lingers  atomic.Bool // the client may still be sending
	once     sync.Once
	closeErr error
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
	if err == io.EOF && len(p) == 1 { // so net/http watches while a request is answered
		return c.awaitPeerClose(p, n, err)
	}
	return n, err
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

// setState notes that the lane is not to be woken for now: its deadline for reading
// is a request's, or net/http's.
func (c *conn) setState(lane int32) {
	c.waking.Lock()
	defer c.waking.Unlock()
	c.lane.Store(lane)
}

// wake ends the lane's wait for a request.
func (c *conn) wake() {
	c.waking.Lock()
	defer c.waking.Unlock()
	if lane := c.lane.Load(); lane != laneServing && lane != lanePassing {
		c.SetReadDeadline(time.Unix(1, 0))
	}
}

// pending reports whether something has arrived on a connection that waits for a
// request, read or not.
func (c *conn) pending() bool { return c.read.Load() || sock.Unread(c.TCPConn) }

// Close closes the connection and forgets it.
func (c *conn) Close() error {
	c.linger()
	c.once.Do(func() {
		c.server.mu.Lock()
		delete(c.server.lanes, c)
		delete(c.server.fresh, c)
		delete(c.server.active, c)
		delete(c.server.idle, c)
		delete(c.server.upgraded, c)
		delete(c.server.endless, c)
		c.server.mu.Unlock()
		c.server.open.Add(-1)
		c.closeErr = c.TCPConn.Close()
	})
	return c.closeErr
}

// admitted says whether the connection's peer may speak to us.
func (c *conn) admitted() error {
	c.peerCheck.Do(func() {
		c.uid = UnknownUID
		if c.server.cfg.Peer != nil {
			c.uid, c.peerErr = c.server.cfg.Peer(c.TCPConn)
		}
		if c.peerErr != nil {
			// A client that has left is nobody to keep out, and another user could fill the
			// log.
			level := slog.LevelDebug
			if _, again := c.server.refusals.LoadOrStore(c.peerErr.Error(), nil); !again && !errors.Is(c.peerErr, peer.ErrGone) {
				level = slog.LevelWarn
			}
			c.server.log.Log(c.ctx, level, "a connection is refused", "error", c.peerErr)
		}
	})
	return c.peerErr
}

// guest reports whether a peer that is not admitted may reach apps.
func (c *conn) guest() bool {
	guest := c.server.cfg.Guest
	return guest != nil && c.admitted() != nil && c.uid != UnknownUID && guest(c.uid)
}

// UnknownUID is the peer's uid where the system does not report it.
const UnknownUID = -1

// PeerUID gives, within a plane's handler, the user whose process sent the request, or
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
	delete(s.active, own)
	delete(s.idle, own)
	switch state {
	case http.StateNew:
		_, own.tls = c.(*tls.Conn)
		s.fresh[own] = struct{}{}
	case http.StateActive:
		s.active[own] = struct{}{}
	case http.StateIdle:
		own.read.Store(false)
		own.handled.Store(false)
		s.idle[own] = struct{}{}
	case http.StateHijacked:
		s.upgraded[own] = struct{}{}
	}
}
