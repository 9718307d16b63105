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

// pool keeps connections to one app that nothing runs on. It is safe for
// concurrent use.
type pool struct {
	mu     sync.Mutex
	idle   []*Conn     // the longest unused first
	timer  clock.Timer // sweeps while there are any
	closed bool

	clock       clock.Clock // nil is the system's
	maxIdle     int
	idleTimeout time.Duration

	keeps atomic.Bool // the app was seen to go on with a connection after an answer
}

const (
	sweepEvery       = 5 * time.Second
	maxKeptBuf       = 64 << 10
	maxUncheckedIdle = time.Second // of a connection that cannot be looked at
	minKeepAlive     = time.Second // an app that closes a connection sooner does not keep any
	closeRaceWindow  = 10 * time.Millisecond
)

// get takes the connection to the target that was used last, or nil. It is looked
// at first: a request that cannot be sent twice must not meet one that the app
// has closed, and what an app sent after an answer's end, such as a body after
// HEAD, must not be taken for the answer to the next request. For a request that
// cannot be sent twice, an app that was not seen to keep connections gets a
// moment first: some close silently just after their response.
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

// served notes that a kept connection was good for another answer.
func (p *pool) served() {
	if !p.keeps.Load() {
		p.keeps.Store(true)
	}
}

// died notes that one was not.
func (p *pool) died(u *Conn) {
	if clock.Now(p.clock).Sub(u.since) < minKeepAlive {
		p.keeps.Store(false)
	}
}

// put keeps a connection.
func (p *pool) put(u *Conn) {
	now := clock.Now(p.clock)
	keep := p.idleTimeout
	if u.idle > 0 {
		keep = min(keep, u.idle-time.Second)
	}
	if len(u.buf) > maxKeptBuf {
		u.buf = make([]byte, readSize)
	}
	u.r, u.w = 0, 0
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

// sweep ends what has been kept for too long.
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

// clear ends all kept connections and, for good, those put back later.
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

// looksAlive reports whether a kept connection is open and silent. One that the
// system cannot be asked about is so only for a moment.
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

// staysOpen waits until the app has had the time to close a connection after its
// last answer, and reports whether it has not.
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

// drained reports whether TLS has nothing read ahead. A Read past its deadline
// gives only what is there already.
func drained(c *tls.Conn) bool {
	c.SetReadDeadline(time.Unix(1, 0))
	defer c.SetReadDeadline(time.Time{})
	var b [1]byte
	n, err := c.Read(b[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
