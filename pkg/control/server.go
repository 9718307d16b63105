package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/peer"
	"github.com/hostless/hostless/pkg/reqlog"
)

// Limits of the server. A lease's stream has no time limit.
const (
	maxBody        = 1 << 20
	maxHeader      = 64 << 10
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	shutdownGrace  = 5 * time.Second
	silentGrace    = time.Second // for a connection that has sent nothing
	writeTimeout   = 10 * time.Second
	pingEvery      = 30 * time.Second
	renewEvery     = time.Hour
	contentType    = "application/json"
	anyRequestTime = 2 * time.Minute // to read a request body and to write a response
)

// ServerConfig is the configuration of NewServer. The stores and Daemon are required.
type ServerConfig struct {
	Tokens   Tokens
	Keys     Keys
	Routes   Routes
	Settings Settings
	Daemon   Daemon
	// Approvals are the requests of web apps; if nil, the paths respond with 404.
	Approvals Approvals
	// Logins are the logins with providers; if nil, the paths respond with 404.
	Logins Logins
	Audit  Audit // nil records nothing
	// Version is the daemon's version, sent with every response unless it is "".
	Version string
	// Requests is the request log; if nil, the paths respond with 404.
	Requests *reqlog.Log
	// AppRequests is the log of the apps plane; if nil, GET /log?plane=apps has no rows.
	AppRequests *reqlog.Apps
	// Metrics is for GET /metrics; if nil, the path responds with 404.
	Metrics Metrics
	// Prices is the price list; if nil, the paths respond with 404.
	Prices Prices
	// Budgets are the budgets; if nil, the paths respond with 404.
	Budgets Budgets
	// Switch is the kill switch; if nil, the paths respond with 404.
	Switch Switch
	// Dashboard returns a link that opens the page once, and its lifetime; if nil, the path
	// responds with 404.
	Dashboard func() (url Secret, life time.Duration)
	// InFlight are the AI requests in flight; if nil, the path responds with 404.
	InFlight *inflight.Room
	// Output returns the last lines that an app printed; if nil, the path responds with 404.
	Output func(ctx context.Context, name string) (AppOutput, error)
	// Peer returns the user and process at the other end of a connection; nil is peer.Unix.
	Peer   func(net.Conn) (peer.Cred, error)
	UID    *int         // the daemon's user; nil is that of the process
	Logger *slog.Logger // nil discards
}

// Server serves the control API. It is safe for concurrent use.
type Server struct {
	tokens    Tokens
	keys      Keys
	routes    Routes
	settings  Settings
	daemon    Daemon
	approvals Approvals
	audit     Audit
	logins    Logins
	requests  *reqlog.Log
	appRows   *reqlog.Apps
	prices    Prices
	budgets   Budgets
	killer    Switch
	metrics   Metrics
	dashboard func() (Secret, time.Duration)
	inFlight  *inflight.Room
	output    func(context.Context, string) (AppOutput, error)
	peer      func(net.Conn) (peer.Cred, error)
	uid       int
	log       *slog.Logger
	handler   http.Handler
	served    atomic.Uint64 // number of requests
	version   string

	mu     sync.Mutex
	leases map[string]RouteLease             // by id
	shares map[string]map[shareKey]keptShare // by name
	ends   map[string]leaseEnd               // by id, until route and token have been removed
	runs   map[string]run                    // by id, while the lease's stream is open

	owning sync.Mutex              // held while a lease's token is restored or released
	owners map[[32]byte]RouteLease // by the token's hash: the lease that holds it
}

