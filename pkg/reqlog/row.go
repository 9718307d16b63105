package reqlog

import (
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
)

// Row is one AI request, as the control API and the segments represent it. It
// contains no body, no whole token, and of the headers only headerNames. A Row that
// a Log has returned must not be modified.
type Row struct {
	ID            string             `json:"id"`
	Time          time.Time          `json:"time"`       // arrival, UTC
	App           string             `json:"app"`        // NAME of the run that owns the token, or ""
	Token         string             `json:"token"`      // shown prefix of the token, or ""
	TokenName     string             `json:"token_name"` // the token's name
	Client        string             `json:"client"`     // the client's name, from User-Agent
	Method        string             `json:"method"`
	Dialect       string             `json:"dialect"`  // the client's
	Endpoint      string             `json:"endpoint"` // the documented path pattern
	Path          string             `json:"path"`     // as sent, without the query
	Headers       Headers            `json:"headers"`  // those of headerNames, as sent; never null
	Model         string             `json:"model"`    // as the client named it
	ResolvedModel string             `json:"resolved_model"`
	Provider      string             `json:"provider"` // the last one tried, or ""
	KeyLabel      string             `json:"key_label"`
	Status        int                `json:"status"` // as the client got it; 0 if it disconnected first
	ErrorKind     pipeline.ErrorKind `json:"error_kind"`
	Stream        bool               `json:"stream"`
	FirstByteMS   *int64             `json:"first_byte_ms"` // since arrival, rounded up; null if there was none
	DurationMS    int64              `json:"duration_ms"`   // rounded up
	Tokens        usage.Tokens       `json:"tokens"`
	Estimated     bool               `json:"estimated"` // tokens and cost are estimated by Hostless: the stream ended before the provider reported usage
	Tier          string             `json:"tier"`      // service tier, if the response names one
	CostUSD       *prices.Nano       `json:"cost_usd"`
	Priced        bool               `json:"priced"`
	Price         *prices.Price      `json:"price"` // dollars per million tokens, as applied
	Ignored       []string           `json:"ignored"`
	Attempts      []Attempt          `json:"attempts"`

	pending *Event  // for the observers, until the row is finished
	bodies  *Bodies // to be written, until the row is finished
}

func (r *Row) when() time.Time { return r.Time }
func (r *Row) key() string     { return r.ID }

// Attempt is one attempt at a request.
type Attempt struct {
	Provider   string             `json:"provider"`
	Model      string             `json:"model"`
	KeyLabel   string             `json:"key_label"`
	Status     int                `json:"status"`
	ErrorKind  pipeline.ErrorKind `json:"error_kind"`
	DurationMS int64              `json:"duration_ms"`
}

// maxText is the maximum length, in bytes, of text that clients choose, such as
// model names and the User-Agent's product.
const maxText = 200

// rowParts is a row with what it usually points to: one allocation for all.
type rowParts struct {
	Row
	first   int64
	cost    prices.Nano
	attempt [1]Attempt
	event   Event
}

