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
	Refuse   func() bool           // whether models without a price are refused; nil is never
	Redact   func(s string) string // takes secrets out of what goes to the log; nil is none
	Location *time.Location        // whose days they are; time.Local when nil
	Now      func() time.Time      // time.Now when nil
	Logger   *slog.Logger          // discards when nil
	Held     []Held                // what calls of a predecessor hold
}

// Room holds the budgets. It is a pipeline.Admitter, a pipeline.Refuser and a
// pipeline.Observer; the request log hands it each row (Count) before the observers that
// come after the log are called. It is safe for concurrent use.
type Room struct {
	cfg   Config
	ready chan struct{} // closed when the request log has been read
	some  atomic.Bool   // there are budgets

	changing sync.Mutex // held while budgets.json is written; taken before mu
	syncing  sync.Mutex // held while the segments are read; taken before mu

	mu       sync.Mutex
	own      string // how the ids of this process's requests begin, once there is one
	days     days   // what was used, by whom; of this process alone until ready
	today    day    // the one that was used last
	offsets  reqlog.Offsets
	budgets  []*budget
	next     int // the number of the next budget's id
	calls    map[string]*held
	seen     map[string]bool // ids of rows of other processes
	released chan struct{}   // closed, and made anew, when a reserve is taken back
	waiting  int             // calls that wait for that
	problems []string
	onHold   func(Held)        // hears of each reserve; nil is nobody
	onChange func(data []byte) // hears of the budgets; under changing
}

// budget is a Budget as it is held.
type budget struct {
	id           string
	scope        Scope
	unit, period string
	limit        int64
	from, to     time.Time // the period that used is of
	first, end   date      // the same as days: end is excluded
	used         int64
	warnFrom     int64 // the used at which it is nearly spent
	reserved     int64
	warned       bool // the line at warnAt has been logged in this period
	refused      bool // and the one about the first refusal
}

// warnAt is the percentage of a limit from which on a budget is in the warnings.
const warnAt = 80

// held is what a call in flight holds in reserve.
type held struct {
	key     key
	more    []string // further providers that it may go to
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

// New reads the budgets and begins to read the request log; until that is done, calls
// that a budget applies to wait.
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
	if err := r.read(); err != nil {
		return nil, err
	}
	r.Import(cfg.Held...)
	go r.load() // ends when the log has been read
	return r, nil
}

// load reads the request log.
func (r *Room) load() {
	var mine []*reqlog.Row
	var written []string // of a predecessor's calls, for which it held something or may tell so yet
	lately := r.cfg.Now().Add(-time.Minute)
	sums, offsets, err := advance(r.cfg.Requests, r.cfg.Now(), r.cfg.Location, func(row *reqlog.Row) {
		if r.isOwn(row.ID) {
			mine = append(mine, row)
		} else if row.Time.After(lately) || r.holds(row.ID) {
			written = append(written, row.ID)
		}
	})
	if err != nil {
		r.cfg.Logger.Error("the request log cannot be read, or its totals not be written: budgets may count less than was used", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if sums == nil {
		sums = days{}
		r.problems = append(r.problems, "budgets do not count what was used before this daemon began: "+err.Error())
	}
	r.seen = map[string]bool{}
	for _, id := range written {
		r.seen[id] = true
		r.release(id)
	}
	for _, row := range mine { // Count has counted them
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
		b.warned = b.percent() >= warnAt // it was logged when it happened
	}
	close(r.ready)
}

// Save brings the totals beside the request log up to date, so that the next start has
// little to read. It is called when the log is closed, and now and then.
func (r *Room) Save() {
	<-r.ready
	if _, _, err := advance(r.cfg.Requests, r.cfg.Now(), r.cfg.Location, func(*reqlog.Row) {}); err != nil {
		r.cfg.Logger.Warn("the totals of the request log cannot be written", "error", err)
	}
}

// saveEvery is how often the totals are brought up to date.
const saveEvery = time.Hour

// Run saves the totals now and then, until ctx ends.
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

// begin has a budget count from the beginning of the period that now is in; r.mu is held.
func (r *Room) begin(b *budget, now time.Time) {
	b.from, b.to, _ = spend.Period(b.period, now, r.cfg.Location)
	b.first, b.end = dateOf(b.from, r.cfg.Location), dateOf(b.to, r.cfg.Location)
	b.warnFrom = b.limit/100*warnAt + b.limit%100*warnAt/100
	b.used, b.warned, b.refused = r.days.sum(&b.scope, b.unit, b.first, b.end), false, false
}

// roll begins the next period of the budgets whose period is over; r.mu is held.
func (r *Room) roll(now time.Time) {
	if r.today.has(now) { // periods end where days do
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

// Count takes a row of the request log in: what it used is counted, and what its call
// held is free again. It is the log's Count.
func (r *Room) Count(row *reqlog.Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own == "" {
		r.own, _, _ = strings.Cut(row.ID, "-")
		r.own += "-"
	}
	r.count(row)
}

// count is Count of a row of whichever process; r.mu is held.
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

// warn logs once in a period that a budget will soon be spent; r.mu is held.
func (r *Room) warn(b *budget) {
	if b.warned || b.used < b.warnFrom {
		return
	}
	b.warned = true
	go r.cfg.Logger.Warn("a budget is nearly spent", "budget", b.id, "of", r.cfg.Redact(b.scope.String()), "used", b.amount(b.used).String(), "limit", b.amount(b.limit).String(),
		"period", b.period, "resets_at", b.to)
}

// release takes back what a call holds; r.mu is held.
func (r *Room) release(id string) {
	h := r.calls[id]
	if h == nil {
		return
	}
	delete(r.calls, id)
	r.reserve(h, -1)
	r.wake()
}

// wake has the calls that wait look again; r.mu is held.
func (r *Room) wake() {
	if r.waiting > 0 {
		close(r.released)
		r.released, r.waiting = make(chan struct{}), 0
	}
}

// reserve adds what a call holds to the budgets that it is in, or takes it off again;
// r.mu is held.
func (r *Room) reserve(h *held, sign int64) {
	for _, b := range r.budgets {
		if h.in(&b.scope) {
			b.reserved += sign * h.counts.of(b.unit)
		}
	}
}

// Attempt implements pipeline.Observer.
func (r *Room) Attempt(*pipeline.Call, pipeline.Outcome) {}

// Done implements pipeline.Observer: it takes back what a call still holds of which the
// request log has no row.
func (r *Room) Done(call *pipeline.Call, _ pipeline.Outcome) {
	if !r.some.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(call.ID)
}
