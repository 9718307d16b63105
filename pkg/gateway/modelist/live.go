// Package modelist lists models: it fetches and caches the providers' live lists, and
// combines them into one list in the format of each dialect, whole or in pages.
//
// The caller passes the providers to query, the models that may be listed, and their names.
// Package provider routes by model name; package dialect/ollama encodes Ollama's lists.
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
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/redact"
)

const (
	freshFor     = 5 * time.Minute  // how long a list is considered fresh
	retryAfter   = 15 * time.Second // delay before a failed fetch is repeated
	callerWait   = 4 * time.Second  // how long a request waits for the first list
	fetchTimeout = 15 * time.Second
	maxList      = 16 << 20 // bytes
)

// Info describes one model of a provider.
type Info struct {
	ID      string // the provider's name for it
	Title   string
	Created int64 // Unix seconds; 0 if unknown
	Owner   string
	Input   int             // context window in tokens; 0 if unknown
	Output  int             // maximum output tokens; 0 if unknown
	Purpose *prices.Purpose // from the provider's list; nil if the list does not show it
	Raw     json.RawMessage // the entry in Gemini's format, if it came from Gemini
}

// Config is the configuration for New.
type Config struct {
	Client  *upstream.Client // required
	Version string           // version of Hostless, for the User-Agent
	Now     func() time.Time // nil means time.Now
	Logger  *slog.Logger     // nil discards logs
	Stopped func() bool      // reports whether providers must not be contacted now; nil means never
}

// Lists caches the live model lists of providers. Concurrent requests share one fetch,
// stale lists are refreshed in the background, and a list is kept while its provider is
// down. It is safe for concurrent use.
type Lists struct {
	cfg Config

	mu      sync.Mutex
	entries map[string]*entry // by provider
	base    context.Context   // context of the background fetches
	stop    context.CancelFunc
	running sync.WaitGroup
}

type entry struct {
	cred    pipeline.Credential
	models  []Info
	fetched time.Time
	failed  time.Time     // time of the last failed fetch
	done    chan struct{} // non-nil while a fetch runs; closed at its end
}

// New returns an empty set of lists.
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

// Close cancels background fetches and waits for their end.
func (l *Lists) Close() {
	l.mu.Lock()
	l.stop()
	l.mu.Unlock()
	l.running.Wait()
}

// Live returns a provider's live list, or nil if none arrives in time. A stale list is
// returned at once and refreshed in the background. The result must not be modified.
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

// Has reports whether a provider's live list contains a model. It is false if no list
// arrives in time.
func (l *Lists) Has(ctx context.Context, p *provider.Provider, cred pipeline.Credential, model string) bool {
	return slices.ContainsFunc(l.Live(ctx, p, cred), func(m Info) bool { return m.ID == model })
}

// Limits returns the context window and the maximum output of a model, in tokens, from the
// provider's cached list; 0 if unknown. It never fetches.
func (l *Lists) Limits(provider, model string) (input, output int) {
	if m := l.find(provider, model); m != nil {
		return m.Input, m.Output
	}
	return 0, 0
}

// Purpose returns the purpose of a model from the provider's cached list; nil if unknown. It
// never fetches.
func (l *Lists) Purpose(provider, model string) *prices.Purpose {
	if m := l.find(provider, model); m != nil {
		return m.Purpose
	}
	return nil
}

// find returns a model of a cached list; nil if there is none. The result must not be
// changed.
func (l *Lists) find(provider, model string) *Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[provider]; e != nil {
		for i := range e.models {
			if e.models[i].ID == model {
				return &e.models[i]
			}
		}
	}
	return nil
}

// The minimum lengths of keys that are redacted in responses and in errors.
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

// fetch requests a provider's list of models, in the dialect of its base URL.
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
		return nil, fmt.Errorf("provider %s does not list its models", p.Name)
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
