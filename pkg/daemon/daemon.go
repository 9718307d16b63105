package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hostless/hostless/pkg/approval"
	"github.com/hostless/hostless/pkg/apps/proxy"
	"github.com/hostless/hostless/pkg/apps/routes"
	"github.com/hostless/hostless/pkg/audit"
	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/dashboard"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/front"
	"github.com/hostless/hostless/pkg/gateway"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/inflight"
	"github.com/hostless/hostless/pkg/keypool"
	"github.com/hostless/hostless/pkg/keys"
	"github.com/hostless/hostless/pkg/keys/reference"
	"github.com/hostless/hostless/pkg/keys/vault"
	"github.com/hostless/hostless/pkg/listen"
	"github.com/hostless/hostless/pkg/metrics"
	"github.com/hostless/hostless/pkg/oauth"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/token"
)

// Config is what Run needs.
type Config struct {
	Paths   config.Paths // required
	Version string       // what /health and /status tell

	Port             int            // TCP port to bind; 0 picks one, negative takes the setting's
	TLS              *bool          // serve https:// beside http:// on the port; nil takes the setting's
	CertFile         string         // an own certificate, for the names that it has; "" takes the setting's
	KeyFile          string         // its private key
	Verbose          bool           // log each request, whatever the setting says
	DevMode          bool           // the owner's own local callers need no token
	IdleTimeout      *time.Duration // when to end without anything to do, 0 never; nil takes the setting's
	TokenPersistence string         // overrides the setting, unless ""

	// Program and Arguments are what a restart starts: the program's path, which
	// may lead to a newer one by then, and what follows it. Environ gives its
	// environment; os.Environ when nil. Without a Program there is no restart
	// but by the manager or by hand.
	Program   string
	Arguments []string
	Environ   func() []string

	Keychain vault.Keychain // the OS keychain; none when nil

	Hangup <-chan os.Signal // each value has settings and keys read again; nil is none
	Getenv func(string) string
	Output io.Writer // the log; os.Stderr when nil
}

// Daemon is a hostlessd that runs.
type daemon struct {
	cfg      Config
	log      *slog.Logger
	redactor *redact.LogWriter
	started  time.Time
	uid      int
	stop     context.CancelCauseFunc

	sockets      *listen.Sockets
	settings     *config.Settings
	tokens       *token.Store
	keys         *keys.Store
	audit        *audit.Log
	vault        *vault.Vault
	keychainWork sync.WaitGroup
	keychainCtx  context.Context    // of keychainWork
	stopKeychain context.CancelFunc // nil before openVault
	resolver     *reference.Resolver
	approvals    *approval.Queue
	logins       *oauth.Logins
	prices       *priceBook
	requests     *reqlog.Log
	budgets      *budget.Room
	killer       *budget.Switch
	appRequests  *reqlog.Apps
	metrics      *metrics.Metrics
	pool         *keypool.Pool
	stopOTLP     func() // nil before openRequests
	gateway      *gateway.Gateway
	routes       *routes.Table
	apps         *proxy.Handler
	dashboard    *dashboard.Dashboard
	flights      *inflight.Room
	front        *front.Server
	control      *control.Server
	notify       notifier
	warnings     warnings

	hostsChanged chan struct{}       // capacity 1: the hosts file is to be looked at
	lock         *listen.Lock        // of the home
	inherited    *listen.Inheritance // nil without a predecessor
	predecessors predecessors
	successors   chan *successor // capacity 1
	restarting   atomic.Bool     // a successor has been started
	handedOver   atomic.Bool     // it serves: files and sockets are its own
	handedTo     atomic.Pointer[successor]

	idleChanged chan struct{} // capacity 1: the idle timeout may be another
	metricsPort chan struct{} // capacity 1: metrics-port may be another
	selfChecks  atomic.Uint64 // requests that this process made to itself

	tls      bool           // https is served
	logLevel *slog.LevelVar // follows the setting

	gatewaySettings *gatewaySettings
	wildcards       bool // asked for in the environment
}

