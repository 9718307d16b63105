package approval

import (
	"slices"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/token"
)

// DefaultTTL is the lifetime of an app's token if the person chooses none.
const DefaultTTL = time.Hour

// Terms are what a person allows: at most what the app asked for.
type Terms struct {
	Scope     token.Scope
	RateLimit int           // requests per hour; 0 is no limit
	TTL       time.Duration // lifetime of each token
}

// Decision is a person's answer. A zero field leaves what the app asked for.
type Decision struct {
	Approve   bool
	Scope     token.Scope
	RateLimit int
	TTL       time.Duration
	// Remember is how long the origin is let in without a question; Forever means until
	// it is forgotten.
	Remember time.Duration
	Forever  bool
}

// Grant is a remembered decision about an origin.
type Grant struct {
	Origin    string
	Asked     Terms // what the app asked for; a request for no more is let in
	Terms           // what it gets
	CreatedAt time.Time
	ExpiresAt time.Time // zero means never
}

func (g Grant) expired(now time.Time) bool { return !g.ExpiresAt.IsZero() && !now.Before(g.ExpiresAt) }

// restrict applies a decision to a request. It is an error if the decision allows more
// than the request asks for.
func (d Decision) restrict(r Request) (Terms, error) {
	t := Terms{Scope: r.Scope, RateLimit: r.RateLimit, TTL: DefaultTTL}
	if err := d.Scope.Validate(); err != nil {
		return t, err
	}
	for _, list := range []struct {
		param         string
		into          *[]string
		asked, chosen []string
	}{
		{"allowed_providers", &t.Scope.Providers, r.Scope.Providers, d.Scope.Providers},
		{"allowed_models", &t.Scope.Models, r.Scope.Models, d.Scope.Models},
	} {
		if len(list.chosen) == 0 {
			continue
		}
		if !covers(list.asked, list.chosen) {
			return t, invalid(list.param, "%s allows more than %s asked for: %s", list.param, r.Origin, strings.Join(list.asked, ","))
		}
		*list.into = slices.Clone(list.chosen)
	}
	switch {
	case d.RateLimit < 0:
		return t, invalid("rate_limit", "rate_limit must be a number of requests per hour")
	case d.RateLimit > 0 && r.RateLimit > 0 && d.RateLimit > r.RateLimit:
		return t, invalid("rate_limit", "rate_limit is higher than the %d requests per hour that %s asked for", r.RateLimit, r.Origin)
	case d.RateLimit > 0:
		t.RateLimit = d.RateLimit
	}
	if d.TTL < 0 || d.Remember < 0 {
		return t, &fault.Error{Kind: fault.Invalid, Message: "ttl and remember must be durations above 0"}
	}
	if d.TTL > 0 {
		t.TTL = d.TTL
	}
	return t, nil
}

// covers reports whether everything that the names and globs in asked match is also
// matched by allowed. An empty list matches everything.
func covers(allowed, asked []string) bool {
	if len(allowed) == 0 {
		return true
	}
	if len(asked) == 0 {
		return false
	}
	for _, name := range asked {
		if !slices.ContainsFunc(allowed, func(a string) bool {
			prefix, open := strings.CutSuffix(a, "*")
			return a == name || open && strings.HasPrefix(strings.TrimSuffix(name, "*"), prefix)
		}) {
			return false
		}
	}
	return true
}

// covers reports whether t allows at least what a request asks for.
func (t Terms) covers(r Request) bool {
	return covers(t.Scope.Providers, r.Scope.Providers) && covers(t.Scope.Models, r.Scope.Models) &&
		(t.RateLimit == 0 || r.RateLimit > 0 && r.RateLimit <= t.RateLimit)
}

// terms returns what a request gets from the grant, and whether the request asks for no
// more than the grant was given for.
func (g Grant) terms(r Request, now time.Time) (Terms, bool) {
	t := g.Terms
	switch {
	case g.expired(now):
		return t, false
	case g.Terms.covers(r):
		t.Scope, t.RateLimit = r.Scope, lower(r.RateLimit, g.RateLimit)
	case !g.Asked.covers(r):
		return t, false
	default:
		t.RateLimit = lower(r.RateLimit, g.RateLimit)
	}
	if !g.ExpiresAt.IsZero() {
		t.TTL = min(t.TTL, g.ExpiresAt.Sub(now))
	}
	return t, true
}

// lower returns the stricter of two rate limits, where 0 means no limit.
func lower(a, b int) int {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
