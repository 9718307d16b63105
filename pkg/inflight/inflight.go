// Package inflight tracks the AI requests that are being served, and their
// progress.
//
// It is an Admitter of the gateway's pipeline that admits every request. Requests
// that have ended belong to package reqlog.
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

// Request is a request in flight.
type Request struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"` // arrival, UTC
	App       string    `json:"app"`  // NAME of the run that owns the token, or ""
	Token     string    `json:"token"`
	TokenName string    `json:"token_name"`
	Client    string    `json:"client"`
	Model     string    `json:"model"`    // as the client named it
	Provider  string    `json:"provider"` // of the first candidate
	ElapsedMS int64     `json:"elapsed_ms"`
	FirstMS   *int64    `json:"first_event_ms"` // since arrival; null before the first event
	// Tokens is the number of events of the stream so far. An event has about one
	// token.
	Tokens    int64   `json:"tokens"`
	PerSecond float64 `json:"tokens_per_second"` // since the first event
}

// Config configures a Room. The zero value is usable.
type Config struct {
	Redact func(string) string // removes secrets from text that clients chose; nil keeps it as it is
	Now    func() time.Time    // default time.Now
}

// Room tracks the requests in flight. It is safe for concurrent use.
type Room struct {
	cfg  Config
	mu   sync.Mutex
	open []*flight // in no particular order
}

type flight struct {
	call     *pipeline.Call
	provider string
	at       int // its index in Room.open; -1 once it is removed
}

// New returns a Room.
func New(cfg Config) *Room {
	if cfg.Redact == nil {
		cfg.Redact = func(s string) string { return s }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Room{cfg: cfg}
}

// Admit implements pipeline.Admitter.
func (r *Room) Admit(_ context.Context, call *pipeline.Call, candidates []pipeline.Candidate) (func(pipeline.Outcome), error) {
	f := &flight{call: call}
	if len(candidates) > 0 && candidates[0].Provider != nil {
		f.provider = candidates[0].Provider.Name
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.at = len(r.open)
	r.open = append(r.open, f)
	return func(pipeline.Outcome) { r.remove(f) }, nil
}

// remove forgets a request. Further calls do nothing.
func (r *Room) remove(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.at < 0 {
		return
	}
	end := len(r.open) - 1
	r.open[f.at] = r.open[end]
	r.open[f.at].at = f.at
	r.open[end] = nil
	r.open, f.at = r.open[:end], -1
}

// List returns the requests in flight, oldest first.
func (r *Room) List() []Request {
	now := r.cfg.Now()
	r.mu.Lock()
	out := make([]Request, 0, len(r.open))
	for _, f := range r.open {
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

// maxText is the maximum length of text that clients choose.
const maxText = 200

// view copies what is shown, so that nothing retains the request's body.
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
		if elapsed := now.Sub(first).Seconds(); elapsed > 0 && n > 1 {
			v.PerSecond = float64(int64(float64(n-1)/elapsed*10+0.5)) / 10
		}
	}
	return v
}
