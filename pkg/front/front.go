// Package front owns the gate before everything on TCP: it decides by the Host
// alone which plane a request reaches, turns away what is malformed, foreign or
// another user's, and ends connections in an order that loses no request.
//
// Loopback names go to the gateway, names below .localhost to the apps, all
// else nowhere. Plain requests are served in lanes of its own, for speed,
// everything else by net/http's server. What the planes do with a request is left to them; where
// listeners come from to package listen.
package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/appname"
	"github.com/hostless/hostless/pkg/clock"
	"github.com/hostless/hostless/pkg/fault"
)

// The limits of a connection. None of them cuts a stream: bodies have no
// deadline in either direction.
const (
	headerTimeout       = 15 * time.Second // to read a request's header
	maxHeaderBytes      = 64 << 10
	connWindow          = 16 << 20    // of HTTP/2, for what was received and not yet read; a stream's is 1 MiB
	partialReadGrace    = time.Second // while draining, for a connection's first request
	eagerPeerCheckConns = 512         // open connections, from which on a peer is asked for at once
)

// Config is what a Server needs.
type Config struct {
	Gateway http.Handler // required; serves loopback names
	Apps    http.Handler // required; serves names below .localhost
	Page    http.Handler // serves hostless.localhost; Apps where nil
	// Foreign answers requests for hosts that are not ours, with 421 and without
	// anything that is not public. Nil responds with a plain error.
	Foreign http.Handler

	// Peer reports whose process is at the other end, or UnknownUID, and whether it
	// may speak to us. It is asked once for each connection, at its first
	// request or, where very many are open, at its beginning, and again when the
	// client has ended its side while a request is answered. An error refuses the
	// connection; its text goes to the log, where it warns once. Nil admits all
	// and knows nobody.
	Peer func(net.Conn) (uid int, err error)
	// Domains are names below which apps are served besides localhost; nil is none.
	Domains func() appname.Domains
	// Guest reports whether a user whom Peer refuses may reach apps, though never the
	// gateway. It is asked at each request; nil admits none.
	Guest func(uid int) bool
	// TLS, when not nil, has both http:// and https:// served on each listener.
	// It is not changed; its callbacks may choose certificates as they like.
	TLS *tls.Config
	// RedirectHTTPS says whether a plain request to an app or the page is redirected to
	// https://. Upgrades and CORS preflights, whose clients follow no redirect, are
	// not, nor is the gateway, whose clients have an http base URL. It is asked only with
	// TLS; nil is never.
	RedirectHTTPS func() bool

	Logger *slog.Logger // discards when nil

	// Clock times the drain, and when a client is looked after that may have left;
	// nil is the system's. Deadlines of connections are the kernel's in any case.
	Clock clock.Clock

	// Idle is how long a connection may wait for its next request: 2 min when
	// zero.
	Idle time.Duration
	// CloseDelay is how long requests are still taken on open connections after the
	// listeners have closed: 150 ms when zero. Each is answered with
	// Connection: close, so that a client's next one goes to the next daemon.
	CloseDelay time.Duration
	// Drain is how long requests in flight may take to end after that: 10 s
	// when zero.
	Drain time.Duration
	// UpgradeGrace is how long upgraded connections may take to end once their
	// requests' contexts have: 500 ms when zero.
	UpgradeGrace time.Duration
}

