package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// maxWait is how long a call waits for those in flight where a budget is not spent but
// all that is left of it is held in reserve: most requests use much less than they hold.
const maxWait = 5 * time.Second

// Admit implements pipeline.Admitter: it holds an estimate of what the call will use in
// all budgets that apply, or refuses it with the code budget_exceeded. What was held is
// taken back with the call's row (Count), or at the latest when it is done.
func (r *Room) Admit(ctx context.Context, call *pipeline.Call, candidates []pipeline.Candidate) (func(pipeline.Outcome), error) {
	if call.List || len(candidates) == 0 || !r.some.Load() {
		return nil, nil
	}
	if err := r.await(ctx); err != nil {
		return nil, err
	}
	h, est := r.hold(call, candidates)
	var limit <-chan time.Time
	for {
		released, err := r.take(call, h, est)
		if err == nil || released == nil {
			return nil, err
		}
		if limit == nil {
			timer := time.NewTimer(maxWait)
			defer timer.Stop()
			limit = timer.C
		}
		select {
		case <-released:
		case <-limit:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// await waits until the request log has been read.
func (r *Room) await(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	default:
	}
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hold returns what a call is to hold, and the estimate for its first candidate.
func (r *Room) hold(call *pipeline.Call, candidates []pipeline.Candidate) (*held, estimate) {
	h := &held{key: callerOf(call)}
	book := r.cfg.Prices()
	var first estimate
	for i := range candidates {
		to := &candidates[i]
		est := estimateOf(call, to, book)
		if i == 0 {
			first, h.key.Provider = est, to.Provider.Name
		} else if to.Provider.Name != h.key.Provider {
			h.more = append(h.more, to.Provider.Name)
		}
		h.counts.USD = max(h.counts.USD, est.USD)
		h.counts.Tokens = max(h.counts.Tokens, est.Tokens)
		h.counts.Requests = 1
	}
	return h, first
}

func callerOf(call *pipeline.Call) (k key) {
	if g := call.Grant; g != nil {
		k.App, k.Token, k.Name = g.Run(), g.Prefix(), g.Name()
	}
	return k
}

// take holds h in every budget that it is in, or in none. With an error, released is not
// nil where another call's end may make room.
func (r *Room) take(call *pipeline.Call, h *held, est estimate) (released <-chan struct{}, err error) {
	refuse := r.cfg.Refuse()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(r.cfg.Now())
	for _, b := range r.budgets {
		if !b.scope.covers(&h.key) {
			continue
		}
		if err := r.refuses(call, b, est, refuse); err != nil {
			return nil, err
		}
		if b.unit != Requests && b.used+b.reserved >= b.limit && !(est.free && b.unit == USD) {
			r.waiting++
			return r.released, r.spent(call, b)
		}
		if b.unit == Requests && b.used+b.reserved >= b.limit {
			return nil, r.spent(call, b)
		}
	}
	r.calls[call.ID] = h
	r.reserve(h, 1)
	if r.onHold != nil {
		r.onHold(Held{call.ID, h.more, h.key, h.counts})
	}
	return nil, nil
}

// refuses tells whether a budget that applies refuses a call whatever is in flight: it is
// spent, or the call's price is not known where that is refused. What costs nothing is
// never refused for want of dollars. r.mu is held.
func (r *Room) refuses(call *pipeline.Call, b *budget, est estimate, refuseUnpriced bool) error {
	if b.unit == USD && est.free {
		return nil
	}
	if b.used >= b.limit {
		return r.spent(call, b)
	}
	if b.unit == USD && est.unpriced && refuseUnpriced {
		return &fault.Error{
			Kind: kindFor(fault.Spent, call.Dialect), Code: pipeline.CodeBudgetExceeded, NoRetry: true, Param: "model",
			Message: fmt.Sprintf("the price of %.80s is not known, and budget %s (%s, %s a %s) refuses what it cannot count: give it a price in config.json, or type the command", est.model, b.id, b.scope, b.amount(b.limit), b.period),
			Next:    "hostless config set budget-unpriced allow",
		}
	}
	return nil
}

// spent is the error of a budget that has nothing left; r.mu is held.
func (r *Room) spent(call *pipeline.Call, b *budget) *fault.Error {
	reserved := ""
	if b.reserved > 0 && b.used < b.limit {
		reserved = fmt.Sprintf(" and %s held for requests in flight", b.amount(b.reserved))
	}
	if !b.refused {
		b.refused = true
		go r.cfg.Logger.Warn("a budget refuses requests", "budget", b.id, "of", r.cfg.Redact(b.scope.String()), "used", b.amount(b.used).String(),
			"reserved", b.amount(b.reserved).String(), "limit", b.amount(b.limit).String(), "period", b.period, "resets_at", b.to)
	}
	return &fault.Error{
		Kind: kindFor(fault.Spent, call.Dialect), Code: pipeline.CodeBudgetExceeded, NoRetry: true,
		Message: fmt.Sprintf("budget %s (%s, %s a %s) is spent: %s used%s; it resets at %s, or is raised by the command",
			b.id, b.scope, b.phrase(b.limit), b.period, b.phrase(b.used), reserved, b.to.Format("2006-01-02 15:04 MST")),
		Next: "hostless budget raise " + b.id + " AMOUNT",
	}
}

// phrase is an amount with its unit.
func (b *budget) phrase(n int64) string {
	if b.unit == USD {
		return b.amount(n).String()
	}
	return b.amount(n).String() + " " + b.unit
}

// Refuses implements pipeline.Refuser: a candidate that a spent budget applies to is
// passed over where there is another one. What is held by calls in flight alone does
// not have a call go elsewhere.
func (r *Room) Refuses(call *pipeline.Call, to *pipeline.Candidate) error {
	if call.List || !r.some.Load() {
		return nil
	}
	select {
	case <-r.ready:
	default:
		return nil // Admit waits
	}
	k, est, refuse := callerOf(call), estimateOf(call, to, r.cfg.Prices()), r.cfg.Refuse()
	k.Provider = to.Provider.Name
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(r.cfg.Now())
	for _, b := range r.budgets {
		if b.scope.covers(&k) {
			if err := r.refuses(call, b, est, refuse); err != nil {
				return err
			}
		}
	}
	return nil
}
