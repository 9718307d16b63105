package budget_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostless/hostless/pkg/budget"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
)

// bytesLog collects log lines.
type bytesLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *bytesLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *bytesLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *bytesLog) count(text string) int {
	for range 100 { // lines are written in their own goroutines
		l.mu.Lock()
		n := strings.Count(l.buf.String(), text)
		l.mu.Unlock()
		if n > 0 {
			return n
		}
		time.Sleep(time.Millisecond)
	}
	return 0
}

// BenchmarkRequest measures what ten budgets cost a request: its admission, and
// counting its row. The log's own work is not included.
func BenchmarkRequest(b *testing.B) {
	p := start(b, b.TempDir(), nil)
	for _, s := range []budget.Scope{{All: true}, {App: "shop"}, {Provider: "openai"}, {Token: "notebook"}, {App: "docs"}} {
		p.put(s, "1000000", budget.USD, "day")
		p.put(s, "100000000000", budget.Tokens, "week")
	}
	grant := grants(b)["shop"]
	at := []pipeline.Candidate{to("openai", "gpt-4o-mini")}
	call := p.call(grant, 2000, 1000)
	row := rowOf(call, usage.Tokens{Input: 500, Output: 200})
	b.ReportAllocs()
	for b.Loop() {
		settle, err := p.room.Admit(b.Context(), call, at)
		if err != nil {
			b.Fatal(err)
		}
		if settle != nil {
			settle(pipeline.Outcome{})
		}
		p.room.Count(row)
		p.room.Done(call, pipeline.Outcome{})
	}
}

// rowOf returns a row of the request log, as the log passes it on.
func rowOf(call *pipeline.Call, use usage.Tokens) *reqlog.Row {
	cost := prices.Nano(195_000)
	return &reqlog.Row{
		ID: call.ID, Time: call.Start, App: call.Grant.Run(), Token: call.Grant.Prefix(), TokenName: call.Grant.Name(), Provider: "openai",
		Tokens: use, CostUSD: &cost, Priced: true, Attempts: []reqlog.Attempt{{}},
	}
}
