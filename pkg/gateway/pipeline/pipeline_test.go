package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
)

// TestAdmitSettles checks that admitters are called in order and settled in reverse order,
// once each, including those before a refusal.
func TestAdmitSettles(t *testing.T) {
	var events []string
	admitter := func(name string, refusal error) pipeline.Admitter {
		return pipeline.AdmitterFunc(func(context.Context, *pipeline.Call, []pipeline.Candidate) (func(pipeline.Outcome), error) {
			events = append(events, "ask "+name)
			if refusal != nil {
				return nil, refusal
			}
			return func(o pipeline.Outcome) { events = append(events, fmt.Sprintf("settle %s %s", name, o.Kind)) }, nil
		})
	}
	free := pipeline.AdmitterFunc(func(context.Context, *pipeline.Call, []pipeline.Candidate) (func(pipeline.Outcome), error) {
		return nil, nil
	})
	spent := &fault.Error{Kind: fault.RateLimited, Code: pipeline.CodeBudgetExceeded}

	s := pipeline.Seams{Admitters: []pipeline.Admitter{admitter("a", nil), free, admitter("b", nil)}}
	settle, err := s.Admit(t.Context(), &pipeline.Call{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	settle(pipeline.Outcome{Kind: pipeline.ProviderError})
	if want := []string{"ask a", "ask b", "settle b provider_error", "settle a provider_error"}; !slices.Equal(events, want) {
		t.Errorf("let in: %q, want %q", events, want)
	}

	events = nil
	s.Admitters = []pipeline.Admitter{admitter("a", nil), admitter("b", spent), admitter("c", nil)}
	if settle, err = s.Admit(t.Context(), &pipeline.Call{}, nil); !errors.Is(err, spent) {
		t.Errorf("err = %v", err)
	}
	settle(pipeline.Outcome{})
	if want := []string{"ask a", "ask b", "settle a policy_budget_exceeded"}; !slices.Equal(events, want) {
		t.Errorf("refused: %q, want %q", events, want)
	}
}

// TestEveryFaultHasAKind checks that only the internal fault, and those of the control
// socket, are classified as internal errors.
func TestEveryFaultHasAKind(t *testing.T) {
	for kind := fault.Invalid; kind <= fault.Usage; kind++ {
		got := pipeline.KindOf(fmt.Errorf("call: %w", fault.New(kind, "x")))
		if internal := got == pipeline.HostlessInternal; internal != (kind == fault.Unreachable) {
			t.Errorf("KindOf(%v) = %q", kind.Type(), got)
		}
	}
	for status, want := range map[int]pipeline.ErrorKind{200: "", 302: "", 400: pipeline.ProviderRejected, 402: pipeline.ProviderUnauthorized, 429: pipeline.ProviderRateLimited, 529: pipeline.ProviderError} {
		if got := pipeline.KindOfStatus(status); got != want {
			t.Errorf("KindOfStatus(%d) = %q, want %q", status, got, want)
		}
	}
	if pipeline.KindOf(nil) != "" || pipeline.KindOf(context.Canceled) != pipeline.CallerDisconnected || pipeline.KindOf(errors.New("x")) != pipeline.HostlessInternal {
		t.Error("KindOf of what is no fault is wrong")
	}
}
