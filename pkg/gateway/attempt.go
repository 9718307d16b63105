package gateway

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/endpoint"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/upstream"
	"github.com/hostless/hostless/pkg/gateway/usage"
)

// verdict is what follows from an attempt.
type verdict int

const (
	accepted verdict = iota // the caller gets its response or error
	tryNext                 // try the next candidate
	refused                 // try a fallback for the same candidate
)

// attempts tries the plans in order until one is accepted. Nothing is sent to the caller
// before that, and no other plan is tried after it.
func (c *exchange) attempts(plans []plan.Plan) error {
	ctx, cancel := c.context()
	defer cancel()
	var err error
	for i := 0; i < len(plans); {
		p := &plans[i]
		fallbacks := plan.Fallbacks(plans[i+1:])
		more := otherCandidate(plans[i+1:])
		if more && !p.Fallback && p.To.Usable != nil && !p.To.Usable() {
			i += 1 + len(fallbacks)
			continue
		}
		if p.To.Wait > 0 && !p.Fallback && len(c.outcome.Attempts) > 0 {
			wait(ctx, p.To.Wait)
		}
		var result verdict
		var fallback int
		if result, fallback, err = c.attempt(ctx, p, more, fallbacks); result == accepted {
			break
		}
		i++
		if result == refused {
			i += fallback
		} else {
			i += len(fallbacks)
		}
	}
	return err
}

// wait waits for d, or until ctx is done.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// otherCandidate reports whether rest has a plan for another candidate.
func otherCandidate(rest []plan.Plan) bool {
	for i := range rest {
		if !rest[i].Fallback {
			return true
		}
	}
	return false
}

// attempt sends the call to one candidate. more means that another candidate may be tried
// after it. If the verdict is refused, fallback is the index of the fallback to try.
func (c *exchange) attempt(ctx context.Context, p *plan.Plan, more bool, fallbacks []plan.Plan) (result verdict, fallback int, err error) {
	c.outcome = pipeline.Outcome{Candidate: *p.To, Start: c.g.cfg.Now(), Attempts: c.outcome.Attempts}
	if answer := p.Answer; answer != nil || p.Estimate != nil {
		if p.Estimate != nil {
			if answer, err = p.Estimate(); err != nil {
				return accepted, 0, err
			}
		}
		c.answer(p.To, nil).SetHeaders(c.w.Header())
		return accepted, 0, c.write(answer)
	}
	req, call, err := c.Prepare(p)
	if i := plan.Anyway(fallbacks); err != nil && i >= 0 {
		return refused, i, nil
	}
	if err != nil {
		return accepted, 0, err
	}
	o := &c.outcome
	o.Ignored = c.Ignored
	a := c.answer(p.To, o.Ignored)
	result, fallback, err = c.tryOnce(ctx, p, req, call, a, more, fallbacks)
	o.Err, o.End, o.Committed, o.Sent = err, c.g.cfg.Now(), c.w.Committed(), c.w.Sent()
	if o.Kind == "" {
		o.Kind = respond.KindOf(err)
	}
	if o.Stream && o.Kind.Aborted() && !o.Reported && c.events > 1 {
		o.Usage, o.Estimated = usage.Estimate(c.Call.Body, c.events), true
	}
	if result == accepted && err != nil && more && !o.Committed && c.mayRetry(ctx, p) {
		c.w.Discard()
		result = tryNext
	}
	o.Attempts = append(o.Attempts, pipeline.Attempt{
		Provider: p.To.Provider.Name, KeyLabel: p.To.Credential.Label, Model: p.To.Model,
		Status: o.Status, Kind: o.Kind, Duration: o.End.Sub(o.Start), Start: o.Start, FirstByte: o.FirstByte,
	})
	one := *o
	one.Attempts = nil
	c.g.seams.Attempt(&c.Call, one)
	return result, fallback, err
}

