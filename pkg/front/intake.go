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

// tlsConfig returns the configuration with the ALPN protocols that net/http needs for
// HTTP/2.
func tlsConfig(given *tls.Config) *tls.Config {
	cfg := given.Clone()
	for _, proto := range []string{"h2", "http/1.1"} {
		if !slices.Contains(cfg.NextProtos, proto) {
			cfg.NextProtos = append(cfg.NextProtos, proto)
		}
	}
	return cfg
}

// accept accepts connections until the listener is closed, and starts a lane for each. If
// the process is out of file descriptors, it waits and tries again.
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
			s.log.Warn("cannot accept a connection", "error", err)
			after(ctx, pause)
			continue
		}
		pause = 0
		tcp, ok := c.(*net.TCPConn)
		if !ok { // listeners are TCP only
			c.Close()
			continue
		}
		own := &conn{TCPConn: tcp, server: s}
		own.ctx, own.cancel = context.WithCancel(sock.WithOnDisconnect(laneContext(ctx, own), &own.onDisconnect))
		s.open.Add(1)
		s.add(s.lanes, own)
		lanes.Go(func() { s.receive(ctx, own) })
	}
}

// exhausted reports whether accepting failed for a temporary reason: no file descriptors,
// no memory, or a client that disconnected early.
func exhausted(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// receive runs the lane of a connection, and hands the connection over to net/http if the
// lane returns it.
func (s *Server) receive(ctx context.Context, c *conn) {
	defer s.remove(s.lanes, c)
	// Otherwise another user could exhaust the file descriptors with connections that send
	// nothing.
	if s.open.Load() > eagerPeerCheckConns && c.admitted() != nil && !c.guest() {
		c.Close()
		return
	}
	var next net.Conn
	if l, err := newLane(s, c); err == nil {
		next = l.run()
	}
	if next == nil || !s.handover.offer(ctx, next) {
		c.Close()
	}
}

// handover is the net.Listener of net/http's server, for connections that come from a lane.
type handover struct {
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func newHandover() *handover {
	return &handover{ready: make(chan net.Conn), closed: make(chan struct{})}
}

// offer passes a connection to Accept. It returns false if the listener is closed or ctx is
// done.
func (h *handover) offer(ctx context.Context, c net.Conn) bool {
	select {
	case h.ready <- c:
		return true
	case <-h.closed:
	case <-ctx.Done():
	}
	return false
}

// Accept returns the next connection.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.ready:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept return net.ErrClosed.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr returns the address of one of the real listeners.
func (h *handover) Addr() net.Addr { return h.addr }

// laneContext returns the context of the requests in a lane, with the values that net/http
// sets.
func laneContext(ctx context.Context, c *conn) context.Context {
	return context.WithValue(context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr()), connKey{}, c)
}