// Server serves the two planes. It is safe for concurrent use; Run is called
// once.
type Server struct {
	cfg      Config
	log      *slog.Logger
	http     *http.Server
	tls      *tls.Config  // nil serves plain HTTP alone
	inFlight atomic.Int64 // requests
	served   atomic.Uint64
	open     atomic.Int64 // connections
	draining atomic.Bool  // nothing is accepted any more
	linger   atomic.Int64 // nanoseconds: another process serves, see HandOver

	lingerCut chan struct{} // closed when that is to end
	lingerEnd sync.Once
	retiring  atomic.Bool // connections without a request end
	retired   time.Time   // since when; set before retiring
	handover  *handover
	refusals  sync.Map // texts that were warned of

	mu       sync.Mutex
	lanes    map[*conn]struct{} // not, or not yet, net/http's
	fresh    map[*conn]struct{} // net/http's: no request's header has been read yet
	active   map[*conn]struct{} // net/http's: a request's header has been read
	idle     map[*conn]struct{} // net/http's: between requests
	upgraded map[*conn]struct{}
	endless  map[*conn]struct{} // an app's events go over them
}

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Gateway == nil || cfg.Apps == nil {
		return nil, errors.New("front: a plane is missing")
	}
	if cfg.Page == nil {
		cfg.Page = cfg.Apps
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	defaultTo(&cfg.Idle, 2*time.Minute)
	defaultTo(&cfg.CloseDelay, 150*time.Millisecond)
	defaultTo(&cfg.Drain, 10*time.Second)
	defaultTo(&cfg.UpgradeGrace, 500*time.Millisecond)
	s := &Server{cfg: cfg, lingerCut: make(chan struct{}), log: cfg.Logger, handover: newHandover(), lanes: map[*conn]struct{}{}, fresh: map[*conn]struct{}{}, active: map[*conn]struct{}{}, idle: map[*conn]struct{}{}, upgraded: map[*conn]struct{}{}, endless: map[*conn]struct{}{}}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       cfg.Idle,
		MaxHeaderBytes:    maxHeaderBytes,
		// A connection's window is more than a stream's: an upload that an app does not
		// read must not stop the others of that browser.
		HTTP2:                        &http.HTTP2Config{MaxReceiveBufferPerConnection: connWindow},
		DisableGeneralOptionsHandler: true, // `OPTIONS *` must pass the gate too
		ErrorLog:                     log.New(serverLog{cfg.Logger}, "", 0),
		ConnState:                    s.connState,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if own := ownConn(c); own != nil {
				return context.WithValue(ctx, connKey{}, own)
			}
			return ctx
		},
	}
	if cfg.TLS != nil {
		s.tls = tlsConfig(cfg.TLS)
		s.http.TLSConfig = s.tls.Clone() // net/http changes its own
	}
	return s, nil
}

