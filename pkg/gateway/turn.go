package gateway

import (
	"context"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/usage"
)

// choose plans where a WebSocket goes: to the first candidate for a model, "" for the
// provider's own choice. A connection has no other attempts.
func (c *exchange) choose(ctx context.Context, model string) error {
	c.Call.Model = model
	candidates, err := c.candidates(ctx)
	if err != nil {
		return err
	}
	c.to = candidates[0]
	c.outcome.Candidate = c.to
	return nil
}

// turn is one response.create on a WebSocket to a provider: a call of its own.
type turn struct {
	g      *Gateway
	call   pipeline.Call
	to     pipeline.Candidate
	settle func(pipeline.Outcome)
}

// beginTurn admits a message that asks for a response.
func (c *exchange) beginTurn(ctx context.Context, model string, data []byte) (*turn, error) {
	t := &turn{g: c.g, call: c.Call, to: c.to}
	t.call.ID, t.call.Start, t.call.Method = c.g.ids.next(), c.g.cfg.Now(), "POST"
	t.call.Stream, t.call.Body, t.call.Size = true, data, int64(len(data))
	if model != "" {
		t.call.Model, t.to.Model = model, model
	}
	settle, err := c.g.seams.Admit(ctx, &t.call, []pipeline.Candidate{t.to})
	if err != nil {
		c.g.seams.Done(&t.call, pipeline.Outcome{Kind: pipeline.KindOf(err), Err: err, Start: t.call.Start, End: c.g.cfg.Now(), Stream: true})
		return nil, err
	}
	t.settle = settle
	return t, nil
}

// end concludes the turn with what the provider reported, or why it did not.
func (t *turn) end(report usage.Report, reported bool, kind pipeline.ErrorKind) {
	o := pipeline.Outcome{
		Candidate: t.to, Status: 200, Kind: kind, Stream: true, Usage: report, Reported: reported,
		Start: t.call.Start, End: t.g.cfg.Now(), Committed: true,
	}
	t.g.seams.Attempt(&t.call, o)
	o.Attempts = []pipeline.Attempt{{
		Provider: t.to.Provider.Name, KeyLabel: t.to.Credential.Label, Model: t.to.Model,
		Status: o.Status, Kind: kind, Duration: o.End.Sub(o.Start),
	}}
	t.settle(o)
	t.g.seams.Done(&t.call, o)
}

// attempted notes how the one attempt of a WebSocket's connection went.
func (c *exchange) attempted(result respond.Result, err error) {
	o := &c.outcome
	o.Candidate, o.Start, o.End = c.to, c.Call.Start, c.g.cfg.Now()
	o.Status, o.Kind, o.Err, o.Usage, o.Reported = result.Status, result.Kind, err, result.Usage, result.Reported
	if o.Kind == "" {
		o.Kind = errorKind(err)
	}
	c.g.seams.Attempt(&c.Call, *o)
	o.Attempts = append(o.Attempts, pipeline.Attempt{
		Provider: c.to.Provider.Name, KeyLabel: c.to.Credential.Label, Model: c.to.Model,
		Status: o.Status, Kind: o.Kind, Duration: o.End.Sub(o.Start),
	})
}