// tryOnce sends the request and, if the response is accepted, forwards it.
func (c *exchange) tryOnce(ctx context.Context, p *plan.Plan, req *upstream.Request, call *dialect.Call, a *respond.Answer, more bool, fallbacks []plan.Plan) (verdict, int, error) {
	o := &c.outcome
	early := respond.Informational{Writer: c.w, Redactor: a.RedactError, Hold: more || slices.ContainsFunc(fallbacks, func(p plan.Plan) bool { return !p.Repairs() })}
	resp, err := c.g.up.Do(ctx, req, p.To.Credential.Key, early.Got)
	if i := plan.Anyway(fallbacks); err != nil && i >= 0 && ctx.Err() == nil {
		return refused, i, nil
	}
	if err != nil {
		return accepted, 0, respond.Canceled(ctx, upstream.Error(p.To.Provider.Name, err))
	}
	first := &upstream.FirstByte{ReadCloser: resp.Body, Now: c.g.cfg.Now}
	resp.Body = first
	defer resp.Body.Close()
	defer func() { o.FirstByte = first.At }()
	if i := c.Planner.ChooseFallback(ctx, resp, p, fallbacks); i >= 0 {
		o.Status, o.Kind = resp.StatusCode, pipeline.KindOfStatus(resp.StatusCode)
		return refused, i, nil
	}
	keyRefused := false // under a status that does not say so
	if resp.StatusCode >= 400 {
		o.RetryAfter = upstream.RetryAfter(resp.Header, c.g.cfg.Now())
		keyRefused = upstream.KeyRefused(ctx, resp)
	}
	if resp.StatusCode >= 400 && more {
		o.Status, o.Kind = resp.StatusCode, kindOf(resp.StatusCode, keyRefused)
		if c.mayRetry(ctx, p) {
			io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be reused
			return tryNext, 0, nil
		}
	}
	early.Release()
	var result respond.Result
	if call == nil {
		result, err = a.Pass(ctx, c.w, resp)
	} else {
		result, err = a.Translate(ctx, c.w, resp, call, p.Endpoint.Dialect)
	}
	c.events = result.Events
	o.Status, o.Kind, o.Stream, o.Usage, o.Reported = result.Status, result.Kind, result.Stream, result.Usage, result.Reported
	if keyRefused {
		o.Kind = pipeline.ProviderUnauthorized
	}
	return accepted, 0, err
}

// kindOf classifies a provider's status. keyRefused means that it refused the key.
func kindOf(status int, keyRefused bool) pipeline.ErrorKind {
	if keyRefused {
		return pipeline.ProviderUnauthorized
	}
	return pipeline.KindOfStatus(status)
}

// mayRetry reports whether the next candidate may be tried after the outcome of this one,
// which its Retry decides. It returns false if the caller or Hostless ended the call.
func (c *exchange) mayRetry(ctx context.Context, p *plan.Plan) bool {
	return ctx.Err() == nil && c.repeatable() && p.To.Retry != nil && p.To.Retry(c.outcome)
}

// repeatable reports whether the body can be sent again.
func (c *exchange) repeatable() bool {
	if c.Form != nil {
		return c.Form.Repeatable()
	}
	return c.BodyRead || c.Call.Size == 0
}

// answer returns the data for the response to the call.
func (c *exchange) answer(to *pipeline.Candidate, ignored []string) *respond.Answer {
	a := &respond.Answer{
		Request: c.HTTP, Caller: c.Call.Dialect, Provider: to.Credential.Provider, Model: to.Model,
		Attempts: len(c.outcome.Attempts) + 1, Upload: c.Matched.Upload, DropUsage: c.DropUsage, Watch: c.Watch, Ignored: ignored, Progress: &c.progress,
	}
	a.Redact, a.RedactError = c.g.redactors.Get(to)
	switch c.Matched.Kind {
	case endpoint.Chat, endpoint.Completions, endpoint.Generate:
		a.Events = c.Matched.Dialect
	}
	return a
}