func defaultTo(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// InFlight is how many requests are being answered, upgraded ones included.
func (s *Server) InFlight() int { return int(s.inFlight.Load()) }

// Served counts the requests that have started since the server was made.
func (s *Server) Served() uint64 { return s.served.Load() }

// Run serves on the listeners until ctx ends, then ends in this order: the
// listeners are closed; requests that were already sent are answered for
// CloseDelay; those in flight get Drain; the contexts of all others and of upgraded
// connections are cancelled, and after UpgradeGrace what is left is closed. It
// returns when nothing that it started runs any more; nil after ctx ended.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	s.http.BaseContext = func(net.Listener) context.Context { return base }

	failed := make(chan error, len(listeners))
	var accepting, lanes, serving sync.WaitGroup
	for _, l := range listeners {
		s.handover.addr = l.Addr()
		accepting.Go(func() { failed <- s.accept(base, l, &lanes) })
	}
	serving.Go(func() { s.http.Serve(s.handover) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.draining.Store(true)
	for _, l := range listeners {
		l.Close()
	}
	accepting.Wait()
	s.drain(base, cancel)
	serving.Wait()
	lanes.Wait()
	return err
}

// drain ends the server. Shutdown alone would drop requests that have arrived
// but were not read yet, and leaves upgraded connections open.
func (s *Server) drain(base context.Context, cancel context.CancelCauseFunc) {
	if s.open.Load() > 0 {
		passed, timer := clock.NewTimer(s.cfg.Clock, s.cfg.CloseDelay)
		select {
		case <-passed:
		case <-base.Done():
		}
		timer.Stop()
	}
	// Shutdown itself would wait five seconds for connections that never spoke.
	unspoken := clock.AfterFunc(s.cfg.Clock, partialReadGrace, func() { s.closeAll(s.fresh) })
	defer unspoken.Stop()
	// Event streams of apps would have it wait for nothing: browsers open them anew.
	streams := clock.AfterFunc(s.cfg.Clock, partialReadGrace, func() {
		if s.linger.Load() == 0 {
			s.closeAll(s.endless)
		}
	})
	defer streams.Stop()
	s.retired = s.now()
	s.retiring.Store(true)
	s.wakeLanes()
	s.retire(base)
	s.await(base, func(lane int32) bool { return lane == laneServing })
	s.retire(base) // what lanes have handed over meanwhile
	deadline, done := s.drainContext(base)
	defer done()
	err := s.http.Shutdown(deadline)
	s.await(deadline, func(int32) bool { return false })
	s.awaitUpgraded(deadline)
	if err != nil || deadline.Err() != nil {
		s.log.Info("requests in flight are cut", "requests", s.InFlight())
	}
	cancel(errStopping)
	s.endUpgraded()
	s.closeAll(s.lanes)
	s.http.Close()
}

// errStopping is the cause of contexts that end because the daemon does: what a
// handler may tell its caller, who is still there.
var errStopping = &fault.Error{Kind: fault.Stopping, RetryAfter: time.Second, Message: "the daemon is stopping: send the request again"}

func (s *Server) now() time.Time { return clock.Now(s.cfg.Clock) }

// partialReadDeadline is when a draining server stops waiting for what has not come whole.
func (s *Server) partialReadDeadline() time.Time { return s.retired.Add(partialReadGrace) }

// wakeLanes has lanes that wait for a request look whether one has arrived.
func (s *Server) wakeLanes() {
	for _, c := range s.members(s.lanes) {
		c.wake()
	}
}

// await waits until all lanes have ended, but for those that are where they may
// be left, or until ctx ends.
func (s *Server) await(ctx context.Context, mayStay func(lane int32) bool) {
	for ctx.Err() == nil {
		left := slices.DeleteFunc(s.members(s.lanes), func(c *conn) bool { return mayStay(c.lane.Load()) })
		if len(left) == 0 {
			return
		}
		after(ctx, s.drainLook())
	}
}

// after waits for a while, or for the context's end.
func after(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// endUpgraded lets handlers whose contexts have ended finish by themselves, then
// closes the upgraded connections that are left.
func (s *Server) endUpgraded() {
	ended, end := clock.NewTimer(s.cfg.Clock, s.cfg.UpgradeGrace)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.InFlight() > 0 {
		select {
		case <-tick.C:
			continue
		case <-ended:
		}
		break
	}
	s.closeAll(s.upgraded)
}

// retire ends the connections that wait for a next request, except where one has
// arrived: that is let be answered. Shutdown would close all of them, and on a
// busy machine many may have arrived and not been read. Nor does net/http answer
// a request that it has read but not yet handled when Shutdown is called.
func (s *Server) retire(ctx context.Context) {
	for s.retireIdle() && ctx.Err() == nil && s.now().Before(s.partialReadDeadline()) {
		after(ctx, time.Millisecond)
	}
}

// retireIdle closes the connections that wait without a request, and reports
// whether requests have arrived that no handler has yet.
func (s *Server) retireIdle() (arrived bool) {
	for _, c := range s.members(s.idle) {
		switch {
		case c.pending():
			arrived = true
		case !c.tls: // Shutdown sends TLS's close_notify
			c.Close()
		}
	}
	return arrived || slices.ContainsFunc(s.members(s.fresh), (*conn).pending) ||
		slices.ContainsFunc(s.members(s.active), func(c *conn) bool { return !c.handled.Load() })
}

// note puts a connection into one of the server's sets.
func (s *Server) note(set map[*conn]struct{}, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set[c] = struct{}{}
}

// forget takes a connection out of one of the server's sets.
func (s *Server) forget(set map[*conn]struct{}, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(set, c)
}

// handOver moves a connection from the lanes to those of net/http.
func (s *Server) handOver(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lanes, c)
	s.fresh[c] = struct{}{}
}

// members copies one of the server's sets.
func (s *Server) members(set map[*conn]struct{}) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(set))
}

// closeAll closes the connections of one of the server's sets.
func (s *Server) closeAll(set map[*conn]struct{}) {
	for _, c := range s.members(set) {
		c.cancel()
		c.Close()
	}
}

// serverLog takes what net/http logs by itself. Bad requests and broken
// handshakes are the client's doing and of interest to few; a listener that
// cannot accept is not.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(line, []byte("Accept error")) {
		level = slog.LevelWarn
	}
	l.log.Log(context.Background(), level, "http server", "detail", string(bytes.TrimSpace(line)))
	return len(line), nil
}
