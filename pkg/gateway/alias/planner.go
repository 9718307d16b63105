package alias

import (
	"context"
	"net/http"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// Limits of one call: the number of attempts over all of its targets, and the time since
// its arrival after which no further target is tried.
const (
	maxAttempts = 8
	maxTime     = time.Minute
)

// Planner replaces the candidates of a call for an alias by those of all its targets, in
// order, as the Inner planner returns them. Other calls go to Inner unchanged.
type Planner struct {
	Inner pipeline.Planner            // required
	Table func(*pipeline.Call) *Table // required; called once for each call, so it must be fast
	Now   func() time.Time            // required
}

// Candidates implements pipeline.Planner. A target that is outside the scope of the token,
// or cannot be used (no provider key, or a locked one), is skipped if another one remains.
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
		return nil, &fault.Error{Kind: fault.Scope, Message: "this bridge token may use none of the targets of alias \"" + call.Model + "\"", Param: "model", Code: "model_not_allowed"}
	}
	return nil, outside
}

// run tracks one call over the targets of an alias. It is used by the goroutine of the call
// only.
type run struct {
	planner  *Planner
	call     *pipeline.Call
	groups   int
	left     int // targets up to this one are no longer tried
	attempts int
}

// wrap adds the candidates of one target to the run.
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

// movesOn reports whether the next target is tried after an outcome: if the provider has
// failed, is overloaded or refuses the key. If it refuses the request itself, its response
// goes to the caller.
func movesOn(o *pipeline.Outcome) bool {
	switch o.Kind {
	case pipeline.ProviderUnreachable, pipeline.ProviderTimeout, pipeline.ProviderIncomplete, pipeline.ProviderUnauthorized, pipeline.ProviderRateLimited:
		return true
	}
	return o.Status >= 500 || o.Status == http.StatusRequestTimeout
}
