package gateway

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostless/hostless/pkg/jsonscan"
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

// tokens is what one answer, or one event of a stream, says was spent.
type tokens struct{ input, cached, output, reasoning int64 }

// merge takes the larger of each: the events of a stream repeat and add up.
func (t *tokens) merge(o tokens) {
	t.input, t.cached = max(t.input, o.input), max(t.cached, o.cached)
	t.output, t.reasoning = max(t.output, o.output), max(t.reasoning, o.reasoning)
}

var (
	usageMark     = []byte(`"usage`)
	usageNull     = []byte(`"usage":null`)
	usageMetadata = []byte(`"usageMetadata"`)
)

// spent reads the usage out of an answer's JSON, of whichever dialect; ok is
// false where it has none. Nothing else is decoded.
func spent(data []byte) (t tokens, ok bool) {
	if !bytes.Contains(data, usageMark) {
		return t, false
	}
	if bytes.Contains(data, usageNull) && bytes.Count(data, usageMark) == 1 {
		return t, false
	}
	raw, found := jsonscan.Member(data, "usage")
	text := raw.Of(data)
	if !found {
		for _, outer := range [...]string{"response", "message"} {
			if span, has := jsonscan.Member(data, outer); has && data[span.Start] == '{' {
				inner := span.Of(data)
				if raw, found = jsonscan.Member(inner, "usage"); found {
					text = raw.Of(inner)
					break
				}
			}
		}
	}
	if !found {
		if raw, found = jsonscan.Member(data, "usageMetadata"); found {
			text = raw.Of(data)
		}
	}
	if !found || len(text) == 0 || text[0] != '{' {
		return t, false
	}
	return readUsage(text)
}

// spentInArray reads the usage out of the last element that has one, of Gemini's
// stream in the form of an array.
func spentInArray(data []byte) (t tokens, ok bool) {
	i := bytes.LastIndex(data, usageMetadata)
	if i < 0 || len(bytes.TrimSpace(data)) == 0 || bytes.TrimSpace(data)[0] != '[' {
		return t, false
	}
	rest := bytes.TrimLeft(data[i+len(usageMetadata):], ": \t\r\n")
	var text json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(rest)).Decode(&text); err != nil || len(text) == 0 || text[0] != '{' {
		return t, false
	}
	return readUsage(text)
}

func readUsage(text []byte) (t tokens, ok bool) {
	var u struct {
		Prompt     int64 `json:"prompt_tokens"`
		Completion int64 `json:"completion_tokens"`
		Input      int64 `json:"input_tokens"`
		Output     int64 `json:"output_tokens"`
		CacheRead  int64 `json:"cache_read_input_tokens"`
		CacheWrite int64 `json:"cache_creation_input_tokens"`
		PromptMore struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		CompletionMore struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
		InputMore struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"input_tokens_details"`
		OutputMore struct {
			Reasoning int64 `json:"reasoning_tokens"`
			Thinking  int64 `json:"thinking_tokens"`
		} `json:"output_tokens_details"`
		GPrompt     int64 `json:"promptTokenCount"`
		GCandidates int64 `json:"candidatesTokenCount"`
		GThoughts   int64 `json:"thoughtsTokenCount"`
		GCached     int64 `json:"cachedContentTokenCount"`
	}
	if err := json.Unmarshal(text, &u); err != nil {
		return t, false
	}
	t.input = u.Prompt + u.Input + u.CacheRead + u.CacheWrite + u.GPrompt
	t.cached = u.PromptMore.Cached + u.InputMore.Cached + u.CacheRead + u.GCached
	t.output = u.Completion + u.Output + u.GCandidates + u.GThoughts
	t.reasoning = u.CompletionMore.Reasoning + u.OutputMore.Reasoning + u.OutputMore.Thinking + u.GThoughts
	return t, true
}

// ledger counts usage. It is safe for concurrent use.
type ledger struct {
	now  func() time.Time
	mu   sync.Mutex
	rows map[ledgerKey]*Usage
}

type ledgerKey struct{ provider, model string }

// maxRows bounds the ledger: model names come from callers. What is past it is
// counted under the empty model.
const maxRows = 4096

func (l *ledger) add(providerName, model string, failed bool, t tokens) {
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
	row.InputTokens += t.input
	row.CachedTokens += t.cached
	row.OutputTokens += t.output
	row.ReasoningTokens += t.reasoning
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
