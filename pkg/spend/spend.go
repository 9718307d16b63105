// Package spend adds up the request log: what was requested, used and paid in a
// period, in total and by group.
//
// It keeps no totals of its own: each report is a sum over the log's rows. It
// therefore agrees with the log to the nano-dollar, also after a restart.
package spend

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/gateway/usage"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
)

// Sum is the total of some rows.
type Sum struct {
	Requests int64        `json:"requests"`
	Errors   int64        `json:"errors"`            // rows with an error_kind
	Unpriced int64        `json:"unpriced_requests"` // rows whose cost is not known; CostUSD leaves them out
	Tokens   usage.Tokens `json:"tokens"`
	CostUSD  prices.Nano  `json:"cost_usd"`
	SavedUSD prices.Nano  `json:"saved_usd"` // by prompt caching, net; may be negative
}

// Group is the sum of the rows that have the same key.
type Group struct {
	Key string `json:"key"` // "" for rows that have none
	Sum
}

// Report is the result of a Query.
type Report struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Total  Sum       `json:"total"`
	Groups []Group   `json:"groups"` // most expensive first; days in order; never nil
}

// Keys are the properties by which rows can be grouped.
var Keys = []string{"app", "model", "provider", "token", "client", "day"}

// Query selects the rows to add up.
type Query struct {
	From, To time.Time // To is excluded
	By       string    // one of Keys, or "" for no groups
	Apps     []string  // only rows of these apps; nil for all
	Location *time.Location
}

// Parse reads the parameters period (today, week or month; today if neither period
// nor since is given), since (see reqlog.ParseSince) and by. Days are those of loc,
// and weeks begin on Monday (ISO 8601). The error is fault.Invalid and names the
// parameter.
func Parse(q url.Values, now time.Time, loc *time.Location) (Query, error) {
	bad := func(param, message string) (Query, error) {
		return Query{}, &fault.Error{Kind: fault.Invalid, Param: param, Message: message}
	}
	out := Query{To: now, By: q.Get("by"), Location: loc}
	if out.By != "" && !slices.Contains(Keys, out.By) {
		return bad("by", fmt.Sprintf("by must be one of %s, not %.40q", strings.Join(Keys, ", "), out.By))
	}
	period, since := q.Get("period"), q.Get("since")
	if period != "" && since != "" {
		return bad("since", "give either period or since, not both")
	}
	if since != "" {
		var err error
		out.From, err = reqlog.ParseSince(since, now)
		return out, err
	}
	var ok bool
	if out.From, _, ok = Period(period, now, loc); !ok {
		return bad("period", fmt.Sprintf("period must be today, week or month, not %.40q", period))
	}
	return out, nil
}

// Period returns the beginning and the end of the day ("day", "today" or ""),
// "week" or "month" that contains now. ok is false for any other name.
func Period(name string, now time.Time, loc *time.Location) (from, to time.Time, ok bool) {
	local := now.In(loc)
	year, month, day := local.Date()
	days, months := 0, 0
	switch name {
	case "", "today", "day":
		days = 1
	case "week":
		day -= (int(local.Weekday()) + 6) % 7
		days = 7
	case "month":
		day, months = 1, 1
	default:
		return from, to, false
	}
	at := func(month time.Month, day int) time.Time { return time.Date(year, month, day, 0, 0, 0, 0, loc) }
	return at(month, day), at(month+time.Month(months), day+days), true
}

// Rows is the request log. Each yields the rows that arrived in [from, to), in no
// particular order.
type Rows interface {
	Each(from, to time.Time, yield func(*reqlog.Row)) error
}

// Of adds up the rows that a query selects.
func Of(rows Rows, q Query) (Report, error) {
	out := Report{From: q.From, To: q.To, Groups: []Group{}}
	sums := map[string]*Sum{}
	err := rows.Each(q.From, q.To, func(r *reqlog.Row) {
		if q.Apps != nil && !slices.Contains(q.Apps, r.App) {
			return
		}
		out.Total.add(r)
		if q.By == "" {
			return
		}
		key := q.key(r)
		if sums[key] == nil {
			sums[key] = &Sum{}
		}
		sums[key].add(r)
	})
	if err != nil {
		return Report{}, err
	}
	for key, sum := range sums {
		out.Groups = append(out.Groups, Group{key, *sum})
	}
	slices.SortFunc(out.Groups, func(a, b Group) int {
		switch {
		case q.By != "day" && a.CostUSD > b.CostUSD:
			return -1
		case q.By != "day" && a.CostUSD < b.CostUSD:
			return 1
		}
		return strings.Compare(a.Key, b.Key)
	})
	return out, nil
}

func (s *Sum) add(r *reqlog.Row) {
	s.Requests++
	if r.ErrorKind != "" {
		s.Errors++
	}
	s.Tokens.Add(r.Tokens)
	if !r.Priced {
		s.Unpriced++
		return
	}
	if r.CostUSD != nil {
		s.CostUSD += *r.CostUSD
	}
	if r.Price != nil {
		s.SavedUSD += r.Price.Saved(r.Tokens)
	}
}

// key returns the key of a row's group. A request that was answered without a
// provider has no provider, and its model is the name that the client requested.
func (q *Query) key(r *reqlog.Row) string {
	switch q.By {
	case "app":
		return r.App
	case "model":
		if r.ResolvedModel != "" {
			return r.ResolvedModel
		}
		return r.Model
	case "provider":
		return r.Provider
	case "token":
		return r.Token
	case "client":
		return r.Client
	}
	return r.Time.In(q.Location).Format(time.DateOnly)
}
