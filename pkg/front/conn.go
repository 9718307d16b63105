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

// conn is an accepted connection. It caches the check of its peer, and is in one of the
// server's sets until it is closed, even after an upgrade.
type conn struct {
	*net.TCPConn
	server *Server

	peerCheck sync.Once
	uid       int // of the peer; set by peerCheck
	peerErr   error

	lane         atomic.Int32    // state of the lane
	waking       sync.Mutex      // held to wake the lane, and to leave a state in which it may be woken
	ctx          context.Context // of the requests in the lane
	cancel       context.CancelFunc
	onDisconnect sock.OnDisconnect // fires when ctx is cancelled
	ahead        []byte            // bytes that the lane has read and net/http has not
	tls          bool              // uses TLS; set with server.mu held
	read         atomic.Bool       // bytes have been read since the connection was last idle
	handled      atomic.Bool       // a handler has been called since then

	lingers  atomic.Bool // the client may still be sending
	once     sync.Once
	closeErr error
}

// Read reads from the connection and records that data have arrived.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil // frees the buffer of the lane
		}
		c.read.Store(true)
		return n, nil
	}
	n, err := c.TCPConn.Read(p)
	if n > 0 && !c.read.Load() {
		c.read.Store(true)
	}
	if err == io.EOF && len(p) == 1 { // net/http watches for a disconnect with a read of one byte
		return c.awaitPeerClose(p, n, err)
	}
	return n, err
}

// WriteTo implements io.WriterTo.
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

// setState sets a state in which the lane must not be woken, because the read deadline
// belongs to a request or to net/http.
func (c *conn) setState(lane int32) {
	c.waking.Lock()
	defer c.waking.Unlock()
	c.lane.Store(lane)
}

// wake interrupts the lane if it waits for a request.
func (c *conn) wake() {
	c.waking.Lock()
	defer c.waking.Unlock()
	if lane := c.lane.Load(); lane != laneServing && lane != lanePassing {
		c.SetReadDeadline(time.Unix(1, 0))
	}
}

// pending reports whether data have arrived on a connection that waits for a request,
// whether they have been read or not.
func (c *conn) pending() bool { return c.read.Load() || sock.Unread(c.TCPConn) }

// Close closes the connection and removes it from all sets.
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

// admitted returns the error of the peer check, which is done once.
func (c *conn) admitted() error {
	c.peerCheck.Do(func() {
		c.uid = UnknownUID
		if c.server.cfg.Peer != nil {
			c.uid, c.peerErr = c.server.cfg.Peer(c.TCPConn)
		}
		if c.peerErr != nil {
			// Warn once for each text, since another user could fill the log, and not at
			// all if the client has disconnected already.
			level := slog.LevelDebug
			if _, again := c.server.refusals.LoadOrStore(c.peerErr.Error(), nil); !again && !errors.Is(c.peerErr, peer.ErrGone) {
				level = slog.LevelWarn
			}
			c.server.log.Log(c.ctx, level, "connection refused", "error", c.peerErr)
		}
	})
	return c.peerErr
}

// guest reports whether a peer that is not admitted may reach apps.
func (c *conn) guest() bool {
	guest := c.server.cfg.Guest
	return guest != nil && c.admitted() != nil && c.uid != UnknownUID && guest(c.uid)
}

// UnknownUID is the uid of a peer that the system does not report.
const UnknownUID = -1

// PeerUID returns the uid of the process that sent a request, for the handlers of the
// planes, or UnknownUID.
func PeerUID(r *http.Request) int {
	c := connOf(r.Context())
	if c == nil || c.admitted() != nil {
		return UnknownUID
	}
	return c.uid
}

// ownConn returns the conn inside a connection of net/http, which may be wrapped by TLS.
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

// connState keeps the sets of connections up to date that net/http's Shutdown does not
// close or wait for correctly: hijacked, without a first request, and idle ones.
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
