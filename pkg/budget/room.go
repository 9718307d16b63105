package budget

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostless/hostless/pkg/gateway/pipeline"
	"github.com/hostless/hostless/pkg/prices"
	"github.com/hostless/hostless/pkg/reqlog"
	"github.com/hostless/hostless/pkg/spend"
)

// Config is what New needs.
type Config struct {
	Path     string                // of budgets.json; required
	Requests string                // the directory of the request log; required
	Prices   func() *prices.Book   // called for each request; required
	Refuse   func() bool           // whether models without a price are refused; nil never refuses
	Redact   func(s string) string // removes secrets from log lines; nil keeps them as they are
	Location *time.Location        // whose days are used; default time.Local
	Now      func() time.Time      // default time.Now
	Logger   *slog.Logger          // default discards
	Held     []Held                // reserves of a predecessor's calls
}

// Room manages the budgets. It is a pipeline.Admitter, a pipeline.Refuser and a
// pipeline.Observer. The request log calls Count with each row before any observer
// after the log is called. It is safe for concurrent use.
type Room struct {
	cfg   Config
	ready chan struct{}            // closed when the request log has been read
	bad   atomic.Pointer[unusable] // what is wrong with budgets.json, or nil
	some  atomic.Bool              // there are budgets

	changing sync.Mutex // held while budgets.json is written; taken before mu
	syncing  sync.Mutex // held while the segments are read; taken before mu

	mu       sync.Mutex
	own      string // prefix of the ids of this process's requests; "" before the first
	days     days   // what was used, by whom; until ready only by this process
	today    day    // the day that was used last
	offsets  reqlog.Offsets
	budgets  []*budget
	next     int // the number of the next budget's id
	calls    map[string]*held
	seen     map[string]bool // ids of other processes' rows
	released chan struct{}   // closed and replaced when a reserve is released
	waiting  int             // number of calls waiting for released
	problems []string
	onHold   func(Held)        // called with each reserve; may be nil
	onChange func(data []byte) // called with the budgets; guarded by changing
}

// budget is the internal form of a Budget.
type budget struct {
	id           string
	scope        Scope
	unit, period string
	limit        int64
	from, to     time.Time // the period that used belongs to
	first, end   date      // the same as days; end is excluded
	used         int64
	warnFrom     int64 // from this use on, it is nearly spent
	reserved     int64
	warned       bool // the line at warnAt was logged in this period
	refused      bool // the line for the first refusal was logged in this period
}

// warnAt is the percentage of the limit from which on a budget is reported in the
// warnings.
const warnAt = 80

// held is the reserve of a call in flight.
type held struct {
	key     key
	more    []string // further providers that the call may go to
	counts  counts
	foreign bool
}

func (h *held) in(s *Scope) bool {
	if s.covers(&h.key) {
		return true
	}
	for _, p := range h.more {
		if s.Provider != "" && s.Provider == p {
			return true
		}
	}
	return false
}

// New reads the budgets and starts reading the request log. Until that is done,
// calls to which a budget applies wait.
func New(cfg Config) (*Room, error) {
	if cfg.Path == "" || cfg.Requests == "" || cfg.Prices == nil {
		return nil, errors.New("budgets: Path, Requests and Prices are required")
	}
	if cfg.Refuse == nil {
		cfg.Refuse = func() bool { return false }
	}
	if cfg.Redact == nil {
		cfg.Redact = func(s string) string { return s }
	}
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Room{cfg: cfg, ready: make(chan struct{}), days: days{}, next: 1, calls: map[string]*held{}, released: make(chan struct{})}
	r.open()
	r.Import(cfg.Held...)
	go r.load() // ends when the log has been read
	return r, nil
}

// load reads the request log.
func (r *Room) load() {
	var mine []*reqlog.Row
	var written []string // rows of a predecessor's calls that have, or may still get, a reserve here
	lately := r.cfg.Now().Add(-time.Minute)
	sums, offsets, err := advance(r.cfg.Requests, r.cfg.Now(), r.cfg.Location, func(row *reqlog.Row) {
		if r.isOwn(row.ID) {
			mine = append(mine, row)
		} else if row.Time.After(lately) || r.holds(row.ID) {
			written = append(written, row.ID)
		}
	})
	if err != nil {
		r.cfg.Logger.Error("cannot read the request log or write its totals: budgets may count less than was used", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if sums == nil {
		sums = days{}
		r.problems = append(r.problems, "budgets do not count what was used before this daemon started: "+err.Error())
	}
	r.seen = map[string]bool{}
	for _, id := range written {
		r.seen[id] = true
		r.release(id)
	}
	for _, row := range mine { // already counted by Count
		c := countsOf(row)
		sums.add(dateOf(row.Time, r.cfg.Location), keyOf(row), counts{-c.USD, -c.Tokens, -c.Requests})
	}
	for day, byKey := range r.days {
		for k, c := range byKey {
			sums.add(day, k, *c)
		}
	}
	r.days, r.offsets = sums, offsets
	now := r.cfg.Now()
	for _, b := range r.budgets {
		r.begin(b, now)
		b.warned = b.percent() >= warnAt // it was logged at the time
	}
	close(r.ready)
}

// Save updates the totals next to the request log, so that the next start has
// little to read. It is called every saveEvery and when the log is closed.
func (r *Room) Save() {
	<-r.ready
	if _, _, err := advance(r.cfg.Requests, r.cfg.Now(), r.cfg.Location, func(*reqlog.Row) {}); err != nil {
		r.cfg.Logger.Warn("cannot write the totals of the request log", "error", err)
	}
}

// saveEvery is how often the totals are written.
const saveEvery = time.Hour

// Run saves the totals every saveEvery, until ctx ends.
func (r *Room) Run(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.Save()
		}
	}
}

