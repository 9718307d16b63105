package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/access"
	"github.com/hostless/hostless/pkg/gateway/alias"
	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/ledger"
	"github.com/hostless/hostless/pkg/gateway/modelist"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/realtime"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/netguard"
	"github.com/hostless/hostless/pkg/token"
)

// Gateway serves the AI plane. It is an http.Handler, safe for concurrent use.
type Gateway struct {
	cfg           Config
	access        access.Access
	up            *upstream.Client
	lists         *modelist.Lists
	models        modelist.Service
	realtime      realtime.Config
	ledger        *ledger.Ledger
	plan          *plan.Planner
	fetcher       *netguard.Fetcher
	seams         pipeline.Seams
	cancelSockets context.CancelFunc
	inFlight      atomic.Int64
	bodies        *body.Memory
	ids           requestIDs
	running       running
	redactors     respond.Redactors
}

// New returns a Gateway. Close must be called to release its resources.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.withDefaults(); err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, up: upstream.New(upstream.Config{Dialer: dialer(&cfg), TLS: cfg.TLS, ConnectTimeout: cfg.ConnectTimeout, HeaderTimeout: cfg.HeaderTimeout, Now: cfg.Now}),
		fetcher: netguard.NewFetcher(dialer(&cfg), cfg.TLS, "hostless/"+cfg.Version, netguard.Limits{}), ledger: ledger.New(cfg.Now),
	}
	g.access = access.Access{Tokens: cfg.Tokens, DevMode: cfg.DevMode, Owner: cfg.Owner, Origins: func() []string { return cfg.Settings().Origins }}
	stopping, cancelSockets := context.WithCancel(context.Background())
	g.cancelSockets = cancelSockets
	g.lists = modelist.New(modelist.Config{Client: g.up, Version: cfg.Version, Now: cfg.Now, Logger: cfg.Logger, Stopped: cfg.Stopped})
	g.plan = plan.New(plan.Config{Keys: cfg.Keys, Settings: cfg.Settings, Lists: g.lists, Upstream: g.up, Fetcher: g.fetcher, Facts: cfg.Facts, Now: cfg.Now})
	g.models = modelist.Service{Lists: g.lists, Planner: g.plan, Keys: cfg.Keys, Facts: cfg.Facts, Made: cfg.Now().UTC(), Active: func() []ollama.Active { return g.ledger.Active(g.models.Made) }, Logger: cfg.Logger}
	g.plugIn(&cfg)
	g.ids.prefix = "req_" + strings.ToLower(rand.Text()[:12])
	g.realtime = realtime.Config{
		Pipeline: socketPipeline{g}, Seams: &g.seams, Upstream: g.up, NewID: g.ids.next, Now: cfg.Now, MaxMessage: cfg.MaxBody, Stopping: stopping,
	}
	g.bodies = body.NewMemory(cfg.BodyMemory, cfg.BodyWait)
	return g, nil
}

// plugIn assembles the pipeline: the configured planner around the gateway's own, aliases
// around both, and the configured Admitters and Observers. The rate limit of the token
// comes last, so that it does not count calls that another Admitter refuses.
func (g *Gateway) plugIn(cfg *Config) {
	g.seams.Planner = g.plan
	if cfg.Planner != nil {
		g.seams.Planner = cfg.Planner(g.seams.Planner)
	}
	g.seams.Planner = &alias.Planner{Inner: g.seams.Planner, Table: func(call *pipeline.Call) *alias.Table { return aliasesFor(cfg.Settings().Aliases, call.Grant) }, Now: cfg.Now}
	g.seams.Admitters = append(append(g.seams.Admitters, cfg.Admitters...), pipeline.AdmitterFunc(rateLimit))
	g.seams.Observers = append(append(g.seams.Observers, g.ledger), cfg.Observers...)
}

// rateLimit is an Admitter for the rate limit of the token.
func rateLimit(_ context.Context, call *pipeline.Call, _ []pipeline.Candidate) (func(pipeline.Outcome), error) {
	if call.Grant == nil {
		return nil, nil
	}
	return nil, call.Grant.Admit()
}

// InFlight returns the number of AI requests that are being served.
func (g *Gateway) InFlight() int { return int(g.inFlight.Load()) }

// Usage is the usage of one model.
type Usage = ledger.Usage

// Usage returns the usage since the gateway was created, by provider and model.
func (g *Gateway) Usage() []Usage { return g.ledger.List() }

