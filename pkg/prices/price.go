package prices

import (
	"encoding/json"
	"math/bits"
	"strings"

	"github.com/hostless/hostless/pkg/gateway/usage"
)

// Price is the price of a million tokens of each class. A nil pointer means that
// the price of the class is not known. The JSON is the form of "prices" in
// config.json and in the request log. A Price is immutable once it is in a Book.
type Price struct {
	Input        *Nano `json:"input,omitempty"`          // fresh prompt tokens
	Cached       *Nano `json:"cached,omitempty"`         // read from the prompt cache
	CacheWrite   *Nano `json:"cache_write,omitempty"`    // written to it for the default lifetime
	CacheWrite1h *Nano `json:"cache_write_1h,omitempty"` // written to it for an hour
	Output       *Nano `json:"output,omitempty"`
	Reasoning    *Nano `json:"reasoning,omitempty"` // Output if nil
	AudioInput   *Nano `json:"audio_input,omitempty"`
	AudioOutput  *Nano `json:"audio_output,omitempty"`
	WebSearch    *Nano `json:"web_search,omitempty"` // per thousand searches, not per million tokens
}

// split is the number of tokens that are charged at the price of each class. The
// classes of usage.Tokens nest; these do not overlap.
type split struct{ input, cached, write, write1h, output, reasoning, audioInput, audioOutput int64 }

func (p *Price) split(t usage.Tokens) (s split) {
	s.cached = t.Cached
	s.write1h = min(t.CacheWrite1h, t.CacheWrite)
	s.write = t.CacheWrite - s.write1h
	s.input = max(0, t.Input-t.Cached-t.CacheWrite)
	s.audioInput = min(t.AudioInput, s.input)
	s.input -= s.audioInput
	s.audioOutput = min(t.AudioOutput, t.Output)
	s.output = t.Output - s.audioOutput
	if p.Reasoning != nil {
		s.reasoning = min(t.Reasoning, s.output)
		s.output -= s.reasoning
	}
	return s
}

// Cost returns what a response's tokens cost, rounded once, half up, to the
// nano-dollar. ok is false if the price of a class that was used is not known.
func (p *Price) Cost(t usage.Tokens) (cost Nano, ok bool) {
	s := p.split(t)
	var hi, lo, carry uint64
	for _, part := range [...]struct {
		n     int64
		price *Nano
	}{
		{s.input, p.Input}, {s.cached, p.Cached}, {s.write, p.CacheWrite}, {s.write1h, p.CacheWrite1h},
		{s.output, p.Output}, {s.reasoning, p.Reasoning}, {s.audioInput, p.AudioInput}, {s.audioOutput, p.AudioOutput},
		{min(t.WebSearches, maxSearches) * (million / 1000), p.WebSearch},
	} {
		if part.n <= 0 {
			continue
		}
		if part.price == nil || *part.price < 0 {
			return 0, false
		}
		h, l := bits.Mul64(uint64(part.n), uint64(*part.price))
		lo, carry = bits.Add64(lo, l, 0)
		hi, carry = bits.Add64(hi, h, carry)
		if carry != 0 {
			return 0, false
		}
	}
	lo, carry = bits.Add64(lo, million/2, 0)
	hi += carry
	if hi >= million {
		return 0, false
	}
	q, _ := bits.Div64(hi, lo, million)
	if q > 1<<63-1 {
		return 0, false
	}
	return Nano(q), true
}

const (
	million     = 1_000_000
	maxSearches = 1_000_000_000 // more than any response has, so that no product overflows
)

// Saved returns what prompt caching saved: the cached reads at the input price,
// minus their cost, minus the surcharge of the cache writes over the input price.
// It may be negative.
func (p *Price) Saved(t usage.Tokens) Nano {
	if p.Input == nil {
		return 0
	}
	s := p.split(t)
	var sum int64
	if p.Cached != nil {
		sum += s.cached * int64(*p.Input-*p.Cached)
	}
	if p.CacheWrite != nil {
		sum -= s.write * int64(*p.CacheWrite-*p.Input)
	}
	if p.CacheWrite1h != nil {
		sum -= s.write1h * int64(*p.CacheWrite1h-*p.Input)
	}
	if sum < 0 {
		return Nano((sum - million/2) / million)
	}
	return Nano((sum + million/2) / million)
}