// newRow returns a call's row without its cost. Nothing in it shares memory with the call's
// body. It reuses the texts of another row, which are often the same.
func newRow(call *pipeline.Call, o *pipeline.Outcome, before *Row) *rowParts {
	r := &rowParts{Row: Row{
		ID: call.ID, Time: call.Start.UTC(), Method: call.Method, Dialect: string(call.Dialect), Endpoint: call.Endpoint, Path: reuse(before.Path, call.Path),
		Model: reuse(before.Model, call.Model), Status: o.Status, ErrorKind: o.Kind, Stream: o.Stream || call.Stream,
		Headers: headersOf(call.Header, before.Headers), DurationMS: millis(o.End.Sub(call.Start)), Tokens: o.Usage.Tokens, Estimated: o.Estimated, Tier: reuse(before.Tier, o.Usage.Tier), Ignored: o.Ignored,
	}}
	if r.Client = before.Client; call.Client == "" || call.Client != before.Headers.Get("user-agent") {
		r.Client = ClientName(call.Client)
	}
	if g := call.Grant; g != nil {
		r.App, r.Token, r.TokenName = g.Run(), g.Prefix(), g.Name()
	}
	if p := o.Candidate.Provider; p != nil {
		r.Provider, r.KeyLabel = p.Name, o.Candidate.Credential.Label
		if r.ResolvedModel = r.Model; o.Candidate.Model != call.Model {
			r.ResolvedModel = reuse(before.ResolvedModel, o.Candidate.Model)
		}
	} else {
		r.ResolvedModel = planned(r.Model, o.Planned)
	}
	if !o.FirstByte.IsZero() {
		r.first = millis(o.FirstByte.Sub(call.Start))
		r.FirstByteMS = &r.first
	}
	if r.Ignored == nil {
		r.Ignored = []string{}
	}
	if r.Attempts = r.attempt[:min(len(o.Attempts), 1)]; len(o.Attempts) > 1 {
		r.Attempts = make([]Attempt, len(o.Attempts))
	}
	for i := range o.Attempts {
		a := &o.Attempts[i]
		model := r.ResolvedModel
		if a.Model != o.Candidate.Model {
			model = text(a.Model)
		}
		r.Attempts[i] = Attempt{a.Provider, model, a.KeyLabel, a.Status, a.Kind, millis(a.Duration)}
	}
	return r
}

// planned returns the resolved model of a call that reached no provider: that of its
// first candidate or, if it was refused before it was planned, the one that its prefix
// implies. Sums by model then count it with the answered ones.
func planned(model, candidate string) string {
	if candidate == model {
		return model
	}
	if candidate != "" {
		return text(candidate)
	}
	if name, rest, ok := strings.Cut(model, "/"); ok && provider.Default().Get(name) != nil {
		return rest
	}
	return ""
}

// reuse returns text(s), without a copy if that is equal to before.
func reuse(before, s string) string {
	if s == before {
		return before
	}
	return text(s)
}

// text truncates a client's text and copies it, so that it does not retain the body
// it was read from.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(strings.Clone(s), "\ufffd")
}

// millis rounds up, so that no duration shows as 0.
func millis(d time.Duration) int64 {
	return int64(max(0, (d+time.Millisecond-1)/time.Millisecond))
}

// charge sets what a request cost: nothing if it reached no provider, failed
// without a report or an estimate, or requested something without a price;
// otherwise what the price book says. It leaves a request unpriced if the model
// answered without reporting usage.
func charge(r *rowParts, o *pipeline.Outcome, book *prices.Book) {
	nothing := func(p *prices.Price) {
		r.CostUSD, r.Priced, r.Price = &r.cost, true, p
	}
	p := o.Candidate.Provider
	switch {
	case p == nil || len(o.Attempts) == 0:
		nothing(noPrice)
	case p.Builtin || p.Port != 0: // answered on this machine
		nothing(prices.Free)
	case !o.Reported && !o.Estimated && (o.Kind != "" || r.ResolvedModel == "" || counts(r.Path)):
		nothing(noPrice)
	case !o.Reported && !o.Estimated:
	default:
		if cost, applied := book.Cost(r.Provider, r.ResolvedModel, o.Usage); applied != nil {
			r.cost = cost
			r.CostUSD, r.Priced, r.Price = &r.cost, true, applied
		}
	}
}

// noPrice is the price of a request that is charged for nothing.
var noPrice = &prices.Price{}

// counts reports whether a path only counts tokens, which no provider charges for:
// Anthropic's count_tokens, Gemini's countTokens, OpenAI's input_tokens.
func counts(path string) bool {
	return strings.HasSuffix(path, "/count_tokens") || strings.HasSuffix(path, ":countTokens") || strings.HasSuffix(path, "/input_tokens")
}
