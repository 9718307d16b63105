package gateway

import (
	"context"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/plan"
)

// candidates calls the planner and filters its candidates by the scope of the token, since
// the gateway does not rely on planners for that, and by the Refusers.
func (g *Gateway) candidates(ctx context.Context, r *plan.Request) ([]pipeline.Candidate, error) {
	if err := plan.CheckModelName(r.Call.Model); err != nil {
		return nil, err
	}
	planned, err := g.seams.Planner.Candidates(ctx, &r.Call)
	if err != nil {
		return nil, err
	}
	allowed := planned[:0:0]
	for i := range planned {
		to := planned[i]
		refusal := plan.CheckModelName(to.Model)
		if refusal == nil {
			refusal = r.Call.Allow(to.Provider.Name, to.Model)
		}
		if refusal == nil && len(planned) > 1 {
			refusal = g.seams.Refused(&r.Call, &planned[i])
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
		err = fault.New(fault.Internal, "the planner returned no candidate")
	}
	return nil, err
}