// Free reports whether every class that has a price costs nothing.
func (p *Price) Free() bool {
	for _, f := range p.fields() {
		if *f != nil && **f != 0 {
			return false
		}
	}
	return true
}

// completed fills in what a price list leaves out.
//
// Cached reads without a price of their own are charged as input. Anthropic's
// models charge 1.25 times the input price for cache writes that last five minutes,
// and twice the input price for those that last an hour
// (https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing). For
// other models, a write without a price of its own is charged as input.
func (p Price) completed(model string) *Price {
	if p.Input == nil {
		return &p
	}
	claude := strings.Contains(model, "claude")
	if p.Cached == nil {
		p.Cached = p.Input
	}
	if p.CacheWrite == nil {
		p.CacheWrite = p.Input
		if claude {
			p.CacheWrite = ratio(p.Input, 5, 4)
		}
	}
	if p.CacheWrite1h == nil {
		p.CacheWrite1h = p.CacheWrite
		if claude {
			p.CacheWrite1h = ratio(p.Input, 2, 1)
		}
	}
	return &p
}

// times returns the price with every class of tokens multiplied by a fraction.
func (p *Price) times(numerator, denominator Nano) *Price {
	scaled := &Price{}
	from, to := p.fields(), scaled.fields()
	for i := range from {
		*to[i] = ratio(*from[i], numerator, denominator)
	}
	scaled.WebSearch = p.WebSearch
	return scaled
}

func (p *Price) fields() [9]**Nano {
	return [9]**Nano{&p.Input, &p.Cached, &p.CacheWrite, &p.CacheWrite1h, &p.Output, &p.Reasoning, &p.AudioInput, &p.AudioOutput, &p.WebSearch}
}

func ratio(n *Nano, numerator, denominator Nano) *Nano {
	if n == nil {
		return nil
	}
	v := *n * numerator / denominator
	return &v
}

// maxPrice is the highest price that is accepted, a dollar a token, so that no sum
// of a request overflows.
const maxPrice = million * Dollar

// valid reports whether there is a price, and none is negative or above maxPrice.
func (p *Price) valid() bool {
	some := false
	for _, f := range p.fields() {
		if *f != nil {
			some = true
			if **f < 0 || **f > maxPrice {
				return false
			}
		}
	}
	return some
}

// free returns a price of zero for every class.
func free() *Price {
	p, zero := &Price{}, Nano(0)
	for _, f := range p.fields() {
		*f = &zero
	}
	p.Reasoning, p.WebSearch = nil, nil
	return p
}

// Own are the prices of config.json, by PROVIDER/MODEL, where MODEL may end in *.
type Own map[string]Price

// ParseOwn reads the member "prices" of config.json. It leaves bad entries out, and
// describes each in problems. nil has no prices and no problems.
func ParseOwn(data json.RawMessage) (own Own, problems []string) {
	if len(data) == 0 || string(data) == "null" {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(data, &raw) != nil {
		return nil, []string{`config.json: "prices" must be an object of prices by PROVIDER/MODEL`}
	}
	own = Own{}
	for name, entry := range raw {
		var p Price
		provider, model, ok := strings.Cut(name, "/")
		if json.Unmarshal(entry, &p) != nil || !p.valid() || !ok || provider == "" || model == "" {
			problems = append(problems, `config.json: "prices" has a bad entry for `+name+`: write "PROVIDER/MODEL": {"input","cached","cache_write","cache_write_1h","output","web_search"} with US dollars per million tokens`)
			continue
		}
		own[name] = p
	}
	return own, problems
}
