package pipeline

import (
	"context"
	"slices"
)

// Seams holds the implementations of the three interfaces, and is the only code that calls
// Admitters and Observers. In the zero value there are none, and Planner must not be
// called. It is safe for concurrent use.
type Seams struct {
	Planner   Planner
	Admitters []Admitter
	Observers []Observer
}

// Admit calls every Admitter in order. settle is never nil; the caller of Admit calls it
// once with the final outcome of the call. If an Admitter refuses, those before it have
// already been settled with the refusal.
func (s *Seams) Admit(ctx context.Context, call *Call, candidates []Candidate) (settle func(Outcome), err error) {
	settles := make([]func(Outcome), 0, len(s.Admitters))
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
	if len(settles) == 0 {
		return nothingToSettle, nil
	}
	return inReverse(settles), nil
}

// Refused returns the error of the first Refuser that refuses the candidate, or nil.
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

// inReverse returns a function that calls all settles, last to first.
func inReverse(settles []func(Outcome)) func(Outcome) {
	return func(o Outcome) {
		for _, one := range slices.Backward(settles) {
			one(o)
		}
	}
}

func nothingToSettle(Outcome) {}

// Attempt passes the outcome of one attempt to every Observer.
func (s *Seams) Attempt(call *Call, outcome Outcome) {
	for _, o := range s.Observers {
		o.Attempt(call, outcome)
	}
}

// Done passes the final outcome of the call to every Observer.
func (s *Seams) Done(call *Call, outcome Outcome) {
	for _, o := range s.Observers {
		o.Done(call, outcome)
	}
}
