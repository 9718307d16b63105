package reqlog

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/provider"
)

// Filter selects rows. The zero value matches every row.
type Filter struct {
	App      string    // the NAME of a run
	Model    string    // the requested or the resolved name; a * at the end matches any rest
	Provider string    // canonical
	Token    string    // the shown prefix or the name
	Status   string    // "429" or "4xx"
	Since    time.Time // rows that arrived then or later
	Apps     []string  // only rows of these apps; nil for all
}

// How many rows a reader may ask for.
const (
	DefaultRows = 100
	MaxRows     = 10_000
)

// PlaneApps is the value of the parameter plane that asks for requests to apps.
const PlaneApps = "apps"

// ParseQuery reads the parameters of a query: n, plane, app, model, provider,
// token, status and since (see ParseSince). The error is fault.Invalid and names
// the parameter.
func ParseQuery(q url.Values, now time.Time) (f Filter, n int, err error) {
	bad := func(param, message string) (Filter, int, error) {
		return f, n, &fault.Error{Kind: fault.Invalid, Param: param, Message: message}
	}
	n = DefaultRows
	if text := q.Get("n"); text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 0 || n > MaxRows {
			return bad("n", fmt.Sprintf("n must be a number of rows, at most %d", MaxRows))
		}
	}
	switch plane := q.Get("plane"); plane {
	case "", "ai":
	case PlaneApps:
		for _, param := range []string{"model", "provider", "token"} {
			if q.Get(param) != "" {
				return bad(param, "requests to apps have no "+param+"; they can be filtered by app, status and since")
			}
		}
	default:
		return bad("plane", fmt.Sprintf("plane must be ai or apps, not %.40q", plane))
	}
	f = Filter{App: q.Get("app"), Model: q.Get("model"), Provider: provider.Default().Canonical(q.Get("provider")), Token: q.Get("token"), Status: strings.ToLower(q.Get("status"))}
	if s := f.Status; s != "" && (len(s) != 3 || s[0] < '1' || s[0] > '5' || s[1:] != "xx" && (s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9')) {
		return bad("status", fmt.Sprintf("status must be a status such as 429 or a class such as 4xx, not %.40q", s))
	}
	if f.Since, err = ParseSince(q.Get("since"), now); err != nil {
		return f, n, err
	}
	return f, n, nil
}

// ParseSince parses a duration before now (30m, 7d) or an RFC 3339 time. "" is the
// zero time. The error is fault.Invalid.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDays(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	return time.Time{}, &fault.Error{Kind: fault.Invalid, Param: "since", Message: fmt.Sprintf("since must be a duration such as 1h or 7d, or a time such as 2026-01-31T09:00:00Z, not %.40q", text)}
}

// Match reports whether a row matches.
func (f *Filter) Match(r *Row) bool {
	switch {
	case f.Apps != nil && !slices.Contains(f.Apps, r.App),
		f.App != "" && f.App != r.App,
		f.Provider != "" && f.Provider != r.Provider,
		f.Token != "" && f.Token != r.Token && f.Token != r.TokenName,
		f.Model != "" && !matchName(f.Model, r.Model) && !matchName(f.Model, r.ResolvedModel),
		!f.Since.IsZero() && r.Time.Before(f.Since):
		return false
	}
	return f.matchStatus(r.Status)
}

func (f *Filter) matchStatus(code int) bool {
	if f.Status == "" {
		return true
	}
	status := strconv.Itoa(code)
	return status == f.Status || strings.HasSuffix(f.Status, "xx") && len(status) == 3 && status[0] == f.Status[0]
}

// MatchApp reports whether a request to an app matches.
func (f *Filter) MatchApp(r *AppRow) bool {
	return (f.Apps == nil || slices.Contains(f.Apps, r.App)) && (f.App == "" || f.App == r.App) &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) && f.matchStatus(r.Status)
}

func matchName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// Last returns the last n rows that match, by arrival, newest last. It skips lines
// that cannot be read, such as one that was cut off by a crash.
func (l *Log) Last(n int, f Filter) ([]*Row, error) {
	l.Sync()
	return l.last(n, f.Since, f.Match)
}

// Find returns the row with an id, or nil.
func (l *Log) Find(id string) (*Row, error) { return l.find(id) }

// Each calls yield with every row that arrived in [from, to), in no particular
// order. A zero time is no limit.
func (l *Log) Each(from, to time.Time, yield func(*Row)) error { return l.each(from, to, yield) }

// Follow calls yield with the last n rows that match and then with each new one,
// until ctx ends, yield fails, or the reader is too slow.
func (l *Log) Follow(ctx context.Context, n int, f Filter, yield func(*Row) error) error {
	if l.cfg.Others == nil {
		return l.follow(ctx, n, f.Since, f.Match, nil, yield)
	}
	offsets, others := l.ends(), l.cfg.Others()
	poll := func(found func(*Row)) {
		before := others
		if others = l.cfg.Others(); !others && !before {
			offsets = l.ends()
			return
		}
		own := ""
		if p := l.own.Load(); p != nil {
			own = *p
		}
		var err error
		if offsets, err = Scan(l.cfg.Dir, l.cfg.Now().Add(-24*time.Hour), offsets, own, found); err != nil {
			l.log.Warn("cannot read the rows of other daemons", "error", err)
		}
	}
	return l.follow(ctx, n, f.Since, f.Match, poll, yield)
}

// ends returns the offsets at which the segments end now.
func (l *Log) ends() Offsets {
	out := Offsets{}
	all, err := list(l.cfg.Dir)
	if err != nil {
		return out // the existing rows are yielded once more
	}
	for _, name := range all {
		if info, err := os.Stat(filepath.Join(l.cfg.Dir, name.file())); err == nil {
			out[name.file()] = info.Size()
		}
	}
	return out
}

// decode parses one line.
func decode(line []byte) (*Row, bool) {
	var r Row
	ok := json.Unmarshal(line, &r) == nil && r.ID != ""
	return &r, ok
}
