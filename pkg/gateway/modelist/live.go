// Package modelist answers which models there are: the providers' live lists, kept
// for some minutes, and the union of them in the shape of each dialect, whole or in
// pages.
//
// It decides nothing: which providers are asked, which models a caller may see and
// what they are called come in with each call. Routing by a model's name belongs to
// package provider, Ollama's lists to package dialect/ollama.
package modelist

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/redact"
)

const (
	freshFor     = 5 * time.Minute  // how long a list is taken as it is
	retryAfter   = 15 * time.Second // how long a failed fetch is not repeated
	callerWait   = 4 * time.Second  // how long a caller waits for the first list
	fetchTimeout = 15 * time.Second
	maxList      = 16 << 20 // bytes
)

// Info is one model of a provider.
type Info struct {
	ID      string // as the provider names it
	Title   string
	Created int64 // Unix seconds, 0 unknown
	Owner   string
	Input   int             // context in tokens, 0 unknown
	Output  int             // most tokens of an answer, 0 unknown
	Raw     json.RawMessage // Gemini's own entry
}

// Config is what New needs.
type Config struct {
	Client  *upstream.Client // required
	Version string           // of Hostless, for the User-Agent
	Now     func() time.Time // nil is time.Now
	Logger  *slog.Logger     // nil discards
	Stopped func() bool      // whether providers must not be asked now; nil is never
}

// Lists keeps the providers' live lists of models: fetched once for all who ask at
// the same time, refreshed in the background, and kept while a provider is down. It
// is safe for concurrent use.
type Lists struct {
	cfg Config

	mu      sync.Mutex
	entries map[string]*entry // by provider
	base    context.Context   // of what runs in the background
	stop    context.CancelFunc
	running sync.WaitGroup
}

type entry struct {
	cred    pipeline.Credential
	models  []Info
	fetched time.Time
	failed  time.Time     // when fetching failed last
	done    chan struct{} // open while a fetch runs
}

// New makes an empty set of lists.
func New(cfg Config) *Lists {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Lists{cfg: cfg, entries: map[string]*entry{}}
	l.base, l.stop = context.WithCancel(context.Background())
	return l
}

// Close ends what runs in the background and waits for it.
func (l *Lists) Close() {
	l.mu.Lock()
	l.stop()
	l.mu.Unlock()
	l.running.Wait()
}

// Live gives a provider's live list, nil where none can be had in time. An old list
// is given at once and refreshed in the background. It must not be changed.
func (l *Lists) Live(ctx context.Context, p *provider.Provider, cred pipeline.Credential) []Info {
	now := l.cfg.Now()
	l.mu.Lock()
	e := l.entries[p.Name]
	if e == nil || e.cred.BaseURL != cred.BaseURL || e.cred.Dialect != cred.Dialect || e.cred.AllowPrivate != cred.AllowPrivate || !e.cred.Key.Equal(cred.Key) {
		e = &entry{cred: cred}
		l.entries[p.Name] = e
	}
	stale := e.fetched.IsZero() || now.Sub(e.fetched) > freshFor
	if stale && e.done == nil && (e.failed.IsZero() || now.Sub(e.failed) > retryAfter) && l.base.Err() == nil && (l.cfg.Stopped == nil || !l.cfg.Stopped()) {
		e.done = make(chan struct{})
		l.running.Add(1)
		go l.refresh(e, p)
	}
	models, done := e.models, e.done
	l.mu.Unlock()
	if models != nil || done == nil {
		return models
	}
	wait := time.NewTimer(callerWait)
	defer wait.Stop()
	select {
	case <-done:
	case <-wait.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.models
}

// Has reports whether a provider's live list has a model; false where no list can be
// had in time.
func (l *Lists) Has(ctx context.Context, p *provider.Provider, cred pipeline.Credential, model string) bool {
	return slices.ContainsFunc(l.Live(ctx, p, cred), func(m Info) bool { return m.ID == model })
}

// Limits gives how many tokens a provider's list says that a model reads and
// answers with at most; 0 where there is no list yet, or it does not say. It never
// fetches.
func (l *Lists) Limits(provider, model string) (input, output int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[provider]; e != nil {
		for i := range e.models {
			if e.models[i].ID == model {
				return e.models[i].Input, e.models[i].Output
			}
		}
	}
	return 0, 0
}

// Secrets shorter than these are not looked for: in an answer, and in an error.
const (
	minSecret      = 6
	minSecretError = 4
)

func (l *Lists) refresh(e *entry, p *provider.Provider) {
	defer l.running.Done()
	ctx, cancel := context.WithTimeout(l.base, fetchTimeout)
	defer cancel()
	models, err := l.fetch(ctx, p, e.cred)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		e.failed = l.cfg.Now()
		l.cfg.Logger.Debug("list models", "provider", p.Name, "error", redact.New(minSecretError, e.cred.Key).String(err.Error()))
	} else {
		e.models, e.fetched, e.failed = models, l.cfg.Now(), time.Time{}
	}
	close(e.done)
	e.done = nil
}

// fetch asks a provider for its models, in the dialect of its base URL.
func (l *Lists) fetch(ctx context.Context, p *provider.Provider, cred pipeline.Credential) ([]Info, error) {
	speaks, query := p.Primary(), ""
	switch speaks {
	case dialect.Anthropic:
		query = "limit=1000"
	case dialect.Gemini:
		query = "pageSize=1000"
	}
	e, err := l.cfg.Client.Endpoint(p, cred, speaks)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("provider %s has no list", p.Name)
	}
	req := &upstream.Request{
		Endpoint: e, Method: http.MethodGet, Path: "/models", Query: query,
		Header: http.Header{"User-Agent": {"hostless/" + l.cfg.Version}, "Accept": {"application/json"}},
	}
	resp, err := l.cfg.Client.Do(ctx, req, cred.Key, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxList))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return parse(redact.New(minSecret, cred.Key).Bytes(data))
}