func (r *Room) holds(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[id] != nil
}

func (r *Room) isOwn(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own != "" && strings.HasPrefix(id, r.own)
}

// begin starts the period of a budget that contains now, and counts its use. r.mu
// must be held.
func (r *Room) begin(b *budget, now time.Time) {
	b.from, b.to, _ = spend.Period(b.period, now, r.cfg.Location)
	b.first, b.end = dateOf(b.from, r.cfg.Location), dateOf(b.to, r.cfg.Location)
	b.warnFrom = b.limit/100*warnAt + b.limit%100*warnAt/100
	b.used, b.warned, b.refused = r.days.sum(&b.scope, b.unit, b.first, b.end), false, false
}

// roll starts the next period of the budgets whose period is over. r.mu must be
// held.
func (r *Room) roll(now time.Time) {
	if r.today.has(now) { // periods end only where days do
		return
	}
	r.today = dayOf(now, r.cfg.Location)
	for _, b := range r.budgets {
		if now.Before(b.to) && !now.Before(b.from) {
			continue
		}
		r.begin(b, now)
	}
	r.days.forget(dateOf(earliest(now, r.cfg.Location), r.cfg.Location))
}

func (b *budget) percent() int64 {
	v := b.view()
	return v.Percent()
}

func (b *budget) amount(n int64) Amount { return Amount{n, b.unit == USD} }

func (b *budget) view() Budget {
	return Budget{
		ID: b.id, Scope: b.scope, Unit: b.unit, Period: b.period, Limit: b.amount(b.limit),
		Used: b.amount(b.used), Reserved: b.amount(b.reserved), ResetsAt: b.to.UTC(),
	}
}

// Count counts a row of the request log and releases the reserve of its call. The
// log calls it for each row (reqlog.Config.Count).
func (r *Room) Count(row *reqlog.Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own == "" {
		r.own, _, _ = strings.Cut(row.ID, "-")
		r.own += "-"
	}
	r.count(row)
}

// count is Count for a row of any process. r.mu must be held.
func (r *Room) count(row *reqlog.Row) {
	r.roll(r.cfg.Now())
	c, k := countsOf(row), keyOf(row)
	if c != (counts{}) {
		day := r.today.date
		if !r.today.has(row.Time) {
			day = dateOf(row.Time, r.cfg.Location)
		}
		r.days.add(day, k, c)
		for _, b := range r.budgets {
			if day >= b.first && day < b.end && b.scope.covers(&k) {
				b.used += c.of(b.unit)
				r.warn(b)
			}
		}
	}
	r.release(row.ID)
}

// warn logs once per period that a budget is nearly spent. r.mu must be held.
func (r *Room) warn(b *budget) {
	if b.warned || b.used < b.warnFrom {
		return
	}
	b.warned = true
	go r.cfg.Logger.Warn("a budget is nearly spent", "budget", b.id, "of", r.cfg.Redact(b.scope.String()), "used", b.amount(b.used).String(), "limit", b.amount(b.limit).String(),
		"period", b.period, "resets_at", b.to)
}

// release releases the reserve of a call. r.mu must be held.
func (r *Room) release(id string) {
	h := r.calls[id]
	if h == nil {
		return
	}
	delete(r.calls, id)
	r.reserve(h, -1)
	r.wake()
}

// wake makes the waiting calls check again. r.mu must be held.
func (r *Room) wake() {
	if r.waiting > 0 {
		close(r.released)
		r.released, r.waiting = make(chan struct{}), 0
	}
}

// reserve adds the reserve of a call to the budgets that apply to it, or subtracts
// it if sign is -1. r.mu must be held.
func (r *Room) reserve(h *held, sign int64) {
	for _, b := range r.budgets {
		if h.in(&b.scope) {
			b.reserved += sign * h.counts.of(b.unit)
		}
	}
}

// Attempt implements pipeline.Observer.
func (r *Room) Attempt(*pipeline.Call, pipeline.Outcome) {}

// Done implements pipeline.Observer: it releases the reserve of a call that has no
// row in the request log.
func (r *Room) Done(call *pipeline.Call, _ pipeline.Outcome) {
	if !r.some.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(call.ID)
}
