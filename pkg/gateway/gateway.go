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

// New makes a gateway.
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
	g.plan = plan.New(plan.Config{Keys: cfg.Keys, Settings: cfg.Settings, Lists: g.lists, Upstream: g.up, Fetcher: g.fetcher, Now: cfg.Now})
	g.models = modelist.Service{Lists: g.lists, Planner: g.plan, Keys: cfg.Keys, Made: cfg.Now().UTC(), Active: func() []ollama.Active { return g.ledger.Active(g.models.Made) }, Logger: cfg.Logger}
	g.plugIn(&cfg)
	g.ids.prefix = "req_" + strings.ToLower(rand.Text()[:12])
	g.realtime = realtime.Config{
		Pipeline: socketPipeline{g}, Seams: &g.seams, Upstream: g.up, NewID: g.ids.next, Now: cfg.Now, MaxMessage: cfg.MaxBody, Stopping: stopping,
	}
	g.bodies = body.NewMemory(cfg.BodyMemory, cfg.BodyWait)
	return g, nil
}

// plugIn puts the rooms that the configuration hands in into the pipeline, around
// what the gateway itself has, and the aliases of models around all of them. The rate limit is asked last: what another room
// refuses is not charged.
func (g *Gateway) plugIn(cfg *Config) {
	g.seams.Planner = g.plan
	if cfg.Planner != nil {
		g.seams.Planner = cfg.Planner(g.seams.Planner)
	}
	g.seams.Planner = &alias.Planner{Inner: g.seams.Planner, Table: func(call *pipeline.Call) *alias.Table { return aliasesFor(cfg.Settings().Aliases, call.Grant) }, Now: cfg.Now}
	g.seams.Admitters = append(append(g.seams.Admitters, cfg.Admitters...), pipeline.AdmitterFunc(rateLimit))
	g.seams.Observers = append(append(g.seams.Observers, g.ledger), cfg.Observers...)
}

// rateLimit is the Admitter that charges the token's own limit.
func rateLimit(_ context.Context, call *pipeline.Call, _ []pipeline.Candidate) (func(pipeline.Outcome), error) {
	if call.Grant == nil {
		return nil, nil
	}
	return nil, call.Grant.Admit()
}

// InFlight is how many requests of the AI plane are being served now.
func (g *Gateway) InFlight() int { return int(g.inFlight.Load()) }

// Usage is what was spent on one model.
type Usage = ledger.Usage

// Usage tells what was spent since the gateway was made, by provider and model.
func (g *Gateway) Usage() []Usage { return g.ledger.List() }

// Close ends WebSockets, idle connections to providers and what runs in the
// background. Other requests in flight are left to their own contexts.
func (g *Gateway) Close() {
	g.cancelSockets()
	g.lists.Close()
	g.up.Close()
	g.fetcher.Close()
}

// ServeHTTP serves one request of bare localhost. What is not named here does
// not exist: the control API's paths among them, with any header.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if access.CrossSite(r) && !(pages[r.URL.Path] && access.TopLevel(r)) {
		respond.Drain(w, r)
		respond.Fault(w, envelope(r.URL.Path), fault.New(fault.Origin, "requests that a page of another site causes are refused unless they carry an Origin"))
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
		respond.Fault(w, envelope(r.URL.Path), fault.New(fault.Method, fmt.Sprintf("%s is not a method of this path; %s", r.Method, matched.Methods)))
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

// envelope is the dialect that errors of a path are written in, where no surface
// says it.
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
		respond.Fault(w, dialect.OpenAI, fault.New(fault.Method, r.Method+" is not a method of this path; GET"))
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

// dialer is the dialer of the configuration, without rules for addresses.
func dialer(cfg *Config) netguard.Dialer {
	return netguard.Dialer{Timeout: cfg.ConnectTimeout, AllowProxy: true, Dial: cfg.Dial, Resolve: cfg.Resolve}
}

// since is the time that has passed on the gateway's clock.
func (g *Gateway) since(t time.Time) time.Duration { return g.cfg.Now().Sub(t) }

// aliasesFor gives the aliases that hold for a caller's token; grant is nil for a caller
// without one.
func aliasesFor(all *alias.Table, grant *token.Grant) *alias.Table {
	if grant == nil {
		return all
	}
	return all.For(grant.Prefix(), grant.Name())
}
