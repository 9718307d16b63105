package share

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/mdns"
)

// maxConns is the largest number of open connections from the local network.
const maxConns = 512

// acceptAgain is the delay before Accept is retried after an error.
const acceptAgain = 100 * time.Millisecond

// gate is a listener that accepts only peers on local networks. If TLS is on, the first byte
// of a connection determines whether it is TLS or plain HTTP.
type gate struct {
	net.Listener
	tls    *tls.Config // nil is plain HTTP only
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	open map[*gateConn]bool
}

func newGate(l net.Listener, config *tls.Config) *gate {
	g := &gate{Listener: l, tls: config, ready: make(chan net.Conn), closed: make(chan struct{}), open: map[*gateConn]bool{}}
	go g.run()
	return g
}

func (g *gate) run() {
	defer g.Close()
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case <-g.closed:
				return
			case <-time.After(acceptAgain): // such as no free file descriptor
				continue
			}
		}
		if !near(c.RemoteAddr()) {
			c.Close()
			continue
		}
		if conn, ok := g.enter(c); ok {
			go g.admit(conn)
		} else {
			c.Close()
		}
	}
}

// enter counts a connection. ok is false if there are too many.
func (g *gate) enter(c net.Conn) (conn *gateConn, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) >= maxConns {
		return nil, false
	}
	conn = &gateConn{Conn: c, gate: g}
	g.open[conn] = true
	return conn, true
}

// end closes the listener and all connections, upgraded ones included.
func (g *gate) end() {
	g.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.open {
		c.Conn.Close()
	}
}

// near reports whether a peer is on a local network.
func near(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && mdns.Near(tcp.AddrPort().Addr())
}

// admit passes a connection to Accept when its first byte has arrived.
func (g *gate) admit(c *gateConn) {
	first := make([]byte, 1)
	_ = c.SetReadDeadline(time.Now().Add(headLimit))
	if _, err := c.Conn.Read(first); err != nil {
		c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	c.first = first
	conn := net.Conn(c)
	const handshake = 0x16 // RFC 8446, section 5.1
	if g.tls != nil && first[0] == handshake {
		conn = tls.Server(c, g.tls)
	}
	select {
	case g.ready <- conn:
	case <-g.closed:
		c.Close()
	}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.ready:
		return c, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It may be called twice.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// gateConn is a connection of a gate whose first byte has been read.
type gateConn struct {
	net.Conn
	first []byte
	gate  *gate
}

// Read implements net.Conn.
func (c *gateConn) Read(p []byte) (int, error) {
	if len(c.first) > 0 && len(p) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *gateConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.open, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
