package budget

import (
	"time"

	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

// counts is what requests used, in each of the units.
type counts struct {
	USD      int64 `json:"usd"` // nano-dollars
	Tokens   int64 `json:"tokens"`
	Requests int64 `json:"requests"`
}

func (c *counts) add(o counts) {
	c.USD += o.USD
	c.Tokens += o.Tokens
	c.Requests += o.Requests
}

func (c counts) of(unit string) int64 {
	switch unit {
	case USD:
		return c.USD
	case Tokens:
		return c.Tokens
	}
	return c.Requests
}

// countsOf returns what a row of the request log counts. A row without an attempt
// at a provider, such as a refusal, counts nothing.
func countsOf(r *reqlog.Row) counts {
	c := counts{Tokens: r.Tokens.Input + r.Tokens.Output}
	if r.Priced && r.CostUSD != nil {
		c.USD = int64(*r.CostUSD)
	}
	if len(r.Attempts) > 0 {
		c.Requests = 1
	}
	return c
}

// key identifies whose a request is, as far as scopes distinguish it.
type key struct {
	App      string `json:"app"`
	Token    string `json:"token"`
	Name     string `json:"token_name"`
	Provider string `json:"provider"`
}

func keyOf(r *reqlog.Row) key { return key{r.App, r.Token, r.TokenName, r.Provider} }

// covers reports whether the scope includes a request.
func (s *Scope) covers(k *key) bool {
	return s.All || s.coversCaller(k) || s.Provider != "" && s.Provider == k.Provider
}

// coversCaller is covers for scopes that do not depend on the provider.
func (s *Scope) coversCaller(k *key) bool {
	return s.All || s.App != "" && s.App == k.App || s.Token != "" && (s.Token == k.Token || s.Token == k.Name)
}

// date is a local day as a number: 20260131.
type date int

func dateOf(t time.Time, loc *time.Location) date {
	year, month, day := t.In(loc).Date()
	return date(year*10000 + int(month)*100 + day)
}

// day is a local day.
type day struct {
	from, to time.Time
	date     date
}

func dayOf(t time.Time, loc *time.Location) day {
	from, to, _ := spend.Period("day", t, loc)
	return day{from, to, dateOf(from, loc)}
}

func (d *day) has(t time.Time) bool { return t.Before(d.to) && !t.Before(d.from) }

// days sums up requests by local day and key. The period of a budget is a range of
// days.
type days map[date]map[key]*counts

func (d days) add(day date, k key, c counts) {
	if c == (counts{}) {
		return
	}
	sums := d[day]
	if sums == nil {
		sums = map[key]*counts{}
		d[day] = sums
	}
	sum := sums[k]
	if sum == nil {
		sum = &counts{}
		sums[k] = sum
	}
	sum.add(c)
}

// sum returns what a scope used in the days [from, to).
func (d days) sum(s *Scope, unit string, from, to date) (n int64) {
	for day, sums := range d {
		if day < from || day >= to {
			continue
		}
		for k, c := range sums {
			if s.covers(&k) {
				n += c.of(unit)
			}
		}
	}
	return n
}

// forget removes the days before a date.
func (d days) forget(before date) {
	for day := range d {
		if day < before {
			delete(d, day)
		}
	}
}

// earliest returns the earliest start of a period that contains now.
func earliest(now time.Time, loc *time.Location) time.Time {
	week, _, _ := spend.Period("week", now, loc)
	month, _, _ := spend.Period("month", now, loc)
	if week.Before(month) {
		return week
	}
	return month
}
