package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hostless/hostless/pkg/config"
	"github.com/hostless/hostless/pkg/fault"
	"github.com/hostless/hostless/pkg/reqlog"
)

// stored is the content of budgets.json.
type stored struct {
	Next    int     `json:"next"` // number of the next id
	Budgets []entry `json:"budgets"`
}

type entry struct {
	ID     string `json:"id"`
	Scope  Scope  `json:"scope"`
	Unit   string `json:"unit"`
	Limit  Amount `json:"limit"`
	Period string `json:"period"`
}

// made validates entries and makes budgets of them, with nothing counted yet.
func made(entries []entry) ([]*budget, error) {
	var out []*budget
	for _, e := range entries {
		text := strconv.FormatInt(e.Limit.N, 10)
		if e.Limit.USD {
			text = strings.TrimPrefix(e.Limit.String(), "$")
		}
		req, limit, err := Request{e.Scope, e.Unit, Number(text), e.Period}.check()
		if err == nil && e.ID == "" {
			err = errors.New("a budget has no id")
		}
		if err != nil {
			return nil, err
		}
		out = append(out, &budget{id: e.ID, scope: req.Scope, unit: req.Unit, period: req.Period, limit: limit.N})
	}
	return out, nil
}

// set replaces the budgets. r.mu must be held, unless the room is not shared yet.
func (r *Room) set(budgets []*budget, next int) {
	r.budgets, r.next = budgets, max(1, next)
	r.some.Store(len(budgets) > 0)
	now := r.cfg.Now()
	for _, b := range r.budgets {
		if b.to.IsZero() {
			r.begin(b, now)
		}
		b.reserved = 0
	}
	for _, h := range r.calls {
		r.reserve(h, 1)
	}
}

// write stores the budgets in budgets.json and applies them. r.changing must be
// held.
func (r *Room) write(budgets []*budget, next int) error {
	s := stored{Next: next, Budgets: []entry{}}
	for _, b := range budgets {
		s.Budgets = append(s.Budgets, entry{b.id, b.scope, b.unit, b.amount(b.limit), b.period})
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := config.WritePrivate(r.cfg.Path, append(data, '\n')); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(budgets, next)
	r.bad.Store(nil)
	r.wake()
	if r.onChange != nil {
		r.onChange(data)
	}
	return nil
}

// List returns the budgets and their use, in the order in which they were set. It
// waits until the request log has been read.
func (r *Room) List(ctx context.Context) ([]Budget, error) {
	if err := r.await(ctx); err != nil {
		return nil, err
	}
	if bad := r.unreadable(); bad != nil {
		return nil, bad.fault(fault.Unconfigured)
	}
	r.Sync()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(r.cfg.Now())
	out := []Budget{}
	for _, b := range r.budgets {
		out = append(out, b.view())
	}
	return out, nil
}

// maxBudgets is how many budgets there may be, because each request is checked
// against all of them.
const maxBudgets = 200

// Put sets a budget. An existing one of the same scope, unit and period gets the
// new limit. A new budget counts what was already used in its period. The error is
// fault.Invalid and names the field.
func (r *Room) Put(ctx context.Context, req Request) (Budget, error) {
	req, limit, err := req.check()
	if err == nil {
		err = r.await(ctx)
	}
	if err != nil {
		return Budget{}, err
	}
	r.Sync()
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	budgets, next := slices.Clone(r.budgets), r.next
	r.mu.Unlock()
	set := &budget{scope: req.Scope, unit: req.Unit, period: req.Period, limit: limit.N}
	i := slices.IndexFunc(budgets, func(b *budget) bool { return b.scope == set.scope && b.unit == set.unit && b.period == set.period })
	switch {
	case i >= 0:
		set.id, budgets[i] = budgets[i].id, set
	case len(budgets) >= maxBudgets:
		return Budget{}, &fault.Error{Kind: fault.Invalid, Message: fmt.Sprintf("there are %d budgets already", maxBudgets), Next: "hostless budget remove ID"}
	default:
		set.id = "b" + strconv.Itoa(next)
		budgets, next = append(budgets, set), next+1
	}
	if err := r.keepAside(); err != nil {
		return Budget{}, err
	}
	if err := r.write(budgets, next); err != nil {
		return Budget{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warn(set)
	return set.view(), nil
}

// Remove removes a budget. The error for an unknown id is fault.NotFound.
func (r *Room) Remove(_ context.Context, id string) error {
	if bad := r.unreadable(); bad != nil {
		return bad.fault(fault.Unconfigured)
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	kept, next := slices.Clone(r.budgets), r.next
	r.mu.Unlock()
	kept = slices.DeleteFunc(kept, func(b *budget) bool { return b.id == id })
	r.mu.Lock()
	same := len(kept) == len(r.budgets)
	r.mu.Unlock()
	if same {
		return &fault.Error{Kind: fault.NotFound, Message: fmt.Sprintf("there is no budget %.40q", id), Next: "hostless budget list"}
	}
	return r.write(kept, next)
}

// Warnings returns the budgets that are spent or nearly spent, one sentence each,
// and the problems of the room.
func (r *Room) Warnings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(r.cfg.Now())
	out := slices.Clone(r.problems)
	if bad := r.bad.Load(); bad != nil {
		out = append(out, bad.fault(fault.Unconfigured).Message)
	}
	for _, b := range r.budgets {
		percent := b.percent()
		if percent < warnAt {
			continue
		}
		state, next := fmt.Sprintf("is %d %% used", percent), ""
		if percent >= 100 {
			state, next = "is spent", ", or raise it: hostless budget raise "+b.id+" AMOUNT"
		}
		out = append(out, fmt.Sprintf("budget %s (%s, %s a %s) %s: %s used; it resets at %s%s", b.id, b.scope, b.phrase(b.limit), b.period, state, b.phrase(b.used),
			b.to.Format("2006-01-02 15:04"), next))
	}
	return out
}

// Sync counts the rows that other processes have written to the request log.
func (r *Room) Sync() {
	r.syncing.Lock()
	defer r.syncing.Unlock()
	r.mu.Lock()
	offsets, own := r.offsets, r.own
	r.mu.Unlock()
	var rows []*reqlog.Row
	next, err := reqlog.Scan(r.cfg.Requests, earliest(r.cfg.Now(), r.cfg.Location), offsets, own, func(row *reqlog.Row) { rows = append(rows, row) })
	if err != nil {
		r.cfg.Logger.Warn("cannot read the request log", "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offsets = next
	for _, row := range rows {
		if r.own == "" || !strings.HasPrefix(row.ID, r.own) { // Count has already counted those
			r.count(row)
			if r.seen == nil {
				r.seen = map[string]bool{}
			}
			r.seen[row.ID] = true
		}
	}
}
