// Package inflight knows the AI requests that are being answered now, and how far each
// has come.
//
// It is an Admitter of the gateway's pipeline that admits all. What has ended is package
// reqlog's.
package inflight

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/reqlog"
)

// Request is one that is being answered.
type Request struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"` // its arrival, UTC
	App       string    `json:"app"`  // the NAME of the run that holds the token, or ""
	Token     string    `json:"token"`
	TokenName string    `json:"token_name"`
	Client    string    `json:"client"`
	Model     string    `json:"model"`    // by the caller's name for it
	Provider  string    `json:"provider"` // where it is tried first
	ElapsedMS int64     `json:"elapsed_ms"`
	FirstMS   *int64    `json:"first_event_ms"` // after the arrival; null where no event came yet
	// Tokens counts the events of the stream so far, which have about a token each.
	Tokens    int64   `json:"tokens"`
	PerSecond float64 `json:"tokens_per_second"` // since the first event
}

// Config is what New needs. Its zero value is fine.
type Config struct {
	Redact func(string) string // takes secrets out of what callers chose; nil is none
	Now    func() time.Time    // time.Now when nil
}

// Room is the requests in flight. It is safe for concurrent use.
type Room struct {
	cfg  Config
	mu   sync.Mutex
	open map[*flight]struct{}
}

type flight struct {
	call     *pipeline.Call
	provider string
}

// New makes a Room.
func New(cfg Config) *Room {
	if cfg.Redact == nil {
		cfg.Redact = func(s string) string { return s }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Room{cfg: cfg, open: map[*flight]struct{}{}}
}

// Admit implements pipeline.Admitter.
func (r *Room) Admit(_ context.Context, call *pipeline.Call, candidates []pipeline.Candidate) (func(pipeline.Outcome), error) {
	f := &flight{call: call}
	if len(candidates) > 0 && candidates[0].Provider != nil {
		f.provider = candidates[0].Provider.Name
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[f] = struct{}{}
	return func(pipeline.Outcome) {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, f)
	}, nil
}

// Len counts them.
func (r *Room) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// List returns them, oldest first.
func (r *Room) List() []Request {
	now := r.cfg.Now()
	r.mu.Lock()
	out := make([]Request, 0, len(r.open))
	for f := range r.open {
		out = append(out, f.view(now))
	}
	r.mu.Unlock()
	for i := range out {
		out[i].Client = r.cfg.Redact(reqlog.ClientName(out[i].Client))
		out[i].Model, out[i].TokenName = r.cfg.Redact(out[i].Model), r.cfg.Redact(out[i].TokenName)
	}
	slices.SortFunc(out, func(a, b Request) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	return out
}

// maxText bounds what callers choose.
const maxText = 200

// view copies what is shown: nothing of it keeps the request's body.
func (f *flight) view(now time.Time) Request {
	c := f.call
	v := Request{
		ID: c.ID, Time: c.Start.UTC(), Client: strings.Clone(c.Client), Model: strings.ToValidUTF8(strings.Clone(c.Model[:min(len(c.Model), maxText)]), "\ufffd"),
		Provider: f.provider, ElapsedMS: max(0, now.Sub(c.Start).Milliseconds()),
	}
	if g := c.Grant; g != nil {
		v.App, v.Token, v.TokenName = g.Run(), g.Prefix(), g.Name()
	}
	n, first := c.Progress.Events()
	if v.Tokens = n; !first.IsZero() {
		ms := max(0, first.Sub(c.Start).Milliseconds())
		v.FirstMS = &ms
		if took := now.Sub(first).Seconds(); took > 0 && n > 1 {
			v.PerSecond = float64(int64(float64(n-1)/took*10+0.5)) / 10
		}
	}
	return v
}
