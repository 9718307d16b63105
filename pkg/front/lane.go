package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/clock"
	"github.com/hostless/hostless/pkg/sock"
)

// The sizes and times of a lane.
const (
	laneBuf   = 4 << 10
	laneMax   = 16 << 10 // of a head; a longer one is net/http's
	watchFrom = 20 * time.Millisecond
)

// What a lane is doing, for drain.
const (
	laneFresh   int32 = iota // nothing has come yet
	laneWaiting              // for the next request
	laneReading              // it has come, and may be for net/http
	laneServing              // it is answered
	lanePassing              // to net/http
)

// lane serves a connection's plain requests (see plainHead), one after
// the other in its own goroutine. Parsing is net/http's; what its server does
// besides costs more than such a request itself: a goroutine that watches the
// client, deadlines and buffers for each. The first request of another kind, and
// with it the connection, goes over to net/http as it came.
type lane struct {
	server *Server
	conn   *conn
	remote string

	in       []byte
	r, w     int // in[r:w] was read and not used
	src      bytes.Reader
	br       *bufio.Reader
	deadline time.Time // the connection's, for reading
	out      laneWriter
	body     laneBody
	watch    watch
}

func newLane(s *Server, c *conn) (*lane, error) {
	quick, err := sock.New(c.TCPConn)
	if err != nil {
		return nil, err
	}
	l := &lane{server: s, conn: c}
	l.out.tcp, l.out.conn, l.out.ending = c.TCPConn, quick, &s.draining
	l.watch.left = c.cancel
	l.watch.conn = c
	l.body.lane = l
	return l, nil
}

// run serves until the connection ends, or gives back what net/http is to serve.
func (l *lane) run() net.Conn {
	defer l.conn.cancel()
	defer context.AfterFunc(l.conn.ctx, l.conn.onDisconnect.Fire)()
	defer l.watch.end()
	for first := true; ; first = false {
		head, ok := l.await(first)
		if !ok {
			return nil
		}
		if first && l.in[l.r] == 22 && l.server.tls != nil {
			// A TLS record of type handshake (RFC 8446 section 5.1) begins no HTTP request.
			return tls.Server(l.pass(), l.server.tls)
		}
		if head == nil || !plainHead(head) {
			return l.pass()
		}
		r, err := l.parse(head)
		if err != nil {
			return l.pass()
		}
		l.r += len(head)
		if !l.serve(r) {
			l.leave()
			return nil
		}
	}
}

// await waits for a request's head; it is nil where it is too long or comes in
// pieces.
func (l *lane) await(first bool) (head []byte, ok bool) {
	for {
		if l.r < l.w {
			l.conn.lane.Store(laneReading)
			if end := bytes.Index(l.in[l.r:l.w], []byte("\r\n\r\n")); end >= 0 {
				return l.in[l.r : l.r+end+4], true
			}
			if l.r > 0 {
				l.w = copy(l.in, l.in[l.r:l.w])
				l.r = 0
			}
			if l.w < len(l.in) || l.w >= laneMax {
				return nil, true
			}
			l.in = append(l.in, make([]byte, len(l.in))...)
		} else {
			l.r, l.w = 0, 0
			if first {
				l.conn.lane.Store(laneFresh)
			} else {
				l.conn.lane.Store(laneWaiting)
			}
			if l.in == nil {
				l.in = make([]byte, laneBuf)
			}
		}
		if !l.fill() {
			return nil, false
		}
	}
}

// fill reads what comes next, until the connection has been idle for too long.
// While the server drains, what has arrived is still read, and what has started to
// arrive is waited for, but not for long.
func (l *lane) fill() bool {
	idle := l.server.cfg.Idle
	if now := time.Now(); l.deadline.Sub(now) < idle*3/4 { // rarely set: it costs as much as a read
		l.deadline = now.Add(idle)
		l.conn.SetReadDeadline(l.deadline)
	}
	for {
		if l.server.retiring.Load() {
			arriving := l.w > 0 || l.conn.lane.Load() == laneFresh
			switch left := l.server.partialReadDeadline().Sub(l.server.now()); {
			case sock.Unread(l.conn.TCPConn):
				l.conn.SetReadDeadline(time.Time{})
			case arriving && left > 0:
				l.conn.SetReadDeadline(time.Now().Add(left))
			default:
				return false
			}
		}
		n, err := l.out.conn.Read(l.in[l.w:])
		if l.w += n; n > 0 {
			return true
		}
		if err == nil {
			continue
		}
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !l.server.retiring.Load() {
			return false
		}
	}
}

