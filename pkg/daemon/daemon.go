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
	"github.com/hostless/hostless/pkg/otlp"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/redact"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/token"
)

// Config is the configuration of Run.
type Config struct {
	Paths   config.Paths // required
	Version string       // for /health and /status

	Port             int            // TCP port to bind; 0 chooses a free one, negative uses the setting
	TLS              *bool          // serve https and http on the port; nil uses the setting
	CertFile         string         // the user's own certificate, served for the names in it; "" uses the setting
	KeyFile          string         // its private key
	Verbose          bool           // log each request, even if the setting is off
	DevMode          bool           // local programs of the daemon's user need no token
	IdleTimeout      *time.Duration // end after this time without work, 0 is never; nil uses the setting
	TokenPersistence string         // overrides the setting unless ""

	// Program and Arguments are the command line of a restart. The path may then lead to a
	// newer version. Environ returns the environment; nil is os.Environ. If Program is ""
	// the daemon cannot restart itself.
	Program   string
	Arguments []string
	Environ   func() []string

	Keychain vault.Keychain // the OS keychain; nil is none

	// Ready, if not nil, is called once, when requests are served.
	Ready  func(port int, tls bool)
	Hangup <-chan os.Signal // each value reloads settings and keys; nil is none
	Getenv func(string) string
	Output io.Writer // the log; nil is os.Stderr
}

// daemon is a running hostlessd.
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
	keychainCtx  context.Context    // for keychainWork
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
	otlp         *otlp.Exporter
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

	hostsChanged chan struct{}       // capacity 1: the hosts file must be checked
	lock         *listen.Lock        // of the home
	inherited    *listen.Inheritance // nil without a predecessor
	predecessors predecessors
	successors   chan *successor // capacity 1
	restarting   atomic.Bool     // a successor has been started
	handedOver   atomic.Bool     // the successor serves, and owns the files and sockets
	handedTo     atomic.Pointer[successor]

	idleChanged chan struct{} // capacity 1: the idle timeout may have changed
	metricsPort chan struct{} // capacity 1: metrics-port may have changed
	selfChecks  atomic.Uint64 // requests of the watchdog to this process

	tls      bool           // https is on
	logLevel *slog.LevelVar // follows the setting

	gatewaySettings *gatewaySettings
	wildcards       bool // turned on in the environment
}

// Run runs the daemon until ctx ends, and returns when everything has been stopped in order:
// listeners, requests in flight, upgraded connections, stores. It returns nil after an end
// by ctx or over the control socket. If it cannot start, or another daemon is running for
// the same home, the error is a *fault.Error with the next step.
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

// open takes the sockets and creates the parts, but does not serve yet. After an error close
// closes what was opened.
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
		Path: d.cfg.Paths.Tokens(), Persistence: d.persistence(), Sealer: d.vault, Logger: component("token"), Revoked: d.notifyRevoked, Ports: d.sockets.Ports(), Domains: d.settings.Domains,
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
		Facts:   func(provider, model string) prices.Facts { return d.prices.book.Load().Facts(provider, model) },
		Planner: d.pool.Planner, Admitters: []pipeline.Admitter{d.killer, d.budgets, d.flights}, Stopped: d.killer.Stopped, Observers: []pipeline.Observer{d.requests, d.budgets, d.pool},
	}); err != nil {
		return err
	}
	if handed.Memory != nil {
		if err := d.gateway.Import(handed.Memory); err != nil {
			d.log.Error("what the gateway remembered is lost", "error", err)
		}
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

// persistence returns where tokens are kept: by the flag, else by the setting.
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

	// Report readiness before serving. Otherwise a service manager would take a reload that
	// a client requests for a part of the start. The sockets already listen.
	d.notify.ready(fmt.Sprintf("Serving on port %d", d.sockets.Port))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.front.Run(ctx, slices.Concat(d.sockets.HTTP, d.sockets.Web)...) })
	// Goroutines that change files end before a successor may change them.
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
			d.log.Warn("the predecessor cannot be notified of the handover", "error", err)
		}
		d.followPredecessors(ctx)
	}
	group.Go(func() error { return d.hangups(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		d.dashboard.Close() // or shutdown would wait for its streams
		if d.handedOver.Load() {
			return nil
		}
		d.notify.stopping()
		d.stopPredecessors()
		d.approvals.Close() // or shutdown would wait for requests that wait for a decision
		d.log.Info("stopping", "in_flight", d.front.InFlight())
		return nil
	})
	d.log.Info("serving", "version", d.cfg.Version, "pid", os.Getpid(), "port", d.sockets.Port, "activation", d.sockets.Activation,
		"control", d.cfg.Paths.Socket, "home", d.cfg.Paths.Home, "tls", d.tls, "dev_mode", d.cfg.DevMode)
	if d.cfg.Ready != nil {
		d.cfg.Ready(d.sockets.Port, d.tls)
	}
	err = group.Wait()
	d.log.Info("stopped")
	return err
}

// close closes what open has opened, the stores last.
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
		errs = append(errs, d.requests.Close()) // contains requests that a predecessor served, too
		d.budgets.Save()
	}
	if d.stopOTLP != nil {
		d.stopOTLP() // after the last rows were written
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

// hangups reloads settings and keys at each SIGHUP.
func (d *daemon) hangups(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.cfg.Hangup:
			if err := d.reload(); err != nil {
				d.log.Error("reload failed; the previous values stay in use", "error", err)
			}
		}
	}
}

// reload reads the files that the user may have edited.
func (d *daemon) reload() error {
	d.notify.reloading()
	defer d.notify.ready(fmt.Sprintf("Serving on port %d", d.sockets.Port))
	found, err := d.settings.Reload()
	d.warnings.set("config", found)
	more, keysErr := d.keys.Reload()
	d.pool.Forget("") // the keys may have changed
	d.warnings.set("keys", more)
	if err := errors.Join(err, keysErr); err != nil {
		return err
	}
	d.log.Info("settings and keys reloaded")
	return nil
}

// settingsChanged applies a change of config.json.
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
	if found, err := d.settings.Reload(); err == nil { // does not report a change twice
		d.warnings.set("config", found)
	}
	if err := d.tokens.SetPersistence(d.persistence()); err != nil {
		d.log.Error("token persistence cannot be changed", "error", err)
	}
	d.sealWhereWanted(d.log.With("component", "keys"))
	d.routesChanged()
}

// setLogLevel turns on the logging of each request if the flag or the setting does.
func (d *daemon) setLogLevel() {
	level := slog.LevelInfo
	if d.cfg.Verbose || d.settings.Verbose() {
		level = slog.LevelDebug
	}
	d.logLevel.Set(level)
}

// keysChanged applies a change of the stored keys.
func (d *daemon) keysChanged() {
	if found, err := d.keys.Reload(); err == nil {
		d.warnings.set("keys", found)
	}
}

// owner reports whether a request came from a process of the daemon's own user.
func (d *daemon) owner(r *http.Request) bool { return front.PeerUID(r) == d.uid }

// controlDaemon adapts the daemon to control.Daemon.
type controlDaemon struct{ *daemon }

// Reload does the same as SIGHUP.
func (c controlDaemon) Reload(context.Context) error { return c.reload() }

// Stop starts the shutdown, unless a service manager would start the daemon again.
func (c controlDaemon) Stop(context.Context) error {
	if c.sockets.Activation != listen.Self || c.notify.supervised() {
		return &fault.Error{Kind: fault.Conflict, Message: "this daemon is a login service: the next connection would start it again", Next: "hostless service stop"}
	}
	c.stop(errors.New("requested over the control socket"))
	return nil
}
