package gateway

import (
	"context"
	"net/http"

	"github.com/hostless/hostless/pkg/gateway/body"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
	"github.com/hostless/hostless/pkg/gateway/realtime"
)

// serveSocket serves a WebSocket. The outcome of the session becomes that of the exchange,
// also after a panic.
func (c *exchange) serveSocket(ctx context.Context) error {
	c.HTTP = c.HTTP.WithContext(ctx)
	s := &realtime.Session{Config: c.g.realtime, Request: &c.Request, Writer: c.w}
	defer func() { c.outcome, c.settle, c.perTurn = s.Outcome, s.Settle, s.PerTurn }()
	return s.Serve()
}

// socketPipeline implements realtime.Pipeline.
type socketPipeline struct{ g *Gateway }

// Candidates implements realtime.Pipeline.
func (p socketPipeline) Candidates(ctx context.Context, r *plan.Request) ([]pipeline.Candidate, error) {
	return p.g.candidates(ctx, r)
}

// Post implements realtime.Pipeline.
func (p socketPipeline) Post(ctx context.Context, w http.ResponseWriter, m *realtime.Post) error {
	c := p.g.newExchange(w, m.HTTP, m.Matched)
	c.Call.Grant, c.Call.Provider, c.Call.Socket = m.Session.Call.Grant, m.Session.Call.Provider, true
	c.Settings.Aliases = aliasesFor(c.Settings.Aliases, c.Call.Grant)
	c.Connection = m.Connection
	err := c.post(ctx, m)
	c.conclude(err)
	return err
}

// post serves one message.
func (c *exchange) post(ctx context.Context, m *realtime.Post) error {
	if err := c.setBody(m.Body); err != nil {
		return err
	}
	candidates, err := c.g.candidates(ctx, &c.Request)
	if err != nil {
		return err
	}
	data, err := m.Expand(&c.Request, &candidates[0])
	if err != nil {
		return err
	}
	if data == nil {
		c.perTurn = true // answered without a model: there is no call to observe
		return nil
	}
	c.Call.Body, c.BodyRead, c.Call.Size = data, true, int64(len(data))
	if c.Envelope, err = body.Parse(data); err != nil {
		return err
	}
	return c.dispatch(candidates)
}
