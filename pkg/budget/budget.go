// Package budget limits the cost, the tokens and the number of AI requests per day,
// week or month, and has the switch that stops all of them.
//
// It is an Admitter of the gateway's pipeline. It owns the budgets, their use, and
// the reserves of requests in flight. The cost of a request comes from the request
// log: each row is counted once, and after a restart the rows are read again, so
// that budgets agree with the log to the nano-dollar.
package budget

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/provider"
)

// Scope selects the requests that a budget counts. Exactly one member is set.
type Scope struct {
	App      string `json:"app,omitempty"`      // NAME of a run
	Provider string `json:"provider,omitempty"` // canonical
	Token    string `json:"token,omitempty"`    // the shown prefix, or the name
	All      bool   `json:"all,omitempty"`
}

// String returns the scope as a person types it: "app shop", "all".
func (s Scope) String() string {
	switch {
	case s.App != "":
		return "app " + s.App
	case s.Provider != "":
		return "provider " + s.Provider
	case s.Token != "":
		return "token " + s.Token
	}
	return "all"
}

// The units of a budget.
const (
	USD      = "usd"
	Tokens   = "tokens"   // input and output
	Requests = "requests" // requests that were sent to a provider
)

// Units and Periods are the valid units and periods of a budget.
var (
	Units   = []string{USD, Tokens, Requests}
	Periods = []string{"day", "week", "month"}
)

// Amount is an amount of a unit: nano-dollars, tokens or requests. In JSON, dollars
// are a decimal string and the others are numbers.
type Amount struct {
	N   int64
	USD bool
}

// String formats dollars with their sign, "$1.5", and the others as a number.
func (a Amount) String() string {
	if a.USD {
		return "$" + prices.Nano(a.N).String()
	}
	return strconv.FormatInt(a.N, 10)
}

// MarshalJSON implements json.Marshaler.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a.USD {
		return prices.Nano(a.N).MarshalJSON()
	}
	return strconv.AppendInt(nil, a.N, 10), nil
}

// UnmarshalJSON implements json.Unmarshaler for what MarshalJSON writes.
func (a *Amount) UnmarshalJSON(data []byte) error {
	if a.USD = len(data) > 0 && data[0] == '"'; a.USD {
		return json.Unmarshal(data, (*prices.Nano)(&a.N))
	}
	return json.Unmarshal(data, &a.N)
}

// Budget is one budget and its current use.
type Budget struct {
	ID       string    `json:"id"`
	Scope    Scope     `json:"scope"`
	Unit     string    `json:"unit"`
	Limit    Amount    `json:"limit"`
	Period   string    `json:"period"`
	Used     Amount    `json:"used"`      // since the period began
	Reserved Amount    `json:"reserved"`  // estimates for the requests in flight
	ResetsAt time.Time `json:"resets_at"` // the end of the period, UTC
}

// Percent returns the used percentage of the limit.
func (b *Budget) Percent() int64 {
	if b.Limit.N <= 0 {
		return 100
	}
	if b.Used.N > 1<<56 {
		return b.Used.N / max(1, b.Limit.N/100)
	}
	return b.Used.N * 100 / b.Limit.N
}

// Request describes a budget to set.
type Request struct {
	Scope  Scope  `json:"scope"`
	Unit   string `json:"unit"`
	Limit  Number `json:"limit"`
	Period string `json:"period"`
}

// Number is an amount as it was sent: a JSON number or string.
type Number string

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(n))
	}
	var number json.Number
	err := json.Unmarshal(data, &number)
	*n = Number(number)
	return err
}

// tokenPrefix is the prefix of bridge tokens, and shownToken the length of the part
// of a token that may be shown.
const (
	tokenPrefix = "sk_local_"
	shownToken  = len(tokenPrefix) + 8
)

// maxName is the maximum length of a name in a scope.
const maxName = 200

// check validates and normalizes a request. The error is fault.Invalid and names
// the field.
func (r Request) check() (Request, Amount, error) {
	bad := func(param, message string) (Request, Amount, error) {
		return r, Amount{}, &fault.Error{Kind: fault.Invalid, Param: param, Message: message}
	}
	named := 0
	for _, name := range []*string{&r.Scope.App, &r.Scope.Provider, &r.Scope.Token} {
		if *name = strings.TrimSpace(*name); *name != "" {
			named++
		}
		if len(*name) > maxName {
			return bad("scope", "the name in scope is too long")
		}
	}
	if r.Scope.All {
		named++
	}
	if named != 1 {
		return bad("scope", `scope must be one of {"app"}, {"provider"}, {"token"} and {"all":true}`)
	}
	r.Scope.App = strings.TrimSuffix(r.Scope.App, ".localhost")
	r.Scope.Provider = provider.Default().Canonical(r.Scope.Provider)
	if t := r.Scope.Token; strings.HasPrefix(t, tokenPrefix) {
		if len(t) < shownToken {
			return bad("scope", fmt.Sprintf("a token's prefix has %d characters: hostless token list shows it", shownToken))
		}
		r.Scope.Token = t[:shownToken] // never store a whole token
	}
	if !slices.Contains(Units, r.Unit) {
		return bad("unit", fmt.Sprintf("unit must be one of %s, not %.40q", strings.Join(Units, ", "), r.Unit))
	}
	if !slices.Contains(Periods, r.Period) {
		return bad("period", fmt.Sprintf("period must be one of %s, not %.40q", strings.Join(Periods, ", "), r.Period))
	}
	limit, err := ParseAmount(string(r.Limit), r.Unit)
	if err != nil {
		return bad("limit", err.Error())
	}
	return r, limit, nil
}

// ParseAmount parses an amount of a unit: dollars with at most nine decimal places,
// or a whole number of tokens or requests. The error says which form is expected.
func ParseAmount(text, unit string) (Amount, error) {
	if unit == USD {
		n, err := prices.ParseNano(text)
		if err != nil || n < 0 {
			return Amount{}, fmt.Errorf("limit must be an amount of US dollars such as 5.00, not %.40q", text)
		}
		return Amount{int64(n), true}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return Amount{}, fmt.Errorf("limit must be a whole number of %s, not %.40q", unit, text)
	}
	return Amount{N: n}, nil
}
