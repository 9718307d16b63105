package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/provider"
	"github.com/hostless/hostless/pkg/redact"
)

// How long a provider's list of models is taken as it is, how long one that
// could not be had is not asked for again, and how long a caller waits for a
// list that is not there yet.
const (
	listFresh   = 5 * time.Minute
	listBackoff = 15 * time.Second
	listWait    = 4 * time.Second
	listTimeout = 15 * time.Second
	listLimit   = 16 << 20
)

// modelInfo is one model of a provider.
type modelInfo struct {
	ID      string // as the provider names it
	Title   string
	Created int64 // Unix seconds, 0 unknown
	Owner   string
	Input   int             // context in tokens, 0 unknown
	Output  int             // most tokens of an answer, 0 unknown
	Raw     json.RawMessage // Gemini's own entry
}

// lister keeps the providers' live lists: fetched once for all who ask at the
// same time, refreshed in the background, and kept where a provider is down.
type lister struct {
	g       *Gateway
	mu      sync.Mutex
	entries map[string]*listing
	base    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
}

type listing struct {
	cred   Credential
	models []modelInfo
	at     time.Time     // when models were fetched
	failed time.Time     // when fetching failed last
	done   chan struct{} // open while a fetch runs
}

func newLister(g *Gateway) *lister {
	l := &lister{g: g, entries: map[string]*listing{}}
	l.base, l.end = context.WithCancel(context.Background())
	return l
}

// close ends what runs in the background and waits for it.
func (l *lister) close() {
	l.mu.Lock()
	l.end()
	l.mu.Unlock()
	l.running.Wait()
}

// get gives a provider's live list; nil where none can be had in time.
func (l *lister) get(ctx context.Context, p *provider.Provider, cred Credential) []modelInfo {
	now := l.g.cfg.Now()
	l.mu.Lock()
	e := l.entries[p.Name]
	if e == nil || e.cred.BaseURL != cred.BaseURL || e.cred.Dialect != cred.Dialect || e.cred.AllowPrivate != cred.AllowPrivate || !e.cred.Key.Equal(cred.Key) {
		e = &listing{cred: cred}
		l.entries[p.Name] = e
	}
	stale := e.at.IsZero() || now.Sub(e.at) > listFresh
	if stale && e.done == nil && (e.failed.IsZero() || now.Sub(e.failed) > listBackoff) && l.base.Err() == nil {
		e.done = make(chan struct{})
		l.running.Add(1)
		go l.refresh(e, p)
	}
	models, done := e.models, e.done
	l.mu.Unlock()
	if models != nil || done == nil {
		return models
	}
	wait := time.NewTimer(listWait)
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

// output is how many tokens a provider's list says that a model answers with at
// most; 0 where there is no list yet, or it does not say.
func (l *lister) output(name, model string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[name]; e != nil {
		for i := range e.models {
			if e.models[i].ID == model {
				return e.models[i].Output
			}
		}
	}
	return 0
}

func (l *lister) refresh(e *listing, p *provider.Provider) {
	defer l.running.Done()
	ctx, cancel := context.WithTimeout(l.base, listTimeout)
	defer cancel()
	models, err := l.fetch(ctx, p, e.cred)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		e.failed = l.g.cfg.Now()
		l.g.cfg.Logger.Debug("list models", "provider", p.Name, "error", redact.New(minSecretError, e.cred.Key).String(err.Error()))
	} else {
		e.models, e.at, e.failed = models, l.g.cfg.Now(), time.Time{}
	}
	close(e.done)
	e.done = nil
}

// fetch asks a provider for its models, in the dialect of its base URL.
func (l *lister) fetch(ctx context.Context, p *provider.Provider, cred Credential) ([]modelInfo, error) {
	speaks, query := p.Primary(), ""
	switch speaks {
	case dialect.Anthropic:
		query = "limit=1000"
	case dialect.Gemini:
		query = "pageSize=1000"
	}
	e, err := l.g.up.Endpoint(p, cred, speaks)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("provider %s has no list", p.Name)
	}
	o := &upstream.Request{Endpoint: e, Method: http.MethodGet, Path: "/models", Query: query, Header: http.Header{"User-Agent": {"hostless/" + l.g.cfg.Version}, "Accept": {"application/json"}}}
	resp, err := l.g.up.Do(ctx, o, cred.Key, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, listLimit))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return parseModels(redact.New(minSecret, cred.Key).Bytes(data))
}

// parseModels reads a list of models: OpenAI's and Anthropic's {"data":[…]},
// Gemini's {"models":[…]}, or a bare array.
func parseModels(data []byte) ([]modelInfo, error) {
	var doc struct {
		Data   []json.RawMessage `json:"data"`
		Models []json.RawMessage `json:"models"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		if err := json.Unmarshal(data, &doc.Data); err != nil {
			return nil, fmt.Errorf("the list of models is not JSON: %w", err)
		}
	}
	models := []modelInfo{}
	for _, raw := range doc.Data {
		var m struct {
			ID          string          `json:"id"`
			DisplayName string          `json:"display_name"`
			Name        string          `json:"name"`
			Created     json.RawMessage `json:"created"`
			CreatedAt   string          `json:"created_at"`
			OwnedBy     string          `json:"owned_by"`
			Context     int             `json:"context_length"`
			Window      int             `json:"context_window"`
			MaxIn       int             `json:"max_input_tokens"`
			MaxOut      int             `json:"max_completion_tokens"`
			MaxTokens   int             `json:"max_tokens"`
		}
		if json.Unmarshal(raw, &m) != nil || m.ID == "" {
			continue
		}
		info := modelInfo{ID: m.ID, Title: m.DisplayName, Owner: m.OwnedBy, Input: max(m.Context, m.Window, m.MaxIn), Output: max(m.MaxOut, m.MaxTokens)}
		if info.Title == "" {
			info.Title = m.Name
		}
		var seconds float64
		if json.Unmarshal(m.Created, &seconds) == nil {
			info.Created = int64(seconds)
		} else if at, err := time.Parse(time.RFC3339, m.CreatedAt); err == nil {
			info.Created = at.Unix()
		}
		models = append(models, info)
	}
	for _, raw := range doc.Models {
		var m struct {
			Name        string `json:"name"`
			DisplayName string `json:"displayName"`
			Input       int    `json:"inputTokenLimit"`
			Output      int    `json:"outputTokenLimit"`
		}
		if json.Unmarshal(raw, &m) != nil || m.Name == "" {
			continue
		}
		models = append(models, modelInfo{
			ID: strings.TrimPrefix(m.Name, "models/"), Title: m.DisplayName, Owner: "google", Input: m.Input, Output: m.Output, Raw: raw,
		})
	}
	return models, nil
}