// Run runs the daemon until ctx ends and everything has been stopped in order:
// accepting, requests in flight, upgraded connections, stores. It is nil after
// an end by ctx or over the control socket. Where it cannot start, or another
// daemon runs for the same home, it is a fault.Error that says what to do.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Output == nil {
		cfg.Output = os.Stderr
	}
	if cfg.Environ == nil {
		cfg.Environ = os.Environ
	}
	if err := config.RefuseForeign(cfg.Paths.Home, os.Geteuid(), cfg.Getenv); err != nil {
		return err
	}
	if err := config.EnsureDir(cfg.Paths.Home); err != nil {
		return fmt.Errorf("home of the daemon: %w", err)
	}
	inherited, err := listen.Inherit()
	if err != nil {
		return err
	}
	defer inherited.Close()
	var lock *listen.Lock
	if inherited != nil && inherited.Home != nil {
		lock = inherited.Home
	} else if lock, err = lockHome(cfg.Paths); err != nil {
		return err
	}
	defer lock.Close()

	defer raiseHeap()()

	d := &daemon{
		cfg: cfg, started: time.Now(), uid: os.Geteuid(), wildcards: wildcardsAsked(cfg.Getenv),
		lock: lock, inherited: inherited, successors: make(chan *successor, 1), idleChanged: make(chan struct{}, 1), hostsChanged: make(chan struct{}, 1), metricsPort: make(chan struct{}, 1),
	}
	d.logLevel = new(slog.LevelVar)
	d.log, d.redactor = newLogger(cfg.Output, d.logLevel, onJournal(cfg.Output, cfg.Getenv))
	asked := ctx // to end
	defer context.AfterFunc(asked, d.passOnEnd)()
	ctx, d.stop = context.WithCancelCause(ctx)
	defer d.stop(nil)
	if err := d.open(); err != nil {
		return errors.Join(err, d.close())
	}
	return errors.Join(d.serve(ctx), d.close(), d.standFor(asked))
}

// open takes the sockets and makes the parts, without serving yet. What it has
// opened before it fails is closed by close.
func (d *daemon) open() (err error) {
	component := func(name string) *slog.Logger { return d.log.With("component", name) }
	var found []string
	if d.settings, found, err = config.OpenSettings(config.SettingsConfig{Path: d.cfg.Paths.Config(), Logger: component("config")}); err != nil {
		return err
	}
	d.warnings.set("config", found)
	d.setLogLevel()
	if d.tls = d.settings.TLS(); d.cfg.TLS != nil {
		d.tls = *d.cfg.TLS
	}
	port := d.cfg.Port
	if port < 0 {
		port = d.settings.Port()
	}
	if d.sockets, err = listen.Open(listen.Config{Port: port, Socket: d.cfg.Paths.Socket, Logger: component("listen"), Inherited: d.inherited}); err != nil {
		return err
	}
	if d.sockets.Activation == listen.Launchd {
		if err := shortenLog(filepath.Join(d.cfg.Paths.Logs(), "hostlessd.log"), logLimit); err != nil {
			d.log.Warn("the log is long and could not be shortened", "error", err)
		}
	}
	var handed handoverMessage
	if d.inherited != nil {
		if handed, err = d.takeOver(); err != nil {
			return err
		}
	}
	if err := d.openKeys(component("keys"), handed.Vault); err != nil {
		return err
	}
	if err := d.openPool(component("keys")); err != nil {
		return err
	}
	if d.tokens, found, err = token.New(token.Config{
		Path: d.cfg.Paths.Tokens(), Persistence: d.persistence(), Sealer: d.vault, Logger: component("token"), Revoked: d.tellRevoked, Ports: d.sockets.Ports(), Domains: d.settings.Domains,
	}); err != nil {
		return err
	}
	d.warnings.set("token", found)
	if handed.Tokens != nil {
		if err := d.tokens.Import(handed.Tokens); err != nil {
			return err
		}
	}
	if err := d.openApprovals(); err != nil {
		return err
	}
	if err := d.openLogins(); err != nil {
		return err
	}
	if err := d.openRequests(component("requests"), handed.Held); err != nil {
		return err
	}
	d.gatewaySettings = newGatewaySettings(d.settings, &d.warnings)
	d.settings.OnChange(d.settingsChanged)
	pages, err := d.pages()
	if err != nil {
		return err
	}
	d.flights = inflight.New(inflight.Config{Redact: d.redactor.String})
	if d.gateway, err = gateway.New(gateway.Config{
		Tokens: gatewayTokens{d.tokens, func() bool { return d.routes.Returning() }}, Keys: d.poolKeys(), Settings: d.gatewaySettings.get,
		Version: d.cfg.Version, DevMode: d.cfg.DevMode, Owner: d.owner, Pages: pages, Logger: component("gateway"),
		Planner: d.pool.Planner, Admitters: []pipeline.Admitter{d.killer, d.budgets, d.flights}, Stopped: d.killer.Stopped, Observers: []pipeline.Observer{d.requests, d.budgets, d.pool},
	}); err != nil {
		return err
	}
	if err := d.openApps(component("apps"), handed.Runs); err != nil {
		return err
	}
	if err := d.openDashboard(component("dashboard"), handed.Sessions); err != nil {
		return err
	}
	if err := d.openFront(component("front")); err != nil {
		return err
	}
	if d.audit, err = audit.New(audit.Config{Path: d.cfg.Paths.Audit()}); err != nil {
		return err
	}
	d.openVault(component("keys"))
	d.control, err = control.NewServer(control.ServerConfig{
		Version: d.cfg.Version,
		Audit:   auditLog{d.audit, d.redactor.String},
		Tokens:  controlTokens{d.tokens}, Keys: d.controlKeys(), Routes: controlRoutes{d.routes, d.appURL, d.appHosts, d.redactor.String},
		Settings: controlSettings{d.settings}, Daemon: controlDaemon{d}, Approvals: controlApprovals{d.approvals, d.tokens}, Logins: controlLogins{d.logins}, Logger: component("control"),
		Requests: d.requests, AppRequests: d.appRequests, Metrics: d, Prices: d.prices, Budgets: d.budgets, Switch: controlSwitch{d},
		Dashboard: d.dashboardLink, Output: d.appOutput, InFlight: d.flights,
	})
	return err
}

