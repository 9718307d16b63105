package front

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"time"
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

// wrap prepares a listener for net/http. Without TLS connections pass as they
// come. With TLS each one's first byte is looked at, not taken: a TLS record of
// type handshake (22, RFC 8446 section 5.1) begins no HTTP request.
func (s *Server) wrap(ctx context.Context, l net.Listener, running *sync.WaitGroup) net.Listener {
	own := &listener{Listener: l, server: s}
	if s.tls == nil {
		return own
	}
	sl := &sniffer{listener: own, tls: s.tls, ready: make(chan net.Conn), failed: make(chan error, 1), waiting: map[*conn]struct{}{}, closed: make(chan struct{})}
	running.Go(func() { sl.accept(ctx, running) })
	return sl
}

// sniffer is a listener that knows the first byte of each connection.
type sniffer struct {
	*listener
	tls    *tls.Config
	ready  chan net.Conn
	failed chan error
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	waiting map[*conn]struct{} // connections that have not sent anything yet
}

// accept takes connections until the listener is closed.
func (l *sniffer) accept(ctx context.Context, running *sync.WaitGroup) {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			l.failed <- err
			return
		}
		own, ok := c.(*conn)
		if !ok {
			c.Close()
			continue
		}
		l.mu.Lock()
		l.waiting[own] = struct{}{}
		l.mu.Unlock()
		running.Go(func() { l.sniff(ctx, own) })
	}
}

// sniff waits for the connection's first byte and passes it on.
func (l *sniffer) sniff(ctx context.Context, c *conn) {
	c.SetReadDeadline(time.Now().Add(idleTimeout))
	first, err := peek(c.TCPConn)
	l.mu.Lock()
	delete(l.waiting, c)
	l.mu.Unlock()
	if err != nil {
		c.Close()
		return
	}
	c.SetReadDeadline(time.Time{})
	var out net.Conn = c
	if first == 22 {
		out = tls.Server(c, l.tls)
	}
	select {
	case l.ready <- out:
	case <-l.closed:
		c.Close()
	case <-ctx.Done():
		c.Close()
	}
}

// Accept waits for a connection whose first byte is known.
func (l *sniffer) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		l.Close()
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends accepting, and the connections that have not spoken yet.
func (l *sniffer) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.mu.Lock()
		for c := range l.waiting {
			c.TCPConn.SetReadDeadline(time.Now())
		}
		l.mu.Unlock()
	})
	return l.listener.Close()
}