// pass gives the connection with what was read of it. From here on it counts
// among net/http's, so that the server's end overlooks it at no time.
func (l *lane) pass() net.Conn {
	l.conn.ahead = l.in[l.r:l.w]
	l.conn.setState(lanePassing)
	l.conn.read.Store(true)
	l.conn.handled.Store(false)
	l.server.handOver(l.conn)
	l.conn.SetReadDeadline(time.Time{})
	return l.conn
}

// parse has net/http read a head.
func (l *lane) parse(head []byte) (*http.Request, error) {
	l.src.Reset(head)
	if l.br == nil {
		l.br = bufio.NewReaderSize(&l.src, 1<<10)
		l.remote = l.conn.RemoteAddr().String()
	} else {
		l.br.Reset(&l.src)
	}
	r, err := http.ReadRequest(l.br)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = l.remote
	if l.body.left = r.ContentLength; r.ContentLength > 0 {
		r.Body = &l.body
	}
	return r.WithContext(l.conn.ctx), nil
}

// serve answers a request and reports whether the connection lives on.
func (l *lane) serve(r *http.Request) (keep bool) {
	l.conn.setState(laneServing)
	l.out.begin(r.Method == http.MethodHead)
	if r.ContentLength > int64(l.w-l.r) || l.server.retiring.Load() {
		l.out.SetReadDeadline(time.Time{}) // that of waiting for a request
	}
	if r.ContentLength == 0 {
		l.watch.begin()
	}
	defer func() {
		if l.watch.stop() || l.out.timed {
			l.deadline = time.Time{} // it was changed
		}
		if caught := recover(); caught != nil { // finish has logged it
			l.out.abort()
			keep = false
		}
	}()
	l.server.ServeHTTP(&l.out, r)
	return l.out.finish() == nil && !l.out.last && l.conn.ctx.Err() == nil && l.body.left == 0
}

// leave prepares a connection for its end. What is sent after the last answer is
// read first: the reset that it would cause could take the answer with it.
func (l *lane) leave() {
	if l.out.failed == nil && (l.r < l.w || l.body.left > 0 || sock.Unread(l.conn.TCPConn)) {
		l.conn.lingers.Store(true)
	}
}

// watch finds out that a client has left while its answer is being made. Most
// answers are done before it begins to look.
type watch struct {
	conn  *conn
	left  func()
	timer clock.Timer

	mu     sync.Mutex
	active bool          // a request is being answered
	quit   chan struct{} // of the looking that runs; nil when none does
	done   chan struct{}
}

func (w *watch) begin() {
	w.mu.Lock()
	w.active = true
	w.mu.Unlock()
	if w.timer == nil {
		w.timer = clock.AfterFunc(w.conn.server.cfg.Clock, watchFrom, w.look)
	} else {
		w.timer.Reset(watchFrom)
	}
}

// look runs in the timer's goroutine.
func (w *watch) look() {
	w.mu.Lock()
	if !w.active || w.quit != nil {
		w.mu.Unlock()
		return
	}
	quit, done := make(chan struct{}), make(chan struct{})
	w.quit, w.done = quit, done
	w.conn.SetReadDeadline(time.Time{}) // before stop's; an answer may take its time
	w.mu.Unlock()
	defer close(done)
	if w.conn.awaitPeerLeft(quit) {
		w.left()
	}
}

// stop ends the looking. It reports whether there was any, which has changed the
// connection's deadline for reading.
func (w *watch) stop() (looked bool) {
	w.end()
	w.mu.Lock()
	quit, done := w.quit, w.done
	w.active, w.quit, w.done = false, nil, nil
	w.mu.Unlock()
	if quit == nil {
		return false
	}
	close(quit)
	w.conn.SetReadDeadline(time.Unix(1, 0))
	<-done
	return true
}

func (w *watch) end() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
