package gateway

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/dialect/ollama"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
)

// Usage is what was spent on one model since the daemon began, as far as the
// provider's answers told.
type Usage struct {
	Provider        string    `json:"provider"`
	Model           string    `json:"model"`
	Requests        int64     `json:"requests"`
	Errors          int64     `json:"errors"` // answers of 400 and above, and none at all
	InputTokens     int64     `json:"input_tokens"`
	CachedTokens    int64     `json:"cached_tokens"` // of the input
	OutputTokens    int64     `json:"output_tokens"`
	ReasoningTokens int64     `json:"reasoning_tokens"` // of the output
	LastUsed        time.Time `json:"last_used"`
}

// ledger counts usage by provider and model: an Observer. It is safe for concurrent use.
type ledger struct {
	now  func() time.Time
	mu   sync.Mutex
	rows map[ledgerKey]*Usage
}

type ledgerKey struct{ provider, model string }

// maxRows bounds the ledger: model names come from callers. What is past it is
// counted under the empty model.
const maxRows = 4096

// Attempt implements pipeline.Observer.
func (l *ledger) Attempt(*pipeline.Call, pipeline.Outcome) {}

// Done implements pipeline.Observer.
func (l *ledger) Done(call *pipeline.Call, o pipeline.Outcome) {
	if len(o.Attempts) > 0 {
		l.add(o.Candidate.Provider.Name, o.Candidate.Model, o.Status == 0 || o.Status >= 400, o.Usage.Tokens)
	}
}

func (l *ledger) add(providerName, model string, failed bool, t usage.Tokens) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := ledgerKey{providerName, model}
	row := l.rows[key]
	if row == nil {
		if len(l.rows) >= maxRows {
			key.model = ""
			row = l.rows[key]
		}
		if row == nil {
			if l.rows == nil {
				l.rows = map[ledgerKey]*Usage{}
			}
			row = &Usage{Provider: providerName, Model: strings.Clone(key.model)}
			l.rows[ledgerKey{providerName, row.Model}] = row
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

func (l *ledger) list() []Usage {
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

// activeFor is how long a model is listed as active after it was used.
const activeFor = 5 * time.Minute

// active gives the models that were used lately, the latest first.
func (g *Gateway) active() []ollama.Active {
	var out []ollama.Active
	for _, u := range g.ledger.list() {
		if u.Model != "" && g.since(u.LastUsed) < activeFor {
			out = append(out, ollama.Active{
				Model:   ollama.Model{Name: ollama.ID(u.Provider, u.Model), Provider: u.Provider, Modified: g.models.Made},
				Expires: u.LastUsed.Add(activeFor),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b ollama.Active) int { return b.Expires.Compare(a.Expires) })
	return out
}
