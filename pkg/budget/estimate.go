package budget

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/dialect"
	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/jsonscan"
	"github.com/hostless/hostless/pkg/prices"
)

// Parameters of an estimate: four tokens for every fourteen bytes of a body, JSON
// included, and the output that is assumed if the request sets no limit.
const (
	bytesPer4     = 14
	defaultOutput = 4096
)

// estimate is what a call may use at one candidate, before it is sent.
type estimate struct {
	counts
	model    string
	free     bool // costs nothing, however much it uses
	unpriced bool // the price is not known
}

// estimateOf estimates the prompt from the body's size and the output from the
// request's limit, each at most the model's limit.
func estimateOf(call *pipeline.Call, to *pipeline.Candidate, book *prices.Book) estimate {
	e := estimate{counts: counts{Requests: 1}, model: to.Model}
	if countsTokens(call.Path) || to.Model == "" && call.Method != http.MethodPost {
		e.free = true
		return e
	}
	local := to.Provider.Builtin || to.Provider.Port != 0
	e.free = local
	if call.Method != http.MethodPost { // the session of the Realtime API: its responses are calls themselves
		return e
	}
	t := usage.Tokens{Input: max(0, call.Size) * 4 / bytesPer4, Output: outputLimit(call)}
	if m := book.Find(to.Provider.Name, to.Model); m != nil {
		if m.Limit.Context > 0 {
			t.Input = min(t.Input, int64(m.Limit.Context))
		}
		if m.Limit.Output > 0 {
			t.Output = min(t.Output, int64(m.Limit.Output))
		}
	}
	e.Tokens = t.Input + t.Output
	if local {
		return e
	}
	p := book.Quote(to.Provider.Name, to.Model, "", t.Input)
	if p == nil {
		e.unpriced = to.Model != ""
		return e
	}
	cost, ok := p.Cost(t)
	if !ok { // a class has no price: count the other
		t.Output = 0
		if cost, ok = p.Cost(t); !ok {
			cost = 0
		}
	}
	e.USD = int64(cost)
	e.free = p.Free()
	return e
}

// countsTokens reports whether a path only counts tokens, which costs nothing.
func countsTokens(path string) bool {
	return strings.HasSuffix(path, "/count_tokens") || strings.HasSuffix(path, ":countTokens") || strings.HasSuffix(path, "/input_tokens")
}

// outputLimit returns the request's limit of output tokens, or the default if it
// sets none.
func outputLimit(call *pipeline.Call) int64 {
	if strings.Contains(call.Path, "mbed") {
		return 0
	}
	n := call.MaxOutput
	if n == 0 {
		switch {
		case call.Dialect == dialect.Gemini:
			n = nested(call.Body, "generationConfig", "maxOutputTokens")
		case call.Dialect == dialect.Ollama:
			n = nested(call.Body, "options", "num_predict")
		case call.Socket:
			if n = member(call.Body, "max_output_tokens"); n == 0 {
				n = nested(call.Body, "response", "max_output_tokens")
			}
		}
	}
	if n <= 0 {
		return defaultOutput
	}
	return n
}

func nested(body []byte, outer, name string) int64 {
	span, ok := jsonscan.Member(body, outer)
	if !ok {
		return 0
	}
	return member(span.Of(body), name)
}

// member returns a number in an object, or 0.
func member(object []byte, name string) int64 {
	span, ok := jsonscan.Member(object, name)
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(string(span.Of(object)), 10, 64)
	return n
}
