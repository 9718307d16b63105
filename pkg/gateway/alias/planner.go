package alias

import (
	"context"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// Limits of one call: of attempts over all of its targets, and of the time after its
// arrival in which another target is tried.
const (
	maxAttempts = 8
	maxTime     = time.Minute
)

// Planner makes a call for an alias one for each of its targets, in their order:
// those of the planner that it wraps, one after the other.
type Planner struct {
	Inner pipeline.Planner            // required
	Table func(*pipeline.Call) *Table // required; called once a call, so cheap
	Now   func() time.Time            // required
}

// Candidates implements pipeline.Planner. A target that the token does not reach, or
// that cannot be called (no key, a locked one), is passed over where another one is
// left.
func (p *Planner) Candidates(ctx context.Context, call *pipeline.Call) ([]pipeline.Candidate, error) {
	targets := p.Table(call).Targets(call.Model)
	if targets == nil {
		return p.Inner.Candidates(ctx, call)
	}
	r := &run{planner: p, call: call}
	var all []pipeline.Candidate
	var outside, failed error
	for _, target := range targets {
		found, err := p.Inner.Candidates(ctx, call.As(target))
		switch {
		case ctx.Err() != nil:
			return nil, err
		case fault.Is(err, fault.Scope):
			outside = err
		case err != nil && failed == nil:
			failed = err
		case err == nil:
			all = append(all, r.wrap(found)...)
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case failed != nil:
		return nil, failed
	case len(targets) > 1:
		return nil, &fault.Error{Kind: fault.Scope, Message: "this bridge token may use none of the models that \"" + call.Model + "\" stands for", Param: "model", Code: "model_not_allowed"}
	}
	return nil, outside
}

// run is one call on its way over the targets of an alias. It belongs to the call's
// goroutine.
type run struct {
	planner  *Planner
	call     *pipeline.Call
	groups   int
	left     int // the target up to which nothing more is expected
	attempts int
}

// wrap makes the candidates of one target a part of the run.
func (r *run) wrap(found []pipeline.Candidate) []pipeline.Candidate {
	r.groups++
	group := r.groups
	for i := range found {
		usable, retry := found[i].Usable, found[i].Retry
		found[i].Usable = func() bool { return group > r.left && (usable == nil || usable()) }
		found[i].Retry = func(o pipeline.Outcome) bool {
			if r.attempts++; r.attempts >= maxAttempts {
				return false
			}
			if retry != nil && retry(o) {
				return true
			}
			if group == r.groups || !movesOn(&o) || r.planner.Now().Sub(r.call.Start) > maxTime {
				return false
			}
			r.left = group
			return true
		}
	}
	return found
}

// movesOn reports whether the next target is tried after an outcome: the provider has
// a fault, no room, or does not take the key. What it makes of the request itself is
// the caller's to know.
func movesOn(o *pipeline.Outcome) bool {
	switch o.Kind {
	case pipeline.ProviderUnreachable, pipeline.ProviderTimeout, pipeline.ProviderIncomplete, pipeline.ProviderUnauthorized, pipeline.ProviderRateLimited:
		return true
	}
	return o.Status >= 500 || o.Status == http.StatusRequestTimeout
}
