package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// maxWait is how long a call waits for the calls in flight if a budget is not
// spent, but all that is left is reserved: most requests use much less than they
// reserve.
const maxWait = 5 * time.Second

// Admit implements pipeline.Admitter: it reserves an estimate of what the call will
// use in all budgets that apply, or refuses the call with the code budget_exceeded.
// The reserve is released with the call's row (Count), or at the latest when the
// call is done.
func (r *Room) Admit(ctx context.Context, call *pipeline.Call, candidates []pipeline.Candidate) (func(pipeline.Outcome), error) {
	if call.List || len(candidates) == 0 {
		return nil, nil
	}
	if r.bad.Load() != nil {
		if err := r.refuseAll(call); err != nil {
			return nil, err
		}
	}
	if !r.some.Load() {
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

// hold returns the reserve of a call, and the estimate for its first candidate.
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

// take reserves h in every budget that applies, or in none. If err is not nil,
// released is not nil if the end of another call may make room.
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

// refuses returns an error if the budget refuses a call regardless of the calls in
// flight: because it is spent, or because the call's price is unknown and
// refuseUnpriced is set. A call that costs nothing is never refused by a budget in
// dollars. r.mu must be held.
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
			Message: fmt.Sprintf("the price of %.80s is not known, and budget %s (%s, %s a %s) refuses requests of unknown cost: add a price for the model to config.json, or allow such requests", est.model, b.id, b.scope, b.amount(b.limit), b.period),
			Next:    "hostless config set budget-unpriced allow",
		}
	}
	return nil
}

// spent returns the error of a budget that has nothing left. r.mu must be held.
func (r *Room) spent(call *pipeline.Call, b *budget) *fault.Error {
	reserved := ""
	if b.reserved > 0 && b.used < b.limit {
		reserved = fmt.Sprintf(" and %s reserved for requests in flight", b.amount(b.reserved))
	}
	if !b.refused {
		b.refused = true
		go r.cfg.Logger.Warn("a budget refuses requests", "budget", b.id, "of", r.cfg.Redact(b.scope.String()), "used", b.amount(b.used).String(),
			"reserved", b.amount(b.reserved).String(), "limit", b.amount(b.limit).String(), "period", b.period, "resets_at", b.to)
	}
	return &fault.Error{
		Kind: kindFor(fault.Spent, call.Dialect), Code: pipeline.CodeBudgetExceeded, NoRetry: true,
		Message: fmt.Sprintf("budget %s (%s, %s a %s) is spent: %s used%s; it resets at %s, or raise it",
			b.id, b.scope, b.phrase(b.limit), b.period, b.phrase(b.used), reserved, b.to.Format("2006-01-02 15:04 MST")),
		Next: "hostless budget raise " + b.id + " AMOUNT",
	}
}

// phrase formats an amount with its unit.
func (b *budget) phrase(n int64) string {
	if b.unit == USD {
		return b.amount(n).String()
	}
	return b.amount(n).String() + " " + b.unit
}

// Refuses implements pipeline.Refuser: a candidate to which a spent budget applies
// is skipped if there is another one. Reserves of calls in flight alone do not
// redirect a call.
func (r *Room) Refuses(call *pipeline.Call, to *pipeline.Candidate) error {
	if call.List || !r.some.Load() {
		return nil
	}
	select {
	case <-r.ready:
	default:
		return nil // Admit will wait
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
