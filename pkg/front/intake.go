package front

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/sock"
)

// tlsConfig adds what net/http must be offered for HTTP/2.
func tlsConfig(given *tls.Config) *tls.Config {
	cfg := given.Clone()
	for _, proto := range []string{"h2", "http/1.1"} {
		if !slices.Contains(cfg.NextProtos, proto) {
			cfg.NextProtos = append(cfg.NextProtos, proto)
		}
	}
	return cfg
}

// accept takes connections until the listener is closed, each into a lane of
// its own. A process without free descriptors waits for some: the listener
// is not lost over it.
func (s *Server) accept(ctx context.Context, l net.Listener, lanes *sync.WaitGroup) error {
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
		case s.draining.Load():
			return nil
		case !exhausted(err):
			return err
		default:
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("a connection cannot be accepted", "error", err)
			after(ctx, pause)
			continue
		}
		pause = 0
		tcp, ok := c.(*net.TCPConn)
		if !ok { // nothing but TCP is handed in
			c.Close()
			continue
		}
		own := &conn{TCPConn: tcp, server: s}
		own.ctx, own.cancel = context.WithCancel(sock.WithOnDisconnect(laneContext(ctx, own), &own.onDisconnect))
		s.open.Add(1)
		s.note(s.lanes, own)
		lanes.Go(func() { s.receive(ctx, own) })
	}
}

// exhausted reports whether accepting failed for want of something that may come
// back: descriptors, memory, or the one client that left too early.
func exhausted(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// receive runs a connection's lane, and hands over to net/http what goes on
// beyond it.
func (s *Server) receive(ctx context.Context, c *conn) {
	defer s.forget(s.lanes, c)
	// Another user could take up all descriptors with connections that ask nothing.
	if s.open.Load() > eagerPeerCheckConns && c.admitted() != nil && !c.guest() {
		c.Close()
		return
	}
	var next net.Conn
	if l, err := newLane(s, c); err == nil {
		next = l.run()
	}
	if next == nil || !s.handover.give(ctx, next) {
		c.Close()
	}
}

// handover is the listener that net/http sees: connections whose first bytes
// were looked at.
type handover struct {
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func newHandover() *handover {
	return &handover{ready: make(chan net.Conn), closed: make(chan struct{})}
}

// give passes a connection on, unless nobody takes any more.
func (h *handover) give(ctx context.Context, c net.Conn) bool {
	select {
	case h.ready <- c:
		return true
	case <-h.closed:
	case <-ctx.Done():
	}
	return false
}

// Accept waits for a connection that was given.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.ready:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends accepting.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is one of those that are listened on.
func (h *handover) Addr() net.Addr { return h.addr }

// laneContext is the context of a connection's requests in its lane, with what
// net/http gives to its own.
func laneContext(ctx context.Context, c *conn) context.Context {
	return context.WithValue(context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr()), connKey{}, c)
}
