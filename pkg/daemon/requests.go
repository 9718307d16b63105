package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/apps/proxy"
	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/control"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/metrics"
	"github.com/hostless/hostless/pkg/otlp"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
)

// openRequests opens the price book, the budgets and the request log.
func (d *daemon) openRequests(log *slog.Logger, held []budget.Held) (err error) {
	d.prices = &priceBook{path: d.cfg.Paths.Prices(), settings: d.settings, warnings: &d.warnings}
	d.prices.load()
	d.metrics = metrics.New(metrics.Config{Version: d.cfg.Version, Started: d.started, InFlight: d.inFlight, Dropped: d.droppedRows, Unsent: func() int64 { return d.otlp.Dropped() }})
	d.recoverRows()
	if err := d.openBudgets(log, held); err != nil {
		return err
	}
	d.requests, err = reqlog.New(reqlog.Config{
		Dir: d.cfg.Paths.Requests(), Prices: d.prices.book.Load, Redact: d.redactor.String, Logger: log, Count: d.budgets.Count,
		Others: func() bool { return len(d.predecessors.all()) > 0 },
		Bodies: d.settings.LogBodies, BodiesDir: d.cfg.Paths.Bodies(), BodiesAge: d.settings.LogBodiesAge,
		Observe: []func(reqlog.Event){d.metrics.Request, d.startOTLP(log)},
	})
	if err != nil {
		return err
	}
	d.appRequests, err = reqlog.NewApps(reqlog.AppsConfig{Dir: d.cfg.Paths.AppRequests(), Redact: d.redactor.String, Logger: log, Observe: d.metrics.App})
	return err
}

// recoverRows writes the rows that a killed daemon has left unwritten. It must be called
// before the budgets read the request log.
func (d *daemon) recoverRows() {
	if err := reqlog.Recover(d.cfg.Paths.Requests()); err != nil {
		d.log.Error("cannot write rows of the request log that a kill has left unwritten", "error", err)
	}
}

// requestWarnings returns the warnings of the request logs and of the OTLP exporter.
func (d *daemon) requestWarnings() (all []string) {
	for _, w := range []string{d.requests.Warning(), d.appRequests.Warning(), d.otlp.Warning()} {
		if w != "" {
			all = append(all, w)
		}
	}
	return all
}

// startOTLP starts the exporter, which stopOTLP stops, and returns the function that passes
// events to it.
func (d *daemon) startOTLP(log *slog.Logger) func(reqlog.Event) {
	d.otlp = otlp.New(otlp.Config{
		Version: d.cfg.Version, Instance: strconv.Itoa(os.Getpid()), Endpoint: d.settings.OTLPEndpoint,
		Headers: otlp.ParseHeaders(d.cfg.Getenv("OTEL_EXPORTER_OTLP_HEADERS")), Logger: log,
	})
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.otlp.Run(ctx) }()
	d.stopOTLP = func() { end(); <-ended }
	return d.otlp.Request
}

// noteApp logs a request to an app.
func (d *daemon) noteApp(s proxy.Served) {
	d.appRequests.Note(reqlog.AppRow{
		Time: s.Time.UTC(), App: s.App, Method: s.Method, Path: s.Path, Status: s.Status,
		Known: s.Known, DurationMS: int64((s.Duration + time.Millisecond - 1) / time.Millisecond), Upgrade: s.Upgrade,
	})
}

// inFlight returns the number of AI requests in flight.
func (d *daemon) inFlight() int {
	if d.gateway == nil {
		return 0
	}
	return d.gateway.InFlight()
}

// droppedRows returns the number of rows of both planes that could not be written.
func (d *daemon) droppedRows() int64 { return d.requests.Dropped() + d.appRequests.Dropped() }

// WriteMetrics writes the metrics, including all requests that have ended.
func (d *daemon) WriteMetrics(w io.Writer) error {
	d.requests.Sync()
	d.appRequests.Sync()
	return d.metrics.WriteText(w)
}

// priceBook holds the prices in use: those of config.json, and those of prices.json or the
// embedded snapshot. It is safe for concurrent use.
type priceBook struct {
	path     string // of prices.json
	settings *config.Settings
	warnings *warnings

	book     atomic.Pointer[prices.Book]
	mu       sync.Mutex
	own      json.RawMessage
	problems []string // of prices.json
	source   string
	snapshot prices.Snapshot
}

const builtInPrices = "built-in"

// load reads prices.json, if there is one, and builds the book.
func (p *priceBook) load() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source, p.snapshot, p.problems = builtInPrices, nil, nil
	data, _, err := config.ReadPrivate(p.path)
	if err == nil {
		p.snapshot, err = prices.Parse(data)
	}
	switch {
	case err == nil:
		p.source = p.path
	case !errors.Is(err, fs.ErrNotExist):
		p.problems = []string{p.path + " cannot be read, so the built-in prices are used: " + err.Error()}
	}
	if p.snapshot == nil {
		p.snapshot = prices.Default()
	}
	p.make()
}

// refresh applies a change of config.json.
func (p *priceBook) refresh() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !bytes.Equal(p.own, p.settings.Prices()) {
		p.make()
	}
}

// make builds the book. p.mu must be held.
func (p *priceBook) make() {
	p.own = p.settings.Prices()
	own, problems := prices.ParseOwn(p.own)
	p.warnings.set("prices", append(problems, p.problems...))
	p.book.Store(prices.NewBook(own, p.snapshot))
}

// List implements control.Prices.
func (p *priceBook) List(context.Context) (control.PriceList, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return control.PriceList{Source: p.source, Prices: p.book.Load().List()}, nil
}

// Replace implements control.Prices.
func (p *priceBook) Replace(_ context.Context, s prices.Snapshot) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	checked, err := prices.Parse(data)
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: err.Error()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := config.EnsureDir(filepath.Dir(p.path)); err != nil {
		return err
	}
	if err := config.WritePrivate(p.path, data); err != nil {
		return err
	}
	p.source, p.snapshot, p.problems = p.path, checked, nil
	p.make()
	return nil
}
