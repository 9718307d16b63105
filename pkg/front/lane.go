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
	laneMax   = 16 << 10              // length of a head; a longer one goes to net/http
	watchFrom = 20 * time.Millisecond // when the watch for a disconnect starts
)

// The states of a lane, for drain.
const (
	laneFresh   int32 = iota // nothing has arrived yet
	laneWaiting              // waiting for the next request
	laneReading              // a request has arrived, and may be for net/http
	laneServing              // a request is being handled
	lanePassing              // handing over to net/http
)

// lane serves the plain requests of a connection (see plainHead), one after another in its
// own goroutine. net/http parses them. Its server is not used, because for such a request
// it costs more than the request itself: a goroutine that watches the client, deadlines and
// buffers for each request. At the first request of another kind, the connection is handed
// over to net/http with all bytes of that request.
type lane struct {
	server *Server
	conn   *conn
	remote string

	in       []byte
	r, w     int // in[r:w] has been read but not used
	src      bytes.Reader
	deadline time.Time // read deadline of the connection
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

// run serves until the connection ends, or returns the connection that net/http must serve.
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
			// A TLS handshake record (RFC 8446 section 5.1) cannot be the start of an HTTP
			// request.
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

// await waits for the head of a request. head is nil if it is too long or arrives in
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
			l.release()
			if first {
				l.conn.lane.Store(laneFresh)
			} else {
				l.conn.lane.Store(laneWaiting)
			}
		}
		if !l.fill() {
			return nil, false
		}
	}
}

// fill reads more data, until the connection has been idle for too long. While the server
// drains, it still reads what has arrived, and waits a short time for the rest of a
// request.
func (l *lane) fill() bool {
	idle := l.server.cfg.Idle
	if now := time.Now(); l.deadline.Sub(now) < idle*3/4 { // rarely set, because it costs as much as a read
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
		n, err := l.read()
		if n > 0 {
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

// read reads once, into a pooled buffer if nothing is buffered.
func (l *lane) read() (n int, err error) {
	if l.in == nil {
		l.in, n, err = l.out.conn.ReadBuffer()
	} else {
		n, err = l.out.conn.Read(l.in[l.w:])
	}
	l.w += n
	return n, err
}

// release returns the read buffer to its pool. All of it must have been used.
func (l *lane) release() {
	sock.PutBuffer(l.in)
	l.in, l.r, l.w = nil, 0, 0
}

// pass returns the connection with the unread bytes, for net/http. The connection is moved
// to net/http's sets at once, so that a shutdown never misses it.
func (l *lane) pass() net.Conn {
	l.conn.ahead = l.in[l.r:l.w]
	l.conn.setState(lanePassing)
	l.conn.read.Store(true)
	l.conn.handled.Store(false)
	l.server.handOver(l.conn)
	l.conn.SetReadDeadline(time.Time{})
	return l.conn
}

// readers pools the readers with which net/http parses a head. A reader gets only the head,
// and nothing keeps it: laneBody reads the body.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1<<10) }}

// parse parses a head with net/http.
func (l *lane) parse(head []byte) (*http.Request, error) {
	l.src.Reset(head)
	br := readers.Get().(*bufio.Reader)
	br.Reset(&l.src)
	r, err := http.ReadRequest(br)
	br.Reset(nil)
	readers.Put(br)
	l.src.Reset(nil)
	if err != nil {
		return nil, err
	}
	if l.remote == "" {
		l.remote = l.conn.RemoteAddr().String()
	}
	r.RemoteAddr = l.remote
	if l.body.left = r.ContentLength; r.ContentLength > 0 {
		r.Body = &l.body
	}
	return r.WithContext(l.conn.ctx), nil
}

// serve handles a request, and reports whether the connection can be kept.
func (l *lane) serve(r *http.Request) (keep bool) {
	l.conn.setState(laneServing)
	l.out.begin(r.Method == http.MethodHead)
	if r.ContentLength > int64(l.w-l.r) || l.server.retiring.Load() {
		l.out.SetReadDeadline(time.Time{}) // was set for waiting for a request
	}
	if r.ContentLength == 0 {
		l.watch.begin()
		if l.r == l.w {
			l.release() // the response may be a long stream
		}
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

// leave prepares to close the connection. Data that the client sent after its last request
// must be read first, because they would cause a reset, which could discard the response.
func (l *lane) leave() {
	if l.out.failed == nil && (l.r < l.w || l.body.left > 0 || sock.Unread(l.conn.TCPConn)) {
		l.conn.lingers.Store(true)
	}
}

// watch detects that a client disconnects while its request is handled. Most handlers
// return before it starts.
type watch struct {
	conn  *conn
	left  func()
	timer clock.Timer

	mu     sync.Mutex
	active bool          // a request is being handled
	quit   chan struct{} // stops run; nil if it is not running
	done   chan struct{}
}

func (w *watch) begin() {
	w.mu.Lock()
	w.active = true
	w.mu.Unlock()
	if w.timer == nil {
		w.timer = clock.AfterFunc(w.conn.server.cfg.Clock, watchFrom, w.run)
	} else {
		w.timer.Reset(watchFrom)
	}
}

// run waits for a disconnect. It runs in the goroutine of the timer.
func (w *watch) run() {
	w.mu.Lock()
	if !w.active || w.quit != nil {
		w.mu.Unlock()
		return
	}
	quit, done := make(chan struct{}), make(chan struct{})
	w.quit, w.done = quit, done
	w.conn.SetReadDeadline(time.Time{}) // before the one of stop; a handler may take long
	w.mu.Unlock()
	defer close(done)
	if w.conn.awaitDisconnect(quit) {
		w.left()
	}
}

// stop ends the watch. It reports whether run was called, which changed the read deadline of
// the connection.
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
