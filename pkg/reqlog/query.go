package reqlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// Filter says which rows are asked for. The zero value passes every row.
type Filter struct {
	App      string    // the NAME of a run
	Model    string    // the requested or the resolved name; a closing * matches the rest
	Provider string    // canonical
	Token    string    // the shown prefix or the name
	Status   string    // "429" or "4xx"
	Since    time.Time // rows that arrived then or later
	Apps     []string  // nil is all; else rows of these apps alone
}

// The rows that a reader may ask for.
const (
	DefaultRows = 100
	MaxRows     = 10_000
)

// ParseQuery reads what a reader asks for: n, app, model, provider, token, status and
// since, a duration (with days, as 7d) before now or an RFC 3339 time. The error is
// fault.Invalid and names the parameter.
func ParseQuery(q url.Values, now time.Time) (f Filter, n int, err error) {
	bad := func(param, message string) (Filter, int, error) {
		return f, n, &fault.Error{Kind: fault.Invalid, Param: param, Message: message}
	}
	n = DefaultRows
	if text := q.Get("n"); text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 0 || n > MaxRows {
			return bad("n", fmt.Sprintf("n is a number of rows, at most %d", MaxRows))
		}
	}
	if plane := q.Get("plane"); plane != "" && plane != "ai" {
		return bad("plane", fmt.Sprintf("plane is ai, not %.40q", plane))
	}
	f = Filter{App: q.Get("app"), Model: q.Get("model"), Provider: provider.Default().Canonical(q.Get("provider")), Token: q.Get("token"), Status: strings.ToLower(q.Get("status"))}
	if s := f.Status; s != "" && (len(s) != 3 || s[0] < '1' || s[0] > '5' || s[1:] != "xx" && (s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9')) {
		return bad("status", fmt.Sprintf("status is such as 429 or 4xx, not %.40q", s))
	}
	if f.Since, err = ParseSince(q.Get("since"), now); err != nil {
		return f, n, err
	}
	return f, n, nil
}

// ParseSince reads a duration before now (30m, 7d) or an RFC 3339 time; "" is the
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
	return time.Time{}, &fault.Error{Kind: fault.Invalid, Param: "since", Message: fmt.Sprintf("since is a duration such as 1h or 7d, or a time such as 2026-01-31T09:00:00Z, not %.40q", text)}
}

// Match reports whether a row passes.
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
	if f.Status == "" {
		return true
	}
	status := strconv.Itoa(r.Status)
	return status == f.Status || strings.HasSuffix(f.Status, "xx") && len(status) == 3 && status[0] == f.Status[0]
}

func matchName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// Last gives the last n rows that pass, by arrival, newest last. A line that cannot be
// read, such as one that a crash has cut off, is passed over.
func (l *Log) Last(n int, f Filter) ([]*Row, error) {
	l.sync()
	return l.last(n, f)
}

func (l *Log) last(n int, f Filter) ([]*Row, error) {
	rows := l.memory(func(k kept) bool { return !k.written && f.Match(k.row) })
	all, err := list(l.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("read request log: %w", err)
	}
	left := n
	for _, name := range slices.Backward(all) {
		if left <= 0 || !f.Since.IsZero() && name.day < day(f.Since) {
			break
		}
		data, err := read(l.cfg.Dir, name)
		if err != nil {
			return nil, err
		}
		for len(data) > 0 && left > 0 {
			at := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
			if r := decode(data[at:]); r != nil && f.Match(r) {
				rows = append(rows, r)
				left--
			}
			data = data[:at]
		}
	}
	slices.SortStableFunc(rows, func(a, b *Row) int { return a.Time.Compare(b.Time) })
	return rows[max(0, len(rows)-n):], nil
}

func read(dir string, name segment) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, name.file()))
	if errors.Is(err, fs.ErrNotExist) { // pruned meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read request log: %w", err)
	}
	return data, nil
}

// decode reads one line; nil where it is no row.
func decode(line []byte) *Row {
	var r Row
	if json.Unmarshal(line, &r) != nil || r.ID == "" {
		return nil
	}
	return &r
}

// Find gives the row of an id, or nil.
func (l *Log) Find(id string) (*Row, error) {
	l.sync()
	if rows := l.memory(func(k kept) bool { return k.row.ID == id }); len(rows) > 0 {
		return rows[len(rows)-1], nil
	}
	all, err := list(l.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("read request log: %w", err)
	}
	mark, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Backward(all) {
		data, err := read(l.cfg.Dir, name)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(data) {
			if bytes.Contains(line, mark) {
				if r := decode(line); r != nil && r.ID == id {
					return r, nil
				}
			}
		}
	}
	return nil, nil
}

// Each calls yield with every row that arrived from a time on and before another, in
// no order; a zero time is no limit.
func (l *Log) Each(from, to time.Time, yield func(*Row)) error {
	l.sync()
	in := func(r *Row) bool {
		return !r.Time.Before(from) && (to.IsZero() || r.Time.Before(to))
	}
	for _, r := range l.memory(func(k kept) bool { return !k.written && in(k.row) }) {
		yield(r)
	}
	all, err := list(l.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read request log: %w", err)
	}
	for _, name := range all {
		if !from.IsZero() && name.day < day(from) || !to.IsZero() && name.day > day(to) {
			continue
		}
		data, err := read(l.cfg.Dir, name)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			if r := decode(line); r != nil && in(r) {
				yield(r)
			}
		}
	}
	return nil
}

// Follow gives the last n rows that pass and then each new one, until ctx ends, yield
// fails, or the reader is too slow.
func (l *Log) Follow(ctx context.Context, n int, f Filter, yield func(*Row) error) error {
	next := make(chan *Row, 256)
	l.sync()
	l.mu.Lock()
	l.followers[next] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.followers, next)
		l.mu.Unlock()
	}()
	last, err := l.last(n, f)
	if err != nil {
		return err
	}
	shown := map[string]bool{} // rows that came while the last ones were read
	for _, r := range last {
		shown[r.ID] = true
		if err := yield(r); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case r, open := <-next:
			if !open {
				return errors.New("request log: the reader is too slow")
			}
			if shown[r.ID] || !f.Match(r) {
				continue
			}
			if err := yield(r); err != nil {
				return err
			}
		}
	}
}
