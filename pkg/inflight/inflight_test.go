package inflight

import (
	"strings"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/provider"
)

func TestRoom(t *testing.T) {
	now := time.Now()
	r := New(Config{Now: func() time.Time { return now }, Redact: func(s string) string { return strings.ReplaceAll(s, "secret", "[redacted]") }})
	progress := &pipeline.Progress{}
	first := &pipeline.Call{ID: "a", Start: now.Add(-3 * time.Second), Model: "gpt-secret", Client: "curl/8", Progress: progress}
	settleFirst, err := r.Admit(t.Context(), first, []pipeline.Candidate{{Provider: &provider.Provider{Name: "openai"}}})
	if err != nil {
		t.Fatal(err)
	}
	settleSecond, _ := r.Admit(t.Context(), &pipeline.Call{ID: "b", Start: now, Model: strings.Repeat("é", 300)}, nil)
	for range 21 {
		progress.Event()
	}
	_, began := progress.Events()
	now = began.Add(2 * time.Second)
	list := r.List()
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	a, b := list[0], list[1]
	if a.ID != "a" || a.Model != "gpt-[redacted]" || a.Client != "curl" || a.Provider != "openai" || a.Tokens != 21 || a.PerSecond != 10 || a.FirstMS == nil || *a.FirstMS < 2900 {
		t.Errorf("%+v", a)
	}
	if b.FirstMS != nil || b.Tokens != 0 || len(b.Model) > maxText+3 {
		t.Errorf("%+v", b)
	}
	settleFirst(pipeline.Outcome{})
	settleFirst(pipeline.Outcome{})
	if list := r.List(); len(list) != 1 || list[0].ID != "b" {
		t.Errorf("%+v", list)
	}
	settleSecond(pipeline.Outcome{})
	if list := r.List(); len(list) != 0 {
		t.Errorf("these stay: %+v", list)
	}
}
