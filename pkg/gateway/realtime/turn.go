package realtime

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/respond"
	"github.com/hostless/hostless/pkg/gateway/usage"
)

// choose plans where a WebSocket goes for a model ("" for the provider's default). The
// first candidate is tried first, the others only until one is connected.
func (s *Session) choose(ctx context.Context, model string) error {
	s.Call.Model = model
	candidates, err := s.Pipeline.Candidates(ctx, s.Request)
	if err != nil {
		return err
	}
	s.to, s.others = candidates[0], candidates[1:]
	s.Outcome.Candidate = s.to
	return nil
}

// turn is one response.create on a WebSocket to a provider, as a call of its own.
type turn struct {
	s      *Session
	call   pipeline.Call
	to     pipeline.Candidate
	settle func(pipeline.Outcome)

	event    string    // event_id of the caller's message
	first    time.Time // first provider message while this turn was the oldest; zero if none
	events   int64     // messages since then
	response string    // response ID, once the Realtime API has sent it
}

// beginTurn admits a message that requests a response.
func (s *Session) beginTurn(ctx context.Context, model string, data []byte) (*turn, error) {
	t := &turn{s: s, call: s.Call, to: s.to}
	t.call.ID, t.call.Start, t.call.Method = s.NewID(), s.Now(), "POST"
	t.call.Stream, t.call.Body, t.call.Size = true, data, int64(len(data))
	if model != "" {
		t.call.Model, t.to.Model = model, model
	}
	settle, err := s.Seams.Admit(ctx, &t.call, []pipeline.Candidate{t.to})
	if err != nil {
		s.Seams.Done(&t.call, pipeline.Outcome{Kind: pipeline.KindOf(err), Err: err, Start: t.call.Start, End: s.Now(), Stream: true, Planned: t.to.Model})
		return nil, err
	}
	t.settle = settle
	return t, nil
}

// end ends the turn with the usage that the provider reported, or with an error kind.
func (t *turn) end(report usage.Report, reported bool, kind pipeline.ErrorKind) {
	o := pipeline.Outcome{
		Candidate: t.to, Status: 200, Kind: kind, Stream: true, Usage: report, Reported: reported,
		Start: t.call.Start, FirstByte: t.first, End: t.s.Now(), Committed: true,
	}
	if kind.Aborted() && !reported && t.events > 1 {
		o.Usage, o.Estimated = usage.Estimate(t.call.Body, t.events), true
	}
	t.s.Seams.Attempt(&t.call, o)
	o.Attempts = []pipeline.Attempt{{
		Provider: t.to.Provider.Name, KeyLabel: t.to.Credential.Label, Model: t.to.Model,
		Status: o.Status, Kind: kind, Duration: o.End.Sub(o.Start), Start: o.Start, FirstByte: o.FirstByte,
	}}
	t.settle(o)
	t.s.Seams.Done(&t.call, o)
}

// attempted records the outcome of an attempt to connect the WebSocket.
func (s *Session) attempted(result respond.Result, err error) {
	o := &s.Outcome
	o.Candidate, o.Start, o.End = s.to, s.Call.Start, s.Now()
	o.Status, o.Kind, o.Err, o.Usage, o.Reported = result.Status, result.Kind, err, result.Usage, result.Reported
	if o.Kind == "" {
		o.Kind = respond.KindOf(err)
	}
	s.Seams.Attempt(&s.Call, *o)
	o.Attempts = append(o.Attempts, pipeline.Attempt{
		Provider: s.to.Provider.Name, KeyLabel: s.to.Credential.Label, Model: s.to.Model,
		Status: o.Status, Kind: o.Kind, Duration: o.End.Sub(o.Start), Start: o.Start, FirstByte: o.FirstByte,
	})
}
