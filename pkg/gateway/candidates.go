package gateway

import (
	"context"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
)

// candidates asks the planner where the call may go, and holds each place against
// the token: a planner need not be right about that.
func (c *exchange) candidates(ctx context.Context) ([]pipeline.Candidate, error) {
	if err := plan.CheckModelName(c.Call.Model); err != nil {
		return nil, err
	}
	planned, err := c.g.seams.Planner.Candidates(ctx, &c.Call)
	if err != nil {
		return nil, err
	}
	allowed := planned[:0:0]
	for _, to := range planned {
		refusal := plan.CheckModelName(to.Model)
		if refusal == nil {
			refusal = c.Call.Allow(to.Provider.Name, to.Model)
		}
		switch {
		case refusal == nil:
			allowed = append(allowed, to)
		case err == nil:
			err = refusal
		}
	}
	if len(allowed) > 0 {
		return allowed, nil
	}
	if err == nil {
		err = fault.New(fault.Internal, "the planner has no candidate")
	}
	return nil, err
}
