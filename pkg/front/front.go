// Package front is the entry point of all TCP connections. It decides by the Host alone
// which plane a request reaches, refuses malformed and foreign requests and those of other
// users, and shuts connections down in an order that loses no request.
//
// Loopback names go to the gateway, names below .localhost to the apps, all others are
// refused. Plain requests are served in lanes, which are faster than net/http's server; all
// others by net/http. The planes handle the requests. Package listen opens the listeners.
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

// The limits of a connection. They do not affect streams: bodies have no deadline in either
// direction.
const (
	headerTimeout       = 15 * time.Second // to read the header of a request
	maxHeaderBytes      = 64 << 10
	connWindow          = 16 << 20    // HTTP/2 receive window of a connection; that of a stream is 1 MiB
	partialReadGrace    = time.Second // for a partial request, while draining
	eagerPeerCheckConns = 512         // with more open connections, peers are checked before their first request
)

// Config is the configuration for New.
type Config struct {
	Gateway http.Handler // required; serves loopback names
	Apps    http.Handler // required; serves names below .localhost
	Page    http.Handler // serves hostless.localhost; nil uses Apps
	// Foreign responds to requests for other hosts. It must use status 421 and reveal only
	// public information. Nil responds with a plain error.
	Foreign http.Handler

	// Peer returns the uid of the process at the other end of a connection, or UnknownUID,
	// and an error if it must be refused; the text of the error is logged, as a warning
	// once. It is called once for each connection: at the first request, or right away if
	// very many are open. It is called again if the client has closed its side during a
	// request. Nil admits all peers, with UnknownUID.
	Peer func(net.Conn) (uid int, err error)
	// Domains are the names besides localhost below which apps are served; nil means none.
	Domains func() appname.Domains
	// Guest reports whether a user that Peer refuses may reach apps (never the gateway). It
	// is called for each request; nil refuses all.
	Guest func(uid int) bool
	// TLS, if not nil, enables both http:// and https:// on each listener. It is not
	// modified; its callbacks may choose certificates.
	TLS *tls.Config
	// RedirectHTTPS reports whether plain requests to an app or the page are redirected to
	// https://. Upgrades and CORS preflights are not, since their clients do not follow
	// redirects; nor is the gateway, whose clients have an http base URL. It is called only
	// if TLS is set; nil means never.
	RedirectHTTPS func() bool

	Logger *slog.Logger // nil discards logs

	// Clock is used for draining and for checking whether a client has disconnected; nil
	// uses the system's. Deadlines of connections always use the system's.
	Clock clock.Clock

	// Idle is how long a connection may wait for its next request; 0 means 2 min.
	Idle time.Duration
	// CloseDelay is how long open connections still accept requests after the listeners
	// have been closed; 0 means 150 ms. The responses have Connection: close, so that the
	// client's next request goes to the next daemon.
	CloseDelay time.Duration
	// Drain is how long requests in flight may take after that; 0 means 10 s.
	Drain time.Duration
	// UpgradeGrace is how long upgraded connections may take to end after the contexts of
	// their requests have been cancelled; 0 means 500 ms.
	UpgradeGrace time.Duration
}

// Server serves the two planes. It is safe for concurrent use; Run must be called once.
type Server struct {
	cfg      Config
	log      *slog.Logger
	http     *http.Server
	tls      *tls.Config  // nil for plain HTTP only
	inFlight atomic.Int64 // requests in flight
	served   atomic.Uint64
	open     atomic.Int64 // open connections
	draining atomic.Bool  // no more connections are accepted
	linger   atomic.Int64 // nanoseconds; set by HandOver

	lingerCut chan struct{} // closed by EndLinger
	lingerEnd sync.Once
	retiring  atomic.Bool // connections without a request are being closed
	retired   time.Time   // since when; set before retiring
	handover  *handover
	refusals  sync.Map // texts that have been logged as warnings

	mu       sync.Mutex
	lanes    map[*conn]struct{} // in a lane
	fresh    map[*conn]struct{} // in net/http, before the header of the first request has been read
	active   map[*conn]struct{} // in net/http, after the header of a request has been read
	idle     map[*conn]struct{} // in net/http, between requests
	upgraded map[*conn]struct{}
	endless  map[*conn]struct{} // with an event stream of an app
}

// New returns a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Gateway == nil || cfg.Apps == nil {
		return nil, errors.New("front: Gateway and Apps are required")
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
		// The window of a connection is larger than that of a stream, so that an upload
		// which an app does not read does not stop the other streams of the browser.
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
		s.http.TLSConfig = s.tls.Clone() // net/http modifies its own
	}
	return s, nil
}