// persistence is where tokens are kept: the flag's word, else the setting's.
func (d *daemon) persistence() string {
	if d.cfg.TokenPersistence != "" {
		return d.cfg.TokenPersistence
	}
	return d.settings.TokenPersistence()
}

// serve runs the parts until ctx ends or one of them fails.
func (d *daemon) serve(ctx context.Context) error {
	announced, err := announce(d.cfg.Paths, d.sockets.Port)
	if err != nil {
		return err
	}
	defer func() {
		if !d.handedOver.Load() {
			announced.withdraw()
		}
	}()

	// Reported before anything is answered: to a manager that takes the daemon for
	// still starting, a reload that somebody asks for is part of the start. The
	// sockets listen already.
	d.notify.ready(fmt.Sprintf("Serving on port %d", d.sockets.Port))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.front.Run(ctx, slices.Concat(d.sockets.HTTP, d.sockets.Web)...) })
	// What changes files ends before a successor may begin to.
	writers, quiesce := context.WithCancel(ctx)
	defer quiesce()
	var writing sync.WaitGroup
	writer := func(run func(context.Context) error) {
		writing.Add(1)
		group.Go(func() error { defer writing.Done(); return run(writers) })
	}
	writer(func(ctx context.Context) error { return d.control.Serve(ctx, d.sockets.Control) })
	writer(d.routes.Run)
	writer(d.syncHosts)
	writer(d.serveMetrics)
	group.Go(func() error { return d.handOver(ctx, func() { quiesce(); writing.Wait() }) })
	group.Go(func() error { return d.watchdog(ctx) })
	group.Go(func() error { return d.endWhenIdle(ctx) })
	group.Go(func() error { return d.budgets.Run(ctx) })
	if before := d.predecessors.all(); len(before) > 0 {
		if err := before[0].send(handoverMessage{Serving: true}); err != nil {
			d.log.Warn("the predecessor cannot be notified that its successor serves", "error", err)
		}
		d.followPredecessors(ctx)
	}
	group.Go(func() error { return d.hangups(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		d.dashboard.Close() // its streams would be waited for
		if d.handedOver.Load() {
			return nil
		}
		d.notify.stopping()
		d.stopPredecessors()
		d.approvals.Close() // who waits for a person is let go
		d.log.Info("stopping", "in_flight", d.front.InFlight())
		return nil
	})
	d.log.Info("serving", "version", d.cfg.Version, "pid", os.Getpid(), "port", d.sockets.Port, "activation", d.sockets.Activation,
		"control", d.cfg.Paths.Socket, "home", d.cfg.Paths.Home, "tls", d.tls, "dev_mode", d.cfg.DevMode)
	err = group.Wait()
	d.log.Info("stopped")
	return err
}