// NewServer returns a server. It serves nothing until Serve is called.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Tokens == nil || cfg.Keys == nil || cfg.Routes == nil || cfg.Settings == nil || cfg.Daemon == nil {
		return nil, errors.New("control server: Tokens, Keys, Routes, Settings and Daemon are required")
	}
	s := &Server{
		tokens: cfg.Tokens, keys: cfg.Keys, routes: cfg.Routes, settings: cfg.Settings, daemon: cfg.Daemon, approvals: cfg.Approvals, audit: cfg.Audit, logins: cfg.Logins, requests: cfg.Requests, appRows: cfg.AppRequests, prices: cfg.Prices, metrics: cfg.Metrics,
		budgets: cfg.Budgets, killer: cfg.Switch, dashboard: cfg.Dashboard, output: cfg.Output, inFlight: cfg.InFlight,
		peer: cfg.Peer, uid: os.Geteuid(), log: cfg.Logger,
		leases: map[string]RouteLease{}, shares: map[string]map[shareKey]keptShare{}, ends: map[string]leaseEnd{}, runs: map[string]run{}, owners: map[[32]byte]RouteLease{},
	}
	s.version = cfg.Version
	if cfg.UID != nil {
		s.uid = *cfg.UID
	}
	if s.peer == nil {
		s.peer = peer.Unix
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.getStatus)
	mux.HandleFunc("POST /stop", s.denyFromRuns(s.postStop))
	mux.HandleFunc("POST /restart", s.denyFromRuns(s.postRestart))
	mux.HandleFunc("POST /reload", s.denyFromRuns(s.postReload))
	mux.HandleFunc("POST /auth/token", s.denyFromRuns(s.postToken))
	mux.HandleFunc("POST /auth/refresh", s.denyFromRuns(s.postRefresh))
	mux.HandleFunc("POST /auth/revoke", s.denyFromRuns(s.postRevoke))
	mux.HandleFunc("GET /auth/tokens", s.getTokens)
	mux.HandleFunc("GET /routes", s.getRoutes)
	mux.HandleFunc("POST /routes/register", s.postRegister)
	mux.HandleFunc("POST /routes/deregister", s.postDeregister)
	mux.HandleFunc("POST /routes/lease", s.postLease)
	mux.HandleFunc("PATCH /routes/lease/{id}", s.patchLease)
	mux.HandleFunc("DELETE /routes/lease/{id}", s.deleteLease)
	mux.HandleFunc("PUT /shares/{name}", s.putShare)
	mux.HandleFunc("DELETE /shares/{name}", s.deleteShare)
	mux.HandleFunc("GET /keys", s.getKeys)
	mux.HandleFunc("PUT /keys/{provider}", s.denyFromRuns(s.putKey))
	mux.HandleFunc("DELETE /keys/{provider}", s.denyFromRuns(s.deleteKey))
	mux.HandleFunc("POST /keys/migrate", s.denyFromRuns(s.postMigrate))
	mux.HandleFunc("POST /unlock", s.denyFromRuns(s.postUnlock))
	mux.HandleFunc("POST /lock", s.denyFromRuns(s.postLock))
	mux.HandleFunc("GET /commands", s.getCommands)
	mux.HandleFunc("PUT /commands/{name}", s.denyFromRuns(s.putCommand))
	mux.HandleFunc("DELETE /commands/{name}", s.denyFromRuns(s.deleteCommand))
	s.aliasRoutes(mux)
	if s.audit != nil {
		mux.HandleFunc("GET /audit", s.getAudit)
	}
	if s.requests != nil {
		mux.HandleFunc("GET /log", s.getLog)
		mux.HandleFunc("GET /log/{id}", s.getRequest)
		mux.HandleFunc("GET /spend", s.getSpend)
	}
	if s.metrics != nil {
		mux.HandleFunc("GET /metrics", s.denyFromRuns(s.getMetrics))
	}
	if s.prices != nil {
		mux.HandleFunc("GET /prices", s.getPrices)
		mux.HandleFunc("PUT /prices", s.denyFromRuns(s.putPrices))
	}
	if s.budgets != nil {
		s.budgetRoutes(mux)
	}
	if s.killer != nil {
		mux.HandleFunc("POST /kill", s.denyFromRuns(s.postKill))
		mux.HandleFunc("POST /unkill", s.denyFromRuns(s.postUnkill))
	}
	if s.inFlight != nil {
		mux.HandleFunc("GET /inflight", s.getInFlight)
	}
	if s.output != nil {
		mux.HandleFunc("GET /apps/{name}/output", s.getOutput)
	}
	if s.dashboard != nil {
		mux.HandleFunc("POST /dashboard", s.postDashboard)
	}
	mux.HandleFunc("GET /origins", s.getOrigins)
	mux.HandleFunc("PUT /origins", s.denyFromRuns(s.putOrigin))
	mux.HandleFunc("DELETE /origins", s.denyFromRuns(s.deleteOrigin))
	mux.HandleFunc("GET /config", s.getConfig)
	mux.HandleFunc("PATCH /config", s.denyFromRuns(s.patchConfig))
	s.loginRoutes(mux)
	if s.approvals != nil {
		mux.HandleFunc("GET /approvals", s.getApprovals)
		mux.HandleFunc("POST /approvals/{id}", s.denyFromRuns(s.postApproval))
	}
	s.handler = s.recovered(s.logged(s.audited(s.guarded(strict(mux)))))
	return s, nil
}

// ServeHTTP serves one request. It refuses requests of connections without ConnContext.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.served.Add(1)
	if s.version != "" {
		w.Header().Set(versionHeader, s.version)
	}
	s.handler.ServeHTTP(w, r)
}

// Served returns the number of requests that have started.
func (s *Server) Served() uint64 { return s.served.Load() }

type contextKey int

const (
	peerKey    contextKey = iota // the connection's peerResult
	closingKey                   // the server's closing channel
)

type peerResult struct {
	peer.Cred
	err error
}

// ConnContext is for http.Server.ConnContext. It asks the kernel, once per connection, who
// is at the other end.
func (s *Server) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	cred, err := s.peer(conn)
	return context.WithValue(ctx, peerKey, peerResult{cred, err})
}

// Serve serves a listener until ctx ends. It then ends the streams of leases, but not their
// routes and tokens, which requests that are being drained still need; they end with the
// process. Requests in flight have a few seconds to finish. Serve closes the listener and
// returns nil after ctx has ended.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var unused silent
	server := &http.Server{
		ConnState:         unused.connState,
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,

		DisableGeneralOptionsHandler: true, // OPTIONS * is authorised like any request
		ConnContext:                  s.ConnContext,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), closingKey, ctx.Done())
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		server.Close()
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	defer time.AfterFunc(silentGrace, unused.close).Stop()
	err := server.Shutdown(grace)
	if err != nil {
		err = server.Close()
	}
	<-failed
	return err
}

// Leases returns the number of current leases.
func (s *Server) Leases() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.leases)
}