func defaultTo(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// InFlight returns the number of requests in flight, including upgraded ones.
func (s *Server) InFlight() int { return int(s.inFlight.Load()) }

// Served returns the number of requests that have started since the server was created.
func (s *Server) Served() uint64 { return s.served.Load() }

// Run serves on the listeners until ctx is cancelled, and then shuts down. It closes the
// listeners; for CloseDelay it accepts further requests on open connections; requests in
// flight may take Drain to end; then the contexts of all others and of upgraded connections
// are cancelled, and after UpgradeGrace the rest is closed. Run returns after all
// goroutines that it started have ended. Its error is nil after ctx was cancelled.
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

// drain shuts the server down. http.Server.Shutdown alone would drop requests that have
// arrived but were not read yet, and it ignores upgraded connections.
func (s *Server) drain(base context.Context, cancel context.CancelCauseFunc) {
	if s.open.Load() > 0 {
		passed, timer := clock.NewTimer(s.cfg.Clock, s.cfg.CloseDelay)
		select {
		case <-passed:
		case <-base.Done():
		}
		timer.Stop()
	}
	// Shutdown would wait five seconds for connections that have not sent anything.
	unspoken := clock.AfterFunc(s.cfg.Clock, partialReadGrace, func() { s.closeAll(s.fresh) })
	defer unspoken.Stop()
	// Do not wait for event streams of apps: they do not end, and browsers reconnect.
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
	s.retire(base) // connections that lanes have handed over meanwhile
	deadline, done := s.drainContext(base)
	defer done()
	err := s.http.Shutdown(deadline)
	s.await(deadline, func(int32) bool { return false })
	s.awaitUpgraded(deadline)
	if err != nil || deadline.Err() != nil {
		s.log.Info("cancelling requests in flight", "requests", s.InFlight())
	}
	cancel(errStopping)
	s.endUpgraded()
	s.closeAll(s.lanes)
	s.http.Close()
}

// errStopping is the cause of contexts that are cancelled because of the shutdown. A
// handler may send it to the client.
var errStopping = &fault.Error{Kind: fault.Stopping, RetryAfter: time.Second, Message: "the daemon is stopping: send the request again"}

func (s *Server) now() time.Time { return clock.Now(s.cfg.Clock) }

// partialReadDeadline is when a draining server stops waiting for partial requests.
func (s *Server) partialReadDeadline() time.Time { return s.retired.Add(partialReadGrace) }

// wakeLanes interrupts the lanes that wait for a request.
func (s *Server) wakeLanes() {
	for _, c := range s.members(s.lanes) {
		c.wake()
	}
}

// await waits until all lanes have ended, except those in a state that mayStay accepts, or
// until ctx is done.
func (s *Server) await(ctx context.Context, mayStay func(lane int32) bool) {
	for ctx.Err() == nil {
		left := slices.DeleteFunc(s.members(s.lanes), func(c *conn) bool { return mayStay(c.lane.Load()) })
		if len(left) == 0 {
			return
		}
		after(ctx, s.drainPollInterval())
	}
}

// after waits for d, or until ctx is done.
func after(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// endUpgraded waits for UpgradeGrace until handlers whose contexts are cancelled have
// ended, and closes the remaining upgraded connections.
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

// retire closes idle connections, except those on which a request has arrived, which is
// still answered. Shutdown would close these too; on a busy machine there may be many. Nor
// does net/http answer a request that it has read but not yet handled when Shutdown is
// called.
func (s *Server) retire(ctx context.Context) {
	for s.retireIdle() && ctx.Err() == nil && s.now().Before(s.partialReadDeadline()) {
		after(ctx, time.Millisecond)
	}
}

// retireIdle closes the connections that wait without a request, and reports whether
// requests have arrived that no handler has received yet.
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

// add adds a connection to one of the server's sets.
func (s *Server) add(set map[*conn]struct{}, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set[c] = struct{}{}
}

// remove removes a connection from one of the server's sets.
func (s *Server) remove(set map[*conn]struct{}, c *conn) {
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

// members returns a copy of one of the server's sets.
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

// serverLog receives the log of net/http. Bad requests and failed handshakes are logged at
// debug level, since clients cause them; a listener that cannot accept is a warning.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(line, []byte("Accept error")) {
		level = slog.LevelWarn
	}
	l.log.Log(context.Background(), level, "http server", "detail", string(bytes.TrimSpace(line)))
	return len(line), nil
}
