package http1

import (
	"crypto/tls"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hostless/hostless/pkg/clock"
	"github.com/hostless/hostless/pkg/sock"
)

// pool holds the idle connections to one app. It is safe for concurrent use.
type pool struct {
	mu     sync.Mutex
	idle   []*Conn     // least recently used first
	timer  clock.Timer // runs sweep while there are idle connections
	closed bool

	clock       clock.Clock // nil means the system clock
	maxIdle     int
	idleTimeout time.Duration

	keeps atomic.Bool // the app was seen to reuse a connection
}

const (
	sweepEvery       = 5 * time.Second
	maxUncheckedIdle = time.Second // for a connection that cannot be checked
	minKeepAlive     = time.Second // an app that closes a connection sooner does not support keep-alive
	closeRaceWindow  = 10 * time.Millisecond
)

// get returns the most recently used connection to the target, or nil. With once, the
// request cannot be sent twice.
//
// The connection is checked first: it must be open, and unread data on it, such as a body
// sent after a response to HEAD, must not become the response to the next request. With
// once, and an app that was not seen to reuse connections, get also waits until
// closeRaceWindow has passed since the last response, because some apps close just after
// it.
func (p *pool) get(t Target, once bool) *Conn {
	for {
		p.mu.Lock()
		last := len(p.idle) - 1
		if last < 0 {
			p.mu.Unlock()
			return nil
		}
		u := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		p.mu.Unlock()
		if now := clock.Now(p.clock); u.target == t && now.Before(u.expires) {
			if u.looksAlive(now) && (!once || p.keeps.Load() || u.staysOpen(now)) {
				return u
			}
			p.died(u)
		}
		u.Close()
	}
}

// served records that a pooled connection was used successfully.
func (p *pool) served() {
	if !p.keeps.Load() {
		p.keeps.Store(true)
	}
}

// died records that a pooled connection was found closed.
func (p *pool) died(u *Conn) {
	if clock.Now(p.clock).Sub(u.since) < minKeepAlive {
		p.keeps.Store(false)
	}
}

// put adds a connection to the pool.
func (p *pool) put(u *Conn) {
	now := clock.Now(p.clock)
	keep := p.idleTimeout
	if u.idle > 0 {
		keep = min(keep, u.idle-time.Second)
	}
	u.release()
	u.since, u.expires = now, now.Add(keep)
	p.mu.Lock()
	if p.closed || keep <= 0 || len(p.idle) >= p.maxIdle {
		p.mu.Unlock()
		u.Close()
		return
	}
	p.idle = append(p.idle, u)
	if p.timer == nil {
		p.timer = clock.AfterFunc(p.clock, sweepEvery, p.sweep)
	}
	p.mu.Unlock()
}

// sweep closes the connections that have expired.
func (p *pool) sweep() {
	now := clock.Now(p.clock)
	var dead []*Conn
	p.mu.Lock()
	kept := p.idle[:0]
	for _, u := range p.idle {
		if now.Before(u.expires) {
			kept = append(kept, u)
		} else {
			dead = append(dead, u)
		}
	}
	clear(p.idle[len(kept):])
	p.idle, p.timer = kept, nil
	if len(kept) > 0 {
		p.timer = clock.AfterFunc(p.clock, sweepEvery, p.sweep)
	}
	p.mu.Unlock()
	for _, u := range dead {
		u.Close()
	}
}

// clear closes all idle connections. With forGood, those returned later are closed too.
func (p *pool) clear(forGood bool) {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, p.closed || forGood
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, u := range idle {
		u.Close()
	}
}

// looksAlive reports whether an idle connection is open and has no unread data. A
// connection that cannot be checked passes for maxUncheckedIdle.
func (u *Conn) looksAlive(now time.Time) bool {
	if u.quick != nil {
		return u.quick.Silent()
	}
	c := u.Conn
	if secured, ok := c.(*tls.Conn); ok {
		u.timed = time.Time{}
		if !drained(secured) {
			return false
		}
		c = secured.NetConn()
	}
	if sc, ok := c.(syscall.Conn); ok {
		return sock.Silent(sc)
	}
	return now.Sub(u.since) < maxUncheckedIdle
}

// staysOpen waits until closeRaceWindow has passed since the last response, and reports
// whether the connection is still open.
func (u *Conn) staysOpen(now time.Time) bool {
	left := u.since.Add(closeRaceWindow).Sub(now)
	if left <= 0 {
		return true
	}
	u.SetReadDeadline(time.Now().Add(left))
	defer u.SetReadDeadline(time.Time{})
	u.timed = time.Time{}
	var b [1]byte
	n, err := u.Conn.Read(b[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// drained reports whether the TLS connection has no buffered data. A Read after the
// deadline returns only what is buffered.
func drained(c *tls.Conn) bool {
	c.SetReadDeadline(time.Unix(1, 0))
	defer c.SetReadDeadline(time.Time{})
	var b [1]byte
	n, err := c.Read(b[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
