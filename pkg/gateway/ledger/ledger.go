// Package ledger counts usage since the daemon started, by provider and model.
//
// It is an Observer of the pipeline and keeps its counts in memory only. They are shown by
// `hostless status` and in Ollama's list of running models.
package ledger

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
)

// Usage is the usage of one model since the daemon started, as far as the provider reported
// it.
type Usage struct {
	Provider        string    `json:"provider"`
	Model           string    `json:"model"`
	Requests        int64     `json:"requests"`
	Errors          int64     `json:"errors"` // responses with an error, and requests without a response
	InputTokens     int64     `json:"input_tokens"`
	CachedTokens    int64     `json:"cached_tokens"` // part of the input
	OutputTokens    int64     `json:"output_tokens"`
	ReasoningTokens int64     `json:"reasoning_tokens"` // part of the output
	LastUsed        time.Time `json:"last_used"`
}

// Ledger counts usage by provider and model. It implements pipeline.Observer. It is safe
// for concurrent use.
type Ledger struct {
	now  func() time.Time
	mu   sync.Mutex
	rows map[key]*Usage
}

type key struct{ provider, model string }

// New returns an empty ledger.
func New(now func() time.Time) *Ledger { return &Ledger{now: now} }

// maxRows limits the size of the ledger, because model names come from callers. Further
// models are counted under the empty name.
const maxRows = 4096

// Attempt implements pipeline.Observer.
func (l *Ledger) Attempt(*pipeline.Call, pipeline.Outcome) {}

// Done implements pipeline.Observer.
func (l *Ledger) Done(call *pipeline.Call, o pipeline.Outcome) {
	if o.Estimated {
		o.Usage.Tokens = usage.Tokens{} // the provider reported nothing
	}
	if len(o.Attempts) > 0 {
		l.add(o.Candidate.Provider.Name, o.Candidate.Model, o.Status == 0 || o.Status >= 400, o.Usage.Tokens)
	}
}

func (l *Ledger) add(providerName, model string, failed bool, t usage.Tokens) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := key{providerName, model}
	row := l.rows[k]
	if row == nil {
		if len(l.rows) >= maxRows {
			k.model = ""
			row = l.rows[k]
		}
		if row == nil {
			if l.rows == nil {
				l.rows = map[key]*Usage{}
			}
			row = &Usage{Provider: providerName, Model: strings.Clone(k.model)}
			l.rows[key{providerName, row.Model}] = row
		}
	}
	row.Requests++
	row.LastUsed = l.now()
	if failed {
		row.Errors++
	}
	row.InputTokens += t.Input
	row.CachedTokens += t.Cached
	row.OutputTokens += t.Output
	row.ReasoningTokens += t.Reasoning
}

// List returns the rows, sorted by provider and model.
func (l *Ledger) List() []Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Usage, 0, len(l.rows))
	for _, row := range l.rows {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b Usage) int {
		if c := strings.Compare(a.Provider, b.Provider); c != 0 {
			return c
		}
		return strings.Compare(a.Model, b.Model)
	})
	return out
}

// activeFor is how long a model is listed as active after its last use.
const activeFor = 5 * time.Minute

// Active returns the recently used models, last used first; made is their modification
// date.
func (l *Ledger) Active(made time.Time) []ollama.Active {
	var out []ollama.Active
	for _, u := range l.List() {
		if u.Model != "" && l.now().Sub(u.LastUsed) < activeFor {
			out = append(out, ollama.Active{
				Model:   ollama.Model{Name: ollama.ID(u.Provider, u.Model), Provider: u.Provider, Modified: made},
				Expires: u.LastUsed.Add(activeFor),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b ollama.Active) int { return b.Expires.Compare(a.Expires) })
	return out
}
