package reqlog

import (
	"net/http"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
)

// Row is one AI request, as the control API and the segments have it. It holds no
// body, no header and no whole token. A Row that a Log gave out is not to be changed.
type Row struct {
	ID            string             `json:"id"`
	Time          time.Time          `json:"time"`       // its arrival, UTC
	App           string             `json:"app"`        // the NAME of the run that holds the token, or ""
	Token         string             `json:"token"`      // as much of it as may be shown, or ""
	TokenName     string             `json:"token_name"` // what it was made with
	Client        string             `json:"client"`     // who asks, of User-Agent
	Method        string             `json:"method"`
	Dialect       string             `json:"dialect"`  // the caller's
	Endpoint      string             `json:"endpoint"` // the documented path pattern
	Path          string             `json:"path"`     // as sent, without the query
	Headers       map[string]string  `json:"headers"`  // those of headerNames, as sent; never null
	Model         string             `json:"model"`    // by the caller's name for it
	ResolvedModel string             `json:"resolved_model"`
	Provider      string             `json:"provider"` // the last one tried, or ""
	KeyLabel      string             `json:"key_label"`
	Status        int                `json:"status"` // what the caller got; 0 if it disconnected first
	ErrorKind     pipeline.ErrorKind `json:"error_kind"`
	Stream        bool               `json:"stream"`
	FirstByteMS   *int64             `json:"first_byte_ms"` // after the arrival, rounded up; null where none came
	DurationMS    int64              `json:"duration_ms"`   // rounded up
	Tokens        usage.Tokens       `json:"tokens"`
	Estimated     bool               `json:"estimated"` // tokens and cost are Hostless's own estimate: the stream was aborted before the provider reported
	Tier          string             `json:"tier"`      // the service tier, where the answer names one
	CostUSD       *prices.Nano       `json:"cost_usd"`
	Priced        bool               `json:"priced"`
	Price         *prices.Price      `json:"price"` // dollars a million tokens, as applied
	Ignored       []string           `json:"ignored"`
	Attempts      []Attempt          `json:"attempts"`

	pending *Event  // for the observers, until the row is finished
	bodies  *Bodies // to be written, likewise
}

func (r *Row) when() time.Time { return r.Time }
func (r *Row) key() string     { return r.ID }

// Attempt is one try of a request.
type Attempt struct {
	Provider   string             `json:"provider"`
	Model      string             `json:"model"`
	KeyLabel   string             `json:"key_label"`
	Status     int                `json:"status"`
	ErrorKind  pipeline.ErrorKind `json:"error_kind"`
	DurationMS int64              `json:"duration_ms"`
}

// maxText bounds what callers choose: model names and the User-Agent's product.
const maxText = 200

// newRow is a call's row but for what it cost. Nothing in it aliases the call's body.
func newRow(call *pipeline.Call, o *pipeline.Outcome) *Row {
	r := &Row{
		ID: call.ID, Time: call.Start.UTC(), Client: call.Client, Method: call.Method, Dialect: string(call.Dialect), Endpoint: call.Endpoint, Path: text(call.Path),
		Model: text(call.Model), Status: o.Status, ErrorKind: o.Kind, Stream: o.Stream || call.Stream,
		Headers: headersOf(call.Header), DurationMS: millis(o.End.Sub(call.Start)), Tokens: o.Usage.Tokens, Estimated: o.Estimated, Tier: text(o.Usage.Tier), Ignored: o.Ignored,
	}
	if g := call.Grant; g != nil {
		r.App, r.Token, r.TokenName = g.Run(), g.Prefix(), g.Name()
	}
	if p := o.Candidate.Provider; p != nil {
		r.Provider, r.KeyLabel = p.Name, o.Candidate.Credential.Label
		if r.ResolvedModel = r.Model; o.Candidate.Model != call.Model {
			r.ResolvedModel = text(o.Candidate.Model)
		}
	}
	if !o.FirstByte.IsZero() {
		first := millis(o.FirstByte.Sub(call.Start))
		r.FirstByteMS = &first
	}
	if r.Ignored == nil {
		r.Ignored = []string{}
	}
	r.Attempts = make([]Attempt, len(o.Attempts))
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

// headerNames are the request headers that a row has, in canonical form: what they say
// is part of what was asked, and no secret.
var headerNames = []string{
	"Accept", "Content-Type", "User-Agent", "Anthropic-Version", "Anthropic-Beta", "Openai-Beta", "X-Stainless-Retry-Count", "X-Hostless-Provider",
}

func headersOf(h http.Header) map[string]string {
	out := make(map[string]string, 4)
	for _, name := range headerNames {
		if v := h[name]; len(v) > 0 {
			out[strings.ToLower(name)] = text(strings.Join(v, ", "))
		}
	}
	return out
}

// text is a caller's text, cut, and without the memory of the body it was read from.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(strings.Clone(s), "\ufffd")
}

// millis rounds up: what took time does not show as 0.
func millis(d time.Duration) int64 {
	return int64(max(0, (d+time.Millisecond-1)/time.Millisecond))
}

// charge says what a request cost: nothing if it reached no provider, failed
// without a report or an estimate, or asked for what has no price; else what the
// book says. A model that answered without telling its use is unpriced.
func charge(r *Row, o *pipeline.Outcome, book *prices.Book) {
	nothing := func(p *prices.Price) {
		r.CostUSD, r.Priced, r.Price = new(prices.Nano), true, p
	}
	p := o.Candidate.Provider
	switch {
	case p == nil || len(o.Attempts) == 0:
		nothing(&prices.Price{})
	case p.Builtin || p.Port != 0: // answered on this machine
		nothing(prices.Free)
	case !o.Reported && !o.Estimated && (o.Kind != "" || r.ResolvedModel == "" || counts(r.Path)):
		nothing(&prices.Price{})
	case !o.Reported && !o.Estimated:
	default:
		if cost, applied := book.Cost(r.Provider, r.ResolvedModel, o.Usage); applied != nil {
			r.CostUSD, r.Priced, r.Price = &cost, true, applied
		}
	}
}

// counts reports whether a path is one that counts tokens, which no provider charges
// for: Anthropic's count_tokens, Gemini's countTokens, OpenAI's input_tokens.
func counts(path string) bool {
	return strings.HasSuffix(path, "/count_tokens") || strings.HasSuffix(path, ":countTokens") || strings.HasSuffix(path, "/input_tokens")
}