// Close closes WebSockets and idle connections to providers, and stops background work. It
// does not end other requests in flight.
func (g *Gateway) Close() {
	g.cancelSockets()
	g.lists.Close()
	g.up.Close()
	g.fetcher.Close()
}

// ServeHTTP serves a request for bare localhost. All paths that are not listed here or in
// package endpoint are 404, including those of the control API.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if access.CrossSite(r) && !(pages[r.URL.Path] && access.TopLevel(r)) {
		respond.Drain(w, r)
		respond.Fault(w, envelope(r.URL.Path), fault.New(fault.Origin, "cross-site requests without an Origin header are refused"))
		return
	}
	switch r.URL.Path {
	case "/health":
		g.health(w, r)
		return
	}
	if g.cfg.Pages != nil && isPage(r.URL.Path) {
		g.page(w, r)
		return
	}
	if r.URL.Path == "/" && r.Method == http.MethodHead {
		g.root(w, r)
		return
	}
	matched, err := endpoint.Match(r.URL, r.Method)
	if err == nil && matched.Methods == "" {
		err = fault.New(fault.NotFound, "no such path: "+r.URL.Path)
	}
	if err != nil {
		g.access.CORS(w.Header(), r)
		respond.Drain(w, r)
		respond.Fault(w, envelope(r.URL.Path), err)
		return
	}
	g.access.CORS(w.Header(), r)
	if r.Method == http.MethodOptions {
		g.access.Preflight(w, r, matched.Methods)
		return
	}
	if matched.Kind == endpoint.None {
		respond.Drain(w, r)
		w.Header()["Allow"] = []string{matched.Methods + ", OPTIONS"}
		respond.Fault(w, envelope(r.URL.Path), fault.New(fault.Method, fmt.Sprintf("method %s is not allowed for this path: use %s", r.Method, matched.Methods)))
		return
	}
	g.serve(w, r, matched)
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, matched endpoint.Endpoint) {
	g.inFlight.Add(1)
	c := g.newExchange(w, r, matched)
	var err error
	defer func() {
		g.inFlight.Add(-1)
		c.end(err, recover())
	}()
	err = c.serve()
}

// envelope returns the dialect of errors for a path that package endpoint does not know.
func envelope(path string) dialect.Name {
	switch {
	case strings.HasPrefix(path, "/v1/messages"), strings.HasPrefix(path, "/messages"), strings.HasPrefix(path, "/v1/v1/messages"):
		return dialect.Anthropic
	case strings.HasPrefix(path, "/v1beta/"), strings.HasPrefix(path, "/upload/v1beta/"):
		return dialect.Gemini
	case path == "/api" || strings.HasPrefix(path, "/api/"):
		return dialect.Ollama
	}
	return dialect.OpenAI
}

func (g *Gateway) health(w http.ResponseWriter, r *http.Request) {
	g.access.CORS(w.Header(), r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		g.access.Preflight(w, r, "GET, HEAD")
		return
	default:
		w.Header()["Allow"] = []string{"GET, HEAD, OPTIONS"}
		respond.Fault(w, dialect.OpenAI, fault.New(fault.Method, "method "+r.Method+" is not allowed for this path: use GET"))
		return
	}
	data, err := json.Marshal(struct {
		Status  string `json:"status"`
		Version string `json:"version"`
		Service string `json:"service"`
	}{"ok", g.cfg.Version, "hostless"})
	if err != nil {
		respond.Fault(w, dialect.OpenAI, err)
		return
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	h["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		w.Write(data)
	}
}

// dialer returns the configured dialer, without address rules.
func dialer(cfg *Config) netguard.Dialer {
	return netguard.Dialer{Timeout: cfg.ConnectTimeout, AllowProxy: true, Dial: cfg.Dial, Resolve: cfg.Resolve}
}

// since returns the time since t on the gateway's clock.
func (g *Gateway) since(t time.Time) time.Duration { return g.cfg.Now().Sub(t) }

// aliasesFor returns the aliases that apply to a token; grant is nil for a caller without
// one.
func aliasesFor(all *alias.Table, grant *token.Grant) *alias.Table {
	if grant == nil {
		return all
	}
	return all.For(grant.Prefix(), grant.Name())
}

// Export returns what the gateway remembers of conversations, as JSON for Import in another
// process: thinking, signatures and responses that clients do not send back themselves.
func (g *Gateway) Export() (json.RawMessage, error) { return g.plan.Export() }

// Import adds what Export returned.
func (g *Gateway) Import(data json.RawMessage) error { return g.plan.Import(data) }
