package pipeline

import (
	"context"
	"slices"
)

// Seams are the rooms that are plugged into the pipeline: the one place that calls
// them. The zero value has none, and then Planner must not be used. It is safe for
// concurrent use.
type Seams struct {
	Planner   Planner
	Admitters []Admitter
	Observers []Observer
}

// Admit asks every Admitter in order. settle is never nil; it is called once, with
// the call's final outcome. Where one refuses, those that were asked before it have
// been settled with the refusal.
func (s *Seams) Admit(ctx context.Context, call *Call, candidates []Candidate) (settle func(Outcome), err error) {
	var settles []func(Outcome)
	for _, a := range s.Admitters {
		one, err := a.Admit(ctx, call, candidates)
		if err != nil {
			inReverse(settles)(Outcome{Kind: KindOf(err), Err: err, Start: call.Start})
			return nothingToSettle, err
		}
		if one != nil {
			settles = append(settles, one)
		}
	}
	if settles == nil {
		return nothingToSettle, nil
	}
	return inReverse(settles), nil
}

// Refused gives the error of the first Refuser that refuses a candidate; nil where none
// does.
func (s *Seams) Refused(call *Call, to *Candidate) error {
	for _, a := range s.Admitters {
		if r, ok := a.(Refuser); ok {
			if err := r.Refuses(call, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// inReverse calls functions from the last to the first.
func inReverse(settles []func(Outcome)) func(Outcome) {
	return func(o Outcome) {
		for _, one := range slices.Backward(settles) {
			one(o)
		}
	}
}

func nothingToSettle(Outcome) {}

// Attempt tells every Observer of one candidate's outcome.
func (s *Seams) Attempt(call *Call, outcome Outcome) {
	for _, o := range s.Observers {
		o.Attempt(call, outcome)
	}
}

// Done tells every Observer of the call's final outcome.
func (s *Seams) Done(call *Call, outcome Outcome) {
	for _, o := range s.Observers {
		o.Done(call, outcome)
	}
}