// close closes what open opened, stores last.
func (d *daemon) close() error {
	var errs []error
	if d.sockets != nil {
		errs = append(errs, d.sockets.Close())
	}
	if d.apps != nil {
		errs = append(errs, d.apps.Close())
	}
	if d.routes != nil {
		errs = append(errs, d.routes.Close())
	}
	if d.gateway != nil {
		d.gateway.Close()
	}
	if d.requests != nil {
		errs = append(errs, d.requests.Close()) // what a predecessor still answered is in it too
		d.budgets.Save()
	}
	if d.stopOTLP != nil {
		d.stopOTLP() // with what was just written
	}
	if d.appRequests != nil {
		errs = append(errs, d.appRequests.Close())
	}
	d.closeKeys()
	if d.audit != nil {
		errs = append(errs, d.audit.Close())
	}
	if d.tokens != nil && !d.handedOver.Load() {
		errs = append(errs, d.tokens.Close())
	}
	return errors.Join(errs...)
}

// hangups reads settings and keys again at each SIGHUP.
func (d *daemon) hangups(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.cfg.Hangup:
			if err := d.reload(); err != nil {
				d.log.Error("reload failed, the previous values stay in use", "error", err)
			}
		}
	}
}

// reload reads what may have been edited by hand.
func (d *daemon) reload() error {
	d.notify.reloading()
	defer d.notify.ready(fmt.Sprintf("Serving on port %d", d.sockets.Port))
	found, err := d.settings.Reload()
	d.warnings.set("config", found)
	more, keysErr := d.keys.Reload()
	d.pool.Forget("") // keys may be others now
	d.warnings.set("keys", more)
	if err := errors.Join(err, keysErr); err != nil {
		return err
	}
	d.log.Info("settings and keys were read again")
	return nil
}

// settingsChanged follows a change of config.json, whoever made it.
func (d *daemon) settingsChanged() {
	d.gatewaySettings.refresh()
	d.prices.refresh()
	d.setLogLevel()
	for _, changed := range []chan struct{}{d.idleChanged, d.metricsPort} {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if found, err := d.settings.Reload(); err == nil { // tells no change twice
		d.warnings.set("config", found)
	}
	if err := d.tokens.SetPersistence(d.persistence()); err != nil {
		d.log.Error("token persistence cannot be changed", "error", err)
	}
	d.sealWhereWanted(d.log.With("component", "keys"))
	d.routesChanged()
}

// setLogLevel has each request logged where the flag or the setting asks for it.
func (d *daemon) setLogLevel() {
	level := slog.LevelInfo
	if d.cfg.Verbose || d.settings.Verbose() {
		level = slog.LevelDebug
	}
	d.logLevel.Set(level)
}

// keysChanged follows a change of the stored keys.
func (d *daemon) keysChanged() {
	if found, err := d.keys.Reload(); err == nil {
		d.warnings.set("keys", found)
	}
}

// owner reports whether a request came from a process of the daemon's own user.
func (d *daemon) owner(r *http.Request) bool { return front.PeerUID(r) == d.uid }

// controlDaemon is the process as the control server needs it.
type controlDaemon struct{ *daemon }

// Reload is what SIGHUP does.
func (c controlDaemon) Reload(context.Context) error { return c.reload() }

// Stop begins the end, unless a supervisor would bring the daemon back.
func (c controlDaemon) Stop(context.Context) error {
	if c.sockets.Activation != listen.Self || c.notify.supervised() {
		return &fault.Error{Kind: fault.Conflict, Message: "this daemon is a login service: the next connection would bring it back", Next: "hostless service stop"}
	}
	c.stop(errors.New("requested over the control socket"))
	return nil
}
